package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// patience is how long polling goes on while the server cannot be reached: an
// accepted operation survives a restart of the server, so the client waits for it.
const patience = 60 * time.Second

// eager is how soon the first question follows an accepted write: our server finishes most of them within
// milliseconds. The pauses double from there up to what Retry-After asks for, which is meant for long operations.
const eager = 20 * time.Millisecond

// operation is a write that the server has accepted.
type operation struct {
	done  bool // finished with the first answer
	poll  string
	final string
	wait  time.Duration
	body  any // what the first answer held

	existed string // since when what was to be made has been there; "" for what is new
}

// begin sends a write and returns the operation behind it.
func (c *client) begin(ctx context.Context, method, target string, body any) (*operation, error) {
	a, err := c.do(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	op := &operation{
		poll:  a.header.Get("Azure-AsyncOperation"),
		final: a.header.Get("Location"),
		wait:  retryAfter(a.header, time.Second),
		body:  a.body,

		existed: a.header.Get("x-tintype-existed-since"),
	}
	op.done = a.status != http.StatusAccepted && op.poll == ""
	return op, nil
}

// finish waits for op and returns its result: the output of the operation, or
// what its Location answers in the end, or the first answer's body.
func (c *client) finish(ctx context.Context, op *operation) (any, error) {
	switch {
	case op.done:
		return op.body, nil
	case op.poll != "":
		return c.followStatus(ctx, op)
	case op.final != "":
		return c.followLocation(ctx, op)
	default:
		return nil, errors.New("the server accepted the request but does not say where to ask for its result")
	}
}

// followStatus polls the Azure-AsyncOperation address.
func (c *client) followStatus(ctx context.Context, op *operation) (any, error) {
	for soon := eager; ; soon = min(2*soon, time.Minute) {
		if err := pause(ctx, min(soon, op.wait)); err != nil {
			return nil, err
		}
		a, err := c.ask(ctx, op.poll)
		if err != nil {
			return nil, err
		}
		op.wait = retryAfter(a.header, op.wait)
		fields, ok := a.body.(map[string]any)
		if !ok {
			return nil, errors.New("the server's operation status is not an object")
		}
		status, _ := fields["status"].(string)
		switch strings.ToLower(status) {
		case "succeeded":
			return c.outcome(ctx, op, fields)
		case "failed", "canceled":
			return nil, failure(fields, status)
		case "":
			return nil, errors.New("the server's operation status is missing")
		}
	}
}

// outcome returns the result of an operation whose status is in fields.
func (c *client) outcome(ctx context.Context, op *operation, fields map[string]any) (any, error) {
	properties, _ := fields["properties"].(map[string]any)
	if output, ok := properties["output"]; ok {
		return output, nil
	}
	if op.final == "" {
		return nil, nil
	}
	return c.followLocation(ctx, op)
}

// followLocation polls the Location address until it stops answering 202.
func (c *client) followLocation(ctx context.Context, op *operation) (any, error) {
	for soon := eager; ; soon = min(2*soon, time.Minute) {
		a, err := c.ask(ctx, op.final)
		if err != nil {
			return nil, err
		}
		if a.status != http.StatusAccepted {
			return a.body, nil
		}
		if next := a.header.Get("Location"); next != "" {
			op.final = next
		}
		if err := pause(ctx, min(soon, retryAfter(a.header, op.wait))); err != nil {
			return nil, err
		}
	}
}

// ask is a GET that puts up with a server that is restarting.
func (c *client) ask(ctx context.Context, target string) (answer, error) {
	deadline := c.now().Add(patience)
	for {
		a, err := c.do(ctx, http.MethodGet, target, nil)
		var away *unreachable
		if !errors.As(err, &away) || ctx.Err() != nil || c.now().After(deadline) {
			return a, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return answer{}, err
		}
	}
}

func failure(fields map[string]any, status string) error {
	if inside, ok := fields["error"].(map[string]any); ok {
		if p := problemFrom(inside, 0); p != nil {
			return p
		}
	}
	return fmt.Errorf("the operation ended as %s without saying why", status)
}
