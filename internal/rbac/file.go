package rbac

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"tintype/internal/smallfile"
)

// fileVersion is the format of roles.json: version 2 is what the types below say. Another one is refused; version 1 had no conditions.
const fileVersion = 2

// document is the file.
type document struct {
	Version     int             `json:"version"`
	Roles       []roleDoc       `json:"roles"`
	Assignments []assignmentDoc `json:"assignments"`
}

type roleDoc struct {
	ID          string           `json:"id"`
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	Scopes      []string         `json:"scopes"`
	Permissions []permissionsDoc `json:"permissions"`
	Created     time.Time        `json:"created"`
	Updated     time.Time        `json:"updated"`
	CreatedBy   string           `json:"createdBy,omitempty"`
	UpdatedBy   string           `json:"updatedBy,omitempty"`
}

type permissionsDoc struct {
	Actions        []string `json:"actions,omitempty"`
	NotActions     []string `json:"notActions,omitempty"`
	DataActions    []string `json:"dataActions,omitempty"`
	NotDataActions []string `json:"notDataActions,omitempty"`
}

type assignmentDoc struct {
	Name             string    `json:"name"`
	Principal        string    `json:"principal"`
	PrincipalType    string    `json:"principalType"`
	Role             string    `json:"role"`
	Scope            string    `json:"scope"`
	Description      string    `json:"description,omitempty"`
	Condition        string    `json:"condition,omitempty"`
	ConditionVersion string    `json:"conditionVersion,omitempty"`
	Created          time.Time `json:"created"`
	Updated          time.Time `json:"updated"`
	CreatedBy        string    `json:"createdBy,omitempty"`
	UpdatedBy        string    `json:"updatedBy,omitempty"`
}

// read fills the state from the file; found is false when there is none.
func (st *state) read(file string) (found bool, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	if d.Version != fileVersion {
		return false, fmt.Errorf("%s has format version %d; this program knows version %d", file, d.Version, fileVersion)
	}
	for _, r := range d.Roles {
		role := Role{
			ID: r.ID, Name: r.Name, Description: r.Description, Custom: true, Scopes: r.Scopes,
			Created: r.Created, Updated: r.Updated, CreatedBy: r.CreatedBy, UpdatedBy: r.UpdatedBy,
		}
		for _, p := range r.Permissions {
			role.Permissions = append(role.Permissions, Permissions(p))
		}
		st.Roles = append(st.Roles, role)
	}
	for _, a := range d.Assignments {
		assignment := Assignment(a)
		if err := assignment.checkCondition(); err != nil {
			return false, fmt.Errorf("%s: the assignment %s: %w", file, a.Name, err)
		}
		st.Assignments = append(st.Assignments, assignment)
	}
	return true, nil
}

// write makes the state durable: after a crash the file is the old one or this one.
func (st *state) write(file string) error {
	d := document{Version: fileVersion, Roles: []roleDoc{}, Assignments: []assignmentDoc{}}
	for _, r := range st.Roles {
		doc := roleDoc{
			ID: r.ID, Name: r.Name, Description: r.Description, Scopes: r.Scopes,
			Created: r.Created, Updated: r.Updated, CreatedBy: r.CreatedBy, UpdatedBy: r.UpdatedBy,
		}
		for _, p := range r.Permissions {
			doc.Permissions = append(doc.Permissions, permissionsDoc(p))
		}
		d.Roles = append(d.Roles, doc)
	}
	for _, a := range st.Assignments {
		d.Assignments = append(d.Assignments, assignmentDoc(a))
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return smallfile.Write(file, append(b, '\n'))
}
