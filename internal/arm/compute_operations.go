package arm

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm/wire"
)

// pollOperation answers both of an operation's URLs: the status, and with monitor=true the result itself.
func (opt ComputeOptions) pollOperation(ctx context.Context, c *Call) (Response, error) {
	op, err := opt.operation(ctx, c)
	if err != nil {
		return Response{}, err
	}
	if strings.EqualFold(c.Query.Get("monitor"), "true") {
		return opt.result(c, op), nil
	}
	rs := JSON(http.StatusOK, opt.status(c, op))
	if op.State == tintype.InProgress {
		rs.Header = http.Header{"Retry-After": {strconv.Itoa(retryAfter)}}
	}
	return rs, nil
}

// operation finds the operation that the path names, if the caller may see it: whoever may read the resource, or all
// operations of the subscription. A grant's result opens the bytes, so it takes the permission that the grant took.
func (opt ComputeOptions) operation(ctx context.Context, c *Call) (tintype.Operation, error) {
	const readAll = computeNamespace + "/locations/DiskOperations/read"
	missing := gateway(http.StatusNotFound, "NotFound", "The entity was not found in this Azure location.")
	if !opt.Allowed(c.Principal, readAll, c.Path) {
		missing = errForbidden(c.Principal, readAll, c.Path)
	}
	id, err := uuid.Parse(c.Param("operation"))
	if err != nil {
		return tintype.Operation{}, missing
	}
	op, err := opt.Volumes.Operation(ctx, c.subscription(), id)
	var refusal *tintype.Error
	if errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound {
		return op, missing
	}
	if err != nil {
		return op, err
	}
	on, ok := typeOfOperation(op)
	if !ok || !strings.EqualFold(op.Location, c.ID.Location) {
		return op, missing
	}
	permission := on + "/read"
	if op.Kind == tintype.OpGrant {
		permission = on + "/beginGetAccess/action"
	}
	if !opt.Allowed(c.Principal, permission, op.Resource) {
		return op, errForbidden(c.Principal, permission, op.Resource)
	}
	return op, nil
}

// typeOfOperation is the type of the resource that the operation is about.
func typeOfOperation(op tintype.Operation) (string, bool) {
	if _, point := tintype.ParsePointID(op.Resource); point {
		return tintype.KindCollection.Type() + "/restorePoints", true
	}
	id, ok := tintype.ParseResourceID(op.Resource)
	return id.Kind.Type(), ok
}

func (opt ComputeOptions) status(c *Call, op tintype.Operation) wire.Operation {
	w := wire.Operation{StartTime: formatTime(op.Started), Status: string(op.State), Name: op.ID.String()}
	if !op.Ended.IsZero() {
		w.EndTime = formatTime(op.Ended)
	}
	if f := op.Failure; f != nil {
		w.Error = &wire.OperationError{Code: f.Code, Message: f.Message, Target: f.Target}
	}
	w.Properties = progress(c, op)
	if out := opt.output(c, op); out != nil {
		if w.Properties == nil {
			w.Properties = &wire.OperationProperties{}
		}
		w.Properties.Output = out
	}
	return w
}

// progress tells clients of our own api-version what an operation on a volume does, and how far it is.
func progress(c *Call, op tintype.Operation) *wire.OperationProperties {
	if c.APIVersion != ownVersion || len(op.Steps) == 0 {
		return nil
	}
	w := &wire.OperationProperties{Progress: &wire.OperationAmount{Total: op.Bytes, Done: op.Done}}
	for _, s := range op.Steps {
		w.Steps = append(w.Steps, wire.OperationStep{Name: s.Name, Status: string(s.State)})
	}
	if !op.Moment.IsZero() {
		w.PointInTime = formatTime(op.Moment)
	}
	return w
}

// result answers monitor=true: 202 while it runs, then what the operation made, or its failure.
func (opt ComputeOptions) result(c *Call, op tintype.Operation) Response {
	switch op.State {
	case tintype.InProgress:
		return c.Accepted(diskOperations, op.Location, op.ID.String(), nil)
	case tintype.Failed:
		e, _ := fromDomain(op.Failure)
		return e.response()
	}
	return JSON(http.StatusOK, opt.output(c, op))
}

// output is what the operation made, nil when that is nothing that is shown.
func (opt ComputeOptions) output(c *Call, op tintype.Operation) any {
	switch {
	case op.State != tintype.Succeeded:
	case op.Kind == tintype.OpPut && op.Output != nil:
		output := *op.Output
		output.At = op.Ended
		made := encodeVolume(output, c.APIVersion)
		made.Properties.CompletionPercent = nil // of the resource, not of the operation
		return made
	case op.Kind == tintype.OpPutCompanion && op.Companion != nil && op.Companion.Machine == nil:
		return companionHandler{ComputeOptions: opt, kind: op.Companion.ID.Kind}.encode(*op.Companion)
	case op.Kind == tintype.OpGrant && op.Grant != nil:
		given := wire.AccessURI{AccessSAS: opt.SignURL(c.BaseURL, *op.Grant)}
		if op.Guest != nil {
			given.SecurityDataAccessSAS = opt.SignURL(c.BaseURL, *op.Guest)
		}
		return given
	}
	return nil
}

// formatTime writes a time as Azure does: 100 ns and an offset.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000+00:00") }
