package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tintype/internal/arm"
	"tintype/internal/catalog"
	"tintype/internal/template"
)

// maxTogether is how many resources of one deployment are made at the same time.
const maxTogether = 8

// run is a deployment in progress.
type run struct {
	s      *Service
	ctx    context.Context
	cancel context.CancelCauseFunc
	rec    *record
	in     *template.Instance
	slots  chan struct{}

	mu     sync.Mutex
	failed []arm.Detail
}

// errCanceled is the cause of a run's end when a caller asked for it.
var errCanceled = errors.New("the deployment was canceled")

// launch begins a run. It ends by itself, with a record of what became of it, or with the service.
func (s *Service) launch(rec *record, in *template.Instance) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	r := &run{s: s, ctx: ctx, cancel: cancel, rec: rec, in: in, slots: make(chan struct{}, maxTogether)}
	s.mu.Lock()
	s.runs[rec.key()] = r
	s.mu.Unlock()
	s.done.Go(func() {
		defer cancel(nil)
		r.work()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.runs[rec.key()] == r { // it may have ended a moment ago, and another one of the same name have begun
			delete(s.runs, rec.key())
		}
	})
}

func (r *run) work() {
	err := r.begin()
	if err == nil {
		err = r.everything()
	}
	if r.s.ctx.Err() != nil {
		return // the next start goes on
	}
	if err == nil && len(r.failed) == 0 && context.Cause(r.ctx) == nil {
		err = r.outputs()
	}
	if err == nil && len(r.failed) == 0 && context.Cause(r.ctx) == nil && r.rec.Mode == "Complete" {
		r.removeOthers()
	}
	if err := r.end(err); err != nil && !errors.Is(err, catalog.ErrNotFound) {
		r.s.opt.Log.Error("deployment could not be recorded", "deployment", r.rec.id(), "error", err)
	}
}

func (r *run) begin() error {
	r.rec.State, r.rec.Changed = running, r.s.now()
	return r.s.save(r.ctx, r.rec, nil)
}

// everything makes the resources, each when all that it needs is there. What needs one that failed is left out.
func (r *run) everything() error {
	before, err := r.s.operations(r.ctx, r.rec.key())
	if err != nil {
		return err
	}
	finished := map[string]bool{}
	for _, op := range before {
		if op.State == succeeded && op.Target != nil {
			finished[op.Target.ID] = true
			r.rec.Made = append(r.rec.Made, op.Target.ID)
		}
	}
	type outcome struct {
		done chan struct{}
		ok   bool
	}
	all := map[*template.Resource]*outcome{}
	var wait sync.WaitGroup
	for i, res := range r.in.Resources() { // each comes after those on which it depends
		o := &outcome{done: make(chan struct{})}
		all[res] = o
		needs := make([]*outcome, len(res.Depends))
		for j, on := range res.Depends {
			needs[j] = all[on]
		}
		wait.Go(func() {
			defer close(o.done)
			for _, n := range needs {
				<-n.done
				if !n.ok {
					return
				}
			}
			select {
			case r.slots <- struct{}{}:
			case <-r.ctx.Done():
				return
			}
			defer func() { <-r.slots }()
			o.ok = finished[res.ID] || r.make(i, res)
		})
	}
	wait.Wait()
	return nil
}

