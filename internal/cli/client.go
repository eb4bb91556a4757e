package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds the body of an answer that is read into memory.
const maxAnswer = 64 << 20

// client speaks to one server's resource manager.
type client struct {
	principal principal
	http      *http.Client
	folder    string           // where it was found
	tokens    map[string]token // by what they are good for
	now       func() time.Time
	trace     io.Writer // nil, or where --debug writes a line a request
}

// token is what the server gave for one scope.
type token struct {
	text    string
	expires time.Time
}

// answer is a response that has been read whole.
type answer struct {
	status int
	header http.Header
	body   any // decoded JSON with json.Number, or nil
}

// do sends one request with the caller's token. target is a path (with query) or
// an address on the resource manager itself; anything else is refused, so that the
// token never leaves for another host. Throttled requests are repeated.
func (c *client) do(ctx context.Context, method, target string, body any) (answer, error) {
	address, err := c.resolve(target)
	if err != nil {
		return answer{}, err
	}
	return c.exchange(ctx, c.principal.ResourceManager+"/.default", method, address, body)
}

// exchange is do at any of the server's doors, with a token for its scope.
func (c *client) exchange(ctx context.Context, scope, method, address string, body any) (answer, error) {
	var err error
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	for attempt := 0; ; attempt++ {
		token, err := c.authorize(ctx, scope)
		if err != nil {
			return answer{}, err
		}
		a, err := c.send(ctx, method, address, payload, "application/json", "Bearer "+token)
		if err != nil {
			return answer{}, err
		}
		throttled := a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable
		if throttled && attempt < 5 {
			if err := pause(ctx, retryAfter(a.header, time.Second)); err != nil {
				return answer{}, err
			}
			continue
		}
		if a.status >= 400 {
			return a, problemOf(a)
		}
		return a, nil
	}
}

func (c *client) resolve(target string) (string, error) {
	if strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") {
		return c.principal.ResourceManager + target, nil
	}
	u, err := url.Parse(target)
	base, baseErr := url.Parse(c.principal.ResourceManager)
	if err != nil || baseErr != nil || u.Scheme != "https" || !strings.EqualFold(u.Host, base.Host) {
		return "", errors.New("the server sent an address that is not on itself; refusing to follow it")
	}
	return target, nil
}

// authorize gives a token that is good for the scope, for a minute or more.
func (c *client) authorize(ctx context.Context, scope string) (string, error) {
	if t, ok := c.tokens[scope]; ok && c.now().Add(time.Minute).Before(t.expires) {
		return t.text, nil
	}
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.principal.AppID},
		"client_secret": {c.principal.Password},
		"scope":         {scope},
	}
	address := c.principal.ResourceManager + "/" + url.PathEscape(c.principal.Tenant) + "/oauth2/v2.0/token"
	a, err := c.send(ctx, http.MethodPost, address, []byte(form.Encode()), "application/x-www-form-urlencoded", "")
	if err != nil {
		return "", err
	}
	fields, ok := a.body.(map[string]any)
	if a.status != http.StatusOK || !ok {
		return "", loginProblem(a)
	}
	text, ok := fields["access_token"].(string)
	if !ok || text == "" {
		return "", errors.New("the server's token answer has no access_token")
	}
	seconds, err := strconv.ParseInt(fmt.Sprint(fields["expires_in"]), 10, 64)
	if err != nil || seconds < 0 || seconds > 7*24*3600 {
		seconds = 0
	}
	if c.tokens == nil {
		c.tokens = map[string]token{}
	}
	c.tokens[scope] = token{text, c.now().Add(time.Duration(seconds) * time.Second)}
	return text, nil
}

// send makes one exchange and reads the answer whole.
func (c *client) send(ctx context.Context, method, address string, payload []byte, kind, authorization string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(payload))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	if len(payload) > 0 {
		req.Header.Set("Content-Type", kind)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	start := c.now()
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, connectionError(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, connectionError(err)
	}
	if len(data) > maxAnswer {
		return answer{}, fmt.Errorf("the server's answer is longer than %d bytes", maxAnswer)
	}
	if c.trace != nil {
		fmt.Fprintf(c.trace, "DEBUG: %s %s -> %d in %s\n", method, req.URL.Path, resp.StatusCode,
			c.now().Sub(start).Round(time.Millisecond))
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if len(bytes.TrimSpace(data)) > 0 {
		if a.body, err = decodeJSON(data); err != nil && resp.StatusCode < 400 {
			return a, fmt.Errorf("the server's answer is not JSON: %w", err)
		}
	}
	return a, nil
}

// decodeJSON keeps numbers as they were written.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// unreachable is a failure to speak with the server at all.
type unreachable struct{ cause error }

func (e *unreachable) Error() string { return "cannot reach the server: " + e.cause.Error() }
func (e *unreachable) Unwrap() error { return e.cause }

// connectionError drops the address from a transport error: it may carry a
// signature, and says nothing to the user beyond what the cause says.
func connectionError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &unreachable{err}
}

// retryAfter reads how long the server wants us to wait, def when it does not say.
func retryAfter(h http.Header, def time.Duration) time.Duration {
	seconds, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32)
	if err != nil || seconds < 0 {
		return def
	}
	return min(time.Duration(seconds)*time.Second, time.Minute)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
