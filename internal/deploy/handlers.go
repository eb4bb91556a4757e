package deploy

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tintype/internal/arm"
	"tintype/internal/catalog"
)

// put accepts a deployment.
func (s *Service) put(ctx context.Context, c *arm.Call) (arm.Response, error) {
	w, err := s.read(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	if err := s.preflight(ctx, w, 1); err != nil {
		return arm.Response{}, err
	}
	s.mu.Lock()
	busy := len(s.runs) >= maxRunning
	s.mu.Unlock()
	if busy {
		return arm.Response{}, &arm.Error{
			Status: http.StatusConflict, Code: "DeploymentQuotaExceeded",
			Message: fmt.Sprintf("There are '%d' deployments in progress, which is the limit of this server. Please retry later.", maxRunning),
		}
	}
	row, err := w.rec.row(w.text)
	if err != nil {
		return arm.Response{}, err
	}
	existed := false
	err = s.opt.Catalog.Update(ctx, func(tx *catalog.Tx) (err error) {
		if existed, err = notActive(tx, w.rec); err != nil {
			return err
		}
		return errors.Join(tx.ForgetDeploymentOperations(row.Key), tx.PutDeployment(row), tx.TrimDeployments(w.rec.Subscription, row.Group, maxKept))
	})
	if err != nil {
		return arm.Response{}, err
	}
	body := toWire(w.rec) // before the run changes it
	s.launch(w.rec, w.in)
	rs := arm.JSON(http.StatusCreated, body)
	if existed {
		rs.Status = http.StatusOK
	}
	rs.Header = http.Header{}
	rs.Header.Set("Azure-AsyncOperation", c.BaseURL+target(w.rec.id()+"/operationStatuses/"+w.rec.Operation, c.APIVersion))
	rs.Header.Set("Retry-After", "1")
	return rs, nil
}

// find loads the deployment that the call names.
func (s *Service) find(ctx context.Context, c *arm.Call) (*record, []byte, error) {
	at, err := placeOf(c)
	if err != nil {
		return nil, nil, err
	}
	rec, text, err := s.load(ctx, (&record{place: at, Name: c.ID.Name}).key())
	if errors.Is(err, catalog.ErrNotFound) {
		if at.Group != "" {
			if _, err := s.group(ctx, at); err != nil {
				return nil, nil, err
			}
		}
		return nil, nil, &arm.Error{
			Status: http.StatusNotFound, Code: "DeploymentNotFound", Gateway: true, Message: fmt.Sprintf("Deployment '%.100s' could not be found.", c.ID.Name),
		}
	}
	return rec, text, err
}

func (s *Service) get(ctx context.Context, c *arm.Call) (arm.Response, error) {
	rec, _, err := s.find(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	return arm.JSON(http.StatusOK, toWire(rec)), nil
}

func (s *Service) head(ctx context.Context, c *arm.Call) (arm.Response, error) {
	if _, _, err := s.find(ctx, c); err != nil {
		return arm.Response{}, err
	}
	return arm.Empty(http.StatusNoContent), nil
}

// pageSize is how many deployments a page of a list has at most.
const pageSize = 100

// list pages through deployments, newest first. $filter knows provisioningState eq '…', as Azure's.
func (s *Service) list(ctx context.Context, c *arm.Call) (arm.Response, error) {
	at, err := placeOf(c)
	if err != nil {
		return arm.Response{}, err
	}
	if at.Group != "" {
		if _, err := s.group(ctx, at); err != nil {
			return arm.Response{}, err
		}
	}
	want, mark, top, err := listOptions(c)
	if err != nil {
		return arm.Response{}, err
	}
	var found []deploymentBody
	more := false
	for len(found) < top {
		var rows []catalog.Deployment
		err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
			rows, err = tx.Deployments(at.Subscription, at.groupKey(), mark, top-len(found)+1)
			return err
		})
		if err != nil {
			return arm.Response{}, err
		}
		more = len(rows) > top-len(found)
		for _, row := range rows[:min(len(rows), top-len(found))] {
			rec, err := fromRow(row)
			if err != nil {
				return arm.Response{}, err
			}
			mark = row.Mark()
			if want == "" || strings.EqualFold(want, string(rec.State)) {
				found = append(found, toWire(rec))
			}
		}
		if !more {
			break
		}
	}
	list := arm.ListOf(found)
	if more {
		q := url.Values{"api-version": {c.APIVersion}, "$skiptoken": {base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d:%s", mark.Changed, mark.Key))}}
		for _, k := range []string{"$top", "$filter"} {
			if v := c.Query.Get(k); v != "" {
				q.Set(k, v)
			}
		}
		list.NextLink = c.BaseURL + (&url.URL{Path: c.Path}).EscapedPath() + "?" + q.Encode()
	}
	return arm.JSON(http.StatusOK, list), nil
}

func listOptions(c *arm.Call) (want string, mark catalog.DeploymentMark, top int, err error) {
	top = pageSize
	if s := c.Query.Get("$top"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return "", mark, 0, bad("InvalidTopInQueryString", "Invalid $top '%.100s' specified in the query string.", s)
		}
		top = min(n, pageSize)
	}
	if s := c.Query.Get("$skiptoken"); s != "" {
		b, err := base64.RawURLEncoding.DecodeString(s)
		changed, key, ok := strings.Cut(string(b), ":")
		if err == nil {
			mark.Changed, err = strconv.ParseInt(changed, 10, 64)
		}
		if mark.Key = key; err != nil || !ok || key == "" || len(key) > 1024 {
			return "", mark, 0, bad("InvalidSkipToken", "The $skiptoken in the query string is invalid.")
		}
	}
	if f := strings.TrimSpace(c.Query.Get("$filter")); f != "" {
		words := strings.Fields(f)
		if len(words) != 3 || !strings.EqualFold(words[0], "provisioningState") || !strings.EqualFold(words[1], "eq") || len(words[2]) < 2 {
			return "", mark, 0, bad("InvalidFilterInQueryString", "Invalid $filter '%.200s' specified in the query string.", f)
		}
		want = strings.Trim(words[2], "'")
	}
	return want, mark, top, nil
}

// delete removes a deployment from the history; what it made stays.
func (s *Service) delete(ctx context.Context, c *arm.Call) (arm.Response, error) {
	rec, _, err := s.find(ctx, c)
	var missing *arm.Error
	if errors.As(err, &missing) && missing.Code == "DeploymentNotFound" {
		return arm.Empty(http.StatusNoContent), nil
	}
	if err != nil {
		return arm.Response{}, err
	}
	if !rec.State.ended() {
		e := bad("DeploymentActive", "Unable to delete deployment '%s': it is still active. Please see https://aka.ms/arm-deploy for usage details.", rec.Name)
		e.Status = http.StatusConflict
		return arm.Response{}, e
	}
	err = s.opt.Catalog.Update(ctx, func(tx *catalog.Tx) error { return tx.DeleteDeployment(rec.key()) })
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return arm.Response{}, err
	}
	rs := arm.Empty(http.StatusAccepted)
	rs.Header = http.Header{}
	rs.Header.Set("Location", c.BaseURL+target(rec.id()+"/operationResults/"+deletedMark, c.APIVersion))
	rs.Header.Set("Retry-After", "0")
	return rs, nil
}

