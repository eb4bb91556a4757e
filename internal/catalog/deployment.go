package catalog

import (
	"database/sql"
	"math"
	"time"

	"tintype"
)

// Deployment is one deployment of a template. What is in its documents is the deployer's alone.
type Deployment struct {
	Key          string
	Subscription tintype.SubscriptionID
	Group        string // key of its group; "" at a subscription
	Running      bool
	Changed      time.Time
	Document     []byte
	Template     []byte // only written when it is not nil, and only read by Deployment
}

const deploymentColumns = "key, subscription, coalesce(group_key, ''), running, changed, document"

func scanDeployment(scan func(...any) error, more ...any) (Deployment, error) {
	var d Deployment
	var changed int64
	err := scan(append([]any{&d.Key, &d.Subscription, &d.Group, &d.Running, &changed, &d.Document}, more...)...)
	d.Changed = time.Unix(0, changed).UTC()
	return d, err
}

// PutDeployment records the deployment, new or changed. It fails when its group is gone.
func (t *Tx) PutDeployment(d Deployment) error {
	group := sql.NullString{String: d.Group, Valid: d.Group != ""}
	_, err := t.exec("INSERT INTO deployments (key, subscription, group_key, running, changed, document, template) "+
		"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO UPDATE SET running = excluded.running, changed = excluded.changed, "+
		"document = excluded.document, template = CASE excluded.template WHEN '' THEN deployments.template ELSE excluded.template END",
		d.Key, d.Subscription, group, d.Running, d.Changed.UnixNano(), string(d.Document), string(d.Template))
	return err
}

// Deployment gives the deployment of the key with its template; ErrNotFound when there is none.
func (t *Tx) Deployment(key string) (Deployment, error) {
	var template []byte
	d, err := scanDeployment(func(dest ...any) error {
		return t.one("SELECT "+deploymentColumns+", template FROM deployments WHERE key = $1", []any{key}, dest...)
	}, &template)
	d.Template = template
	return d, err
}

// DeploymentMark is a deployment's place in a list: by time and key. The zero mark is before all.
type DeploymentMark struct {
	Changed int64 // nanoseconds since 1970
	Key     string
}

// Mark is the deployment's place in a list.
func (d Deployment) Mark() DeploymentMark { return DeploymentMark{d.Changed.UnixNano(), d.Key} }

// Deployments lists up to limit deployments behind the mark, newest first: of a group, or of the subscription itself when group is "".
func (t *Tx) Deployments(sub tintype.SubscriptionID, group string, after DeploymentMark, limit int) ([]Deployment, error) {
	if after == (DeploymentMark{}) {
		after.Changed = math.MaxInt64
	}
	return all(t, func(r *sql.Rows) (Deployment, error) { return scanDeployment(r.Scan) },
		"SELECT "+deploymentColumns+" FROM deployments WHERE subscription = $1 AND coalesce(group_key, '') = $2 "+
			"AND (changed < $3 OR changed = $3 AND key > $4) ORDER BY changed DESC, key LIMIT $5", sub, group, after.Changed, after.Key, limit)
}

// RunningDeployments lists the keys of those that have not ended.
func (t *Tx) RunningDeployments() ([]string, error) {
	return all(t, scanText, "SELECT key FROM deployments WHERE running ORDER BY changed, key")
}

// TrimDeployments removes all but the newest keep of those that have ended, of the group or the subscription itself.
func (t *Tx) TrimDeployments(sub tintype.SubscriptionID, group string, keep int) error {
	_, err := t.exec("DELETE FROM deployments WHERE key IN (SELECT key FROM deployments WHERE subscription = $1 AND coalesce(group_key, '') = $2 "+
		"AND NOT running ORDER BY changed DESC, key LIMIT -1 OFFSET $3)", sub, group, keep)
	return err
}

// DeleteDeployment removes the deployment and its operations.
func (t *Tx) DeleteDeployment(key string) error {
	n, err := t.exec("DELETE FROM deployments WHERE key = $1", key)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// PutDeploymentOperation records an operation of a deployment, new or changed.
func (t *Tx) PutDeploymentOperation(deployment, id string, document []byte) error {
	_, err := t.exec("INSERT INTO deployment_operations (deployment, id, document) VALUES ($1, $2, $3) "+
		"ON CONFLICT (deployment, id) DO UPDATE SET document = excluded.document", deployment, id, string(document))
	return err
}

// DeploymentOperations lists a deployment's operations in the order of their ids.
func (t *Tx) DeploymentOperations(deployment string) ([][]byte, error) {
	return all(t, func(r *sql.Rows) (b []byte, err error) { err = r.Scan(&b); return b, err },
		"SELECT document FROM deployment_operations WHERE deployment = $1 ORDER BY id", deployment)
}

// ForgetDeploymentOperations removes the operations of a deployment that is made anew.
func (t *Tx) ForgetDeploymentOperations(deployment string) error {
	_, err := t.exec("DELETE FROM deployment_operations WHERE deployment = $1", deployment)
	return err
}