// make makes one resource and records how that went.
func (r *run) make(i int, res *template.Resource) bool {
	made := resource{ID: res.ID, Type: res.Type, Name: res.Name}
	op := operation{ID: operationID(r.rec.Operation, i), Action: "Create", State: running, Began: r.s.now(), Changed: r.s.now(), Target: &made}
	if err := r.s.saveOperation(r.ctx, r.rec, op); err != nil {
		return r.failure(res.ID, arm.Detail{Code: "InternalServerError", Message: "The operation could not be recorded."}, err)
	}
	body, err := res.Body(runtime{r.ctx, r.s, r.rec})
	var rp arm.Reply
	if err == nil {
		var text []byte
		if text, err = template.Encode(body); err == nil {
			rp = r.put(res.ID, res.APIVersion, text)
		}
	}
	if r.ctx.Err() != nil {
		return false
	}
	op.Changed, op.State, op.Status = r.s.now(), succeeded, statusWord(rp.Status)
	var why arm.Detail
	switch {
	case err != nil:
		op.State, op.Status = failed, statusWord(http.StatusBadRequest)
		why = arm.Detail{Code: "InvalidTemplate", Message: err.Error(), Target: res.ID}
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			why = refused.detail
		}
	case rp.Status >= 300:
		op.State = failed
		why = errorOf(rp)
		why.Target = res.ID
	}
	if op.State == failed {
		op.Message = map[string]any{"error": why}
	}
	if err := r.s.saveOperation(r.ctx, r.rec, op); err != nil && op.State == succeeded {
		return r.failure(res.ID, arm.Detail{Code: "InternalServerError", Message: "The operation could not be recorded."}, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.State == failed {
		r.failed = append(r.failed, why)
		return false
	}
	r.rec.Made = append(r.rec.Made, res.ID)
	return true
}

func (r *run) failure(id string, why arm.Detail, cause error) bool {
	if !errors.Is(cause, catalog.ErrNotFound) {
		r.s.opt.Log.Error("deployment failed", "deployment", r.rec.id(), "resource", id, "error", cause)
	}
	why.Target = id
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, why)
	return false
}

