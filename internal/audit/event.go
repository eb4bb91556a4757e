// Package audit keeps the activity log: who asked for which change, when, from where, and what came of it. It is kept for 90
// days, bounded, and never holds a secret: of requests it keeps ids, of their bodies only those of role assignments.
package audit

import "time"

// Status is how far an operation has come.
type Status string

// An operation begins with Started and ends with Succeeded or Failed; Accepted lies between, when it goes on after the answer.
const (
	Started   Status = "Started"
	Accepted  Status = "Accepted"
	Succeeded Status = "Succeeded"
	Failed    Status = "Failed"
)

// Event is one line of the log.
type Event struct {
	Time        time.Time `json:"time"`
	ID          string    `json:"id"` // a GUID
	Correlation string    `json:"correlation"`
	// Operation is what the events of one request have in common.
	Operation string `json:"operation"`
	// Async is the operation that goes on after the answer, as the answer names it.
	Async        string `json:"async,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Group        string `json:"group,omitempty"`
	Resource     string `json:"resource"` // an id
	Provider     string `json:"provider"` // such as "Microsoft.Compute"
	Type         string `json:"type"`     // such as "Microsoft.Compute/disks"
	Action       string `json:"action"`   // such as "Microsoft.Compute/disks/write"
	Category     string `json:"category"`

	Method    string `json:"method,omitempty"`
	Path      string `json:"path,omitempty"` // without its query
	Address   string `json:"address,omitempty"`
	RequestID string `json:"requestId,omitempty"` // the client's own

	Caller   string `json:"caller"` // a user's name or a client id
	ObjectID string `json:"objectId,omitempty"`
	AppID    string `json:"appId,omitempty"`
	User     string `json:"user,omitempty"`
	Tenant   string `json:"tenant,omitempty"`

	Status  Status `json:"status"`
	HTTP    int    `json:"http,omitempty"`
	Code    string `json:"code,omitempty"` // of a failure
	Message string `json:"message,omitempty"`

	RequestBody  string `json:"requestBody,omitempty"`
	ResponseBody string `json:"responseBody,omitempty"`
}

// maxText bounds what a caller can have written into one field.
const maxText = 4096

// bounded cuts what is too long.
func (e Event) bounded() Event {
	for _, s := range []*string{
		&e.Group, &e.Resource, &e.Provider, &e.Type, &e.Action, &e.Path, &e.RequestID, &e.Correlation, &e.Message, &e.RequestBody, &e.ResponseBody,
	} {
		if len(*s) > maxText {
			*s = (*s)[:maxText]
		}
	}
	return e
}