// deletedMark names the operation of a deletion, which has ended when it is answered.
const deletedMark = "deleted"

// stop cancels a deployment. What is being made ends by itself, nothing more is begun.
func (s *Service) stop(ctx context.Context, c *arm.Call) (arm.Response, error) {
	rec, _, err := s.find(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	s.mu.Lock()
	r := s.runs[rec.key()]
	s.mu.Unlock()
	if r == nil || rec.State.ended() {
		e := bad("DeploymentCannotBeCancelled", "The deployment '%s' cannot be cancelled because its provisioning state is '%s'. Please see https://aka.ms/arm-deploy for usage details.",
			rec.Name, rec.State)
		e.Status = http.StatusConflict
		return arm.Response{}, e
	}
	r.cancel(errCanceled)
	return arm.Empty(http.StatusNoContent), nil
}

// export gives the template back.
func (s *Service) export(ctx context.Context, c *arm.Call) (arm.Response, error) {
	_, text, err := s.find(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	return arm.JSON(http.StatusOK, map[string]any{"template": rawJSON(text)}), nil
}

func (s *Service) hash(_ context.Context, c *arm.Call) (arm.Response, error) {
	if len(c.Body) == 0 || c.Body[0] != '{' {
		return arm.Response{}, bad("InvalidRequestContent", "The request content was invalid or empty: a JSON object is expected.")
	}
	h, err := hashOf(c.Body)
	if err != nil {
		return arm.Response{}, err
	}
	small, err := compact(c.Body)
	if err != nil {
		return arm.Response{}, err
	}
	return arm.JSON(http.StatusOK, map[string]string{"minifiedTemplate": small, "templateHash": h}), nil
}

// status is what Azure-AsyncOperation shows.
func (s *Service) status(ctx context.Context, c *arm.Call) (arm.Response, error) {
	rec, _, err := s.find(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	if rec.Operation != c.Param("operation") {
		return arm.Response{}, noOperation(c)
	}
	body := map[string]any{"status": rec.State}
	if rec.State == failed || rec.State == canceled {
		body["error"] = rec.Error
	}
	rs := arm.JSON(http.StatusOK, body)
	if !rec.State.ended() {
		rs.Header = http.Header{"Retry-After": {"1"}}
	}
	return rs, nil
}

func noOperation(c *arm.Call) *arm.Error {
	return &arm.Error{
		Status: http.StatusNotFound, Code: "DeploymentOperationNotFound", Gateway: true,
		Message: fmt.Sprintf("The deployment operation '%.100s' could not be found.", c.Param("operation")),
	}
}

func (s *Service) listOperations(ctx context.Context, c *arm.Call) (arm.Response, error) {
	rec, _, err := s.find(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	ops, err := s.operations(ctx, rec.key())
	if err != nil {
		return arm.Response{}, err
	}
	var out []operationBody
	for _, op := range ops {
		out = append(out, op.toWire(rec))
	}
	return arm.JSON(http.StatusOK, arm.ListOf(out)), nil
}

func (s *Service) getOperation(ctx context.Context, c *arm.Call) (arm.Response, error) {
	rec, _, err := s.find(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	ops, err := s.operations(ctx, rec.key())
	if err != nil {
		return arm.Response{}, err
	}
	for _, op := range ops {
		if strings.EqualFold(op.ID, c.Param("operation")) {
			return arm.JSON(http.StatusOK, op.toWire(rec)), nil
		}
	}
	return arm.Response{}, noOperation(c)
}

// validate says whether a deployment would be accepted.
func (s *Service) validate(ctx context.Context, c *arm.Call) (arm.Response, error) {
	w, err := s.read(ctx, c)
	if err != nil {
		return arm.Response{}, err
	}
	if err := s.preflight(ctx, w, 1); err != nil {
		return arm.Response{}, err
	}
	w.rec.State = succeeded
	body := toWire(w.rec)
	body.Location = "" // what would be deployed has none yet
	for _, r := range w.rec.Resources {
		body.Properties.Validated = append(body.Properties.Validated, idBody{r.ID})
	}
	return arm.JSON(http.StatusOK, body), nil
}