func statusWord(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

// operationID names the i-th operation of a deployment, in the order of the template.
func operationID(deployment string, i int) string {
	return fmt.Sprintf("%04X%s", i, strings.ToUpper(strings.ReplaceAll(deployment, "-", "")[:12]))
}

// put sends a PUT and waits for the end of the operation that it begins.
func (r *run) put(id, version string, body []byte) arm.Reply {
	return r.s.follow(r.ctx, r.rec, http.MethodPut, target(id, version), body)
}

// follow sends a request and follows its operation to the end, as a client would. A nested deployment is canceled with
// its parent.
func (s *Service) follow(ctx context.Context, rec *record, method, at string, body []byte) arm.Reply {
	first := s.server.Perform(ctx, rec.Caller, method, at, body)
	status, location := first.Header.Get("Azure-AsyncOperation"), first.Header.Get("Location")
	if first.Status >= 300 || status == "" && (location == "" || first.Status != http.StatusAccepted) {
		return first
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		select {
		case <-ctx.Done():
			if id, _, _ := strings.Cut(at, "?"); isDeployment(id) && errors.Is(context.Cause(ctx), errCanceled) {
				s.server.Perform(s.ctx, rec.Caller, http.MethodPost, id+"/cancel?api-version="+ownVersion, nil)
			}
			return first
		case <-time.After(pause):
		}
		if status == "" {
			rp := s.server.Perform(ctx, rec.Caller, http.MethodGet, local(location), nil)
			if rp.Status != http.StatusAccepted {
				return rp
			}
			continue
		}
		rp := s.server.Perform(ctx, rec.Caller, http.MethodGet, local(status), nil)
		if rp.Status >= 300 {
			return rp
		}
		var poll struct {
			Status string      `json:"status"`
			Error  *arm.Detail `json:"error"`
		}
		if err := json.Unmarshal(rp.Body, &poll); err != nil {
			return rp
		}
		switch poll.Status {
		case "Succeeded":
			return arm.Reply{Status: http.StatusOK, Header: rp.Header}
		case "Failed", "Canceled":
			return failedReply(rp, poll.Status, poll.Error)
		}
	}
}

// failedReply is the answer that the request would have had if its operation had failed at once.
func failedReply(rp arm.Reply, status string, why *arm.Detail) arm.Reply {
	if why == nil {
		why = &arm.Detail{Code: "ResourceDeploymentFailure", Message: "The resource operation completed with terminal provisioning state '" + status + "'."}
	}
	body, err := json.Marshal(map[string]any{"error": why})
	if err != nil {
		body = rp.Body
	}
	return arm.Reply{Status: http.StatusConflict, Header: rp.Header, Body: body}
}

// target is the path and query by which a resource is reached.
func target(id, version string) string {
	return (&url.URL{Path: id}).EscapedPath() + "?api-version=" + url.QueryEscape(version)
}

// local is a URL of ours without scheme and host.
func local(u string) string {
	_, rest, ok := strings.Cut(u, "://")
	if i := strings.IndexByte(rest, '/'); ok && i >= 0 {
		return rest[i:]
	}
	return u
}

func isDeployment(id string) bool {
	return strings.Contains(strings.ToLower(id), "/providers/microsoft.resources/deployments/")
}

// errorOf reads the error of a refused request.
func errorOf(rp arm.Reply) arm.Detail {
	var body struct {
		Error arm.Detail `json:"error"`
	}
	if err := json.Unmarshal(rp.Body, &body); err != nil || body.Error.Code == "" {
		body.Error = arm.Detail{Code: statusWord(rp.Status), Message: "The request was refused without a reason."}
	}
	return body.Error
}

func (r *run) outputs() error {
	out, err := r.in.Outputs(runtime{r.ctx, r.s, r.rec})
	op := operation{ID: operationID(r.rec.Operation, 0xFFFF), Action: "EvaluateDeploymentOutput", State: succeeded, Began: r.s.now(), Changed: r.s.now(), Status: "OK"}
	if err != nil {
		op.State, op.Status = failed, "BadRequest"
		op.Message = map[string]any{"error": arm.Detail{Code: "DeploymentOutputEvaluationFailed", Message: err.Error()}}
		return errors.Join(err, r.s.saveOperation(r.ctx, r.rec, op))
	}
	for name, v := range out {
		if template.Secure(v.Type) {
			out[name] = template.Value{Type: v.Type}
		}
	}
	r.rec.Outputs = out
	return r.s.saveOperation(r.ctx, r.rec, op)
}

// end records what became of the deployment.
func (r *run) end(err error) error {
	rec := r.rec
	rec.Changed = r.s.now()
	rec.forgetSecrets()
	switch {
	case context.Cause(r.ctx) != nil:
		rec.State = canceled
		rec.Error = &arm.Detail{Code: "DeploymentCanceled", Message: "The deployment was canceled."}
	case len(r.failed) > 0:
		rec.State = failed
		rec.Error = &arm.Detail{Code: "DeploymentFailed", Message: deploymentFailed, Target: rec.id(), Details: r.failed}
	case err != nil:
		rec.State = failed
		rec.Error = &arm.Detail{
			Code: "DeploymentFailed", Target: rec.id(), Message: deploymentFailed,
			Details: []arm.Detail{{Code: "DeploymentOutputEvaluationFailed", Message: "Unable to evaluate template outputs: " + err.Error()}},
		}
	default:
		rec.State = succeeded
	}
	r.s.opt.Log.Debug("deployment ended", "deployment", rec.id(), "state", rec.State)
	return r.s.save(r.s.ctx, rec, nil)
}

const deploymentFailed = "At least one resource deployment operation failed. Please list deployment operations for details. " +
	"Please see https://aka.ms/arm-deployment-operations for usage details."

// removeOthers deletes what is in the group and not in the template, for the mode Complete. What others still use is tried
// again after them.
func (r *run) removeOthers() {
	keep := map[string]bool{}
	for _, res := range r.in.Resources() {
		keep[strings.ToLower(res.ID)] = true
	}
	all, err := r.s.inGroup(r.ctx, r.rec)
	if err != nil {
		r.failure(r.rec.scope(), arm.Detail{Code: "InternalServerError", Message: "The resources of the group could not be listed."}, err)
		return
	}
	var left []string
	goes := others(all, keep)
	for _, m := range all {
		if goes(m) {
			left = append(left, m.ID)
		}
	}
	n := len(r.in.Resources())
	for again := true; again && len(left) > 0; {
		var stuck []string
		var why []arm.Detail
		for _, id := range left {
			rp := r.s.follow(r.ctx, r.rec, http.MethodDelete, target(id, r.s.server.Version(id)), nil)
			if rp.Status >= 300 {
				d := errorOf(rp)
				d.Target = id
				stuck, why = append(stuck, id), append(why, d)
				continue
			}
			op := operation{ID: operationID(r.rec.Operation, n), Action: "Delete", State: succeeded, Began: r.s.now(), Changed: r.s.now(), Status: "OK", Target: &resource{ID: id}}
			n++
			if err := r.s.saveOperation(r.ctx, r.rec, op); err != nil {
				r.failure(id, arm.Detail{Code: "InternalServerError", Message: "The operation could not be recorded."}, err)
				return
			}
		}
		if again = len(stuck) < len(left); !again {
			r.failed = append(r.failed, why...)
		}
		left = stuck
	}
}
