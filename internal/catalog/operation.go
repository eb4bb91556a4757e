package catalog

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// Operation is an operation together with what its worker needs.
type Operation struct {
	tintype.Operation
	Key  string // of the resource or group it works on
	Plan []byte // the worker's own; JSON
}

// operationDoc is what the catalog keeps of an operation beside its columns.
type operationDoc struct {
	Kind     string          `json:"kind"`
	Location string          `json:"location"`
	Resource string          `json:"resource"`
	Failure  *failureDoc     `json:"failure,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	Grant    *grantDoc       `json:"grant,omitempty"`
	Guest    *grantDoc       `json:"guestGrant,omitempty"`

	Companion json.RawMessage `json:"companion,omitempty"`
}

type failureDoc struct {
	Kind    uint8  `json:"kind"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}

const operationColumns = "id, subscription, key, state, started, ended, document, plan"

// PutOperation records the operation, new or changed.
func (t *Tx) PutOperation(o Operation) error {
	d := operationDoc{Kind: string(o.Kind), Location: o.Location, Resource: o.Resource}
	if f := o.Failure; f != nil {
		d.Failure = &failureDoc{Kind: uint8(f.Kind), Code: f.Code, Message: f.Message, Target: f.Target}
	}
	if o.Output != nil {
		doc, err := EncodeVolume(*o.Output)
		if err != nil {
			return err
		}
		d.Output = doc
	}
	if o.Grant != nil {
		g := encodeGrant(*o.Grant)
		d.Grant = &g
	}
	if o.Guest != nil {
		g := encodeGrant(*o.Guest)
		d.Guest = &g
	}
	var err error
	if d.Companion, err = encodePtr(o.Companion); err != nil {
		return err
	}
	doc, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO operations ("+operationColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "+
		"ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended = excluded.ended, document = excluded.document, plan = excluded.plan",
		o.ID.String(), o.Subscription, o.Key, o.State, o.Started.UnixNano(), nanos(o.Ended), string(doc), string(o.Plan))
	return err
}

// Operation gives the operation of the id; ErrNotFound when there is none.
func (t *Tx) Operation(id uuid.UUID) (Operation, error) {
	return scanOperation(func(dest ...any) error {
		return t.one("SELECT "+operationColumns+" FROM operations WHERE id = $1", []any{id.String()}, dest...)
	})
}

// OpenOperations lists the operations in progress on the resource or group, or all when key is "", oldest first.
func (t *Tx) OpenOperations(key string) ([]Operation, error) {
	scan := func(r *sql.Rows) (Operation, error) { return scanOperation(r.Scan) }
	if key == "" {
		return all(t, scan, "SELECT "+operationColumns+" FROM operations WHERE state = $1 ORDER BY started, id", tintype.InProgress)
	}
	return all(t, scan, "SELECT "+operationColumns+" FROM operations WHERE key = $1 AND state = $2 ORDER BY started, id", key, tintype.InProgress)
}

// ForgetOperations removes the operations that ended before the time.
func (t *Tx) ForgetOperations(before time.Time) error {
	_, err := t.exec("DELETE FROM operations WHERE state <> $1 AND ended < $2", tintype.InProgress, before.UnixNano())
	return err
}

func scanOperation(scan func(...any) error) (Operation, error) {
	var o Operation
	var id, doc, plan string
	var started, ended int64
	if err := scan(&id, &o.Subscription, &o.Key, &o.State, &started, &ended, &doc, &plan); err != nil {
		return o, err
	}
	var d operationDoc
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return o, fmt.Errorf("catalog holds a bad operation: %w", err)
	}
	var err error
	if o.ID, err = parse(id); err != nil {
		return o, err
	}
	o.Kind, o.Location, o.Resource = tintype.OperationKind(d.Kind), d.Location, d.Resource
	o.Started, o.Ended, o.Plan = time.Unix(0, started).UTC(), fromNanos(ended), []byte(plan)
	if f := d.Failure; f != nil {
		o.Failure = &tintype.Error{Kind: tintype.ErrorKind(f.Kind), Code: f.Code, Message: f.Message, Target: f.Target}
	}
	if d.Output != nil {
		v, err := DecodeVolume(d.Output)
		if err != nil {
			return o, err
		}
		o.Output = &v
	}
	if d.Companion != nil {
		c, err := DecodeCompanion(d.Companion)
		if err != nil {
			return o, err
		}
		o.Companion = &c
	}
	if d.Grant != nil {
		g, err := decodeGrant(*d.Grant)
		if err != nil {
			return o, err
		}
		o.Grant = &g
	}
	if d.Guest != nil {
		g, err := decodeGrant(*d.Guest)
		if err != nil {
			return o, err
		}
		o.Guest = &g
	}
	return o, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
