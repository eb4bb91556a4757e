package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/catalog"
	"tintype/internal/identity"
	"tintype/internal/template"
)

// Options of a [Service]. All are needed.
type Options struct {
	Catalog *catalog.Catalog
	Now     func() time.Time
	Log     *slog.Logger
	Tenant  identity.Tenant
	// Subscriptions of the tenant, all of them.
	Subscriptions func() []identity.Subscription
}

// Server carries out requests of the service's own; *arm.Router is the real one.
type Server interface {
	Perform(ctx context.Context, who identity.Principal, method, target string, body []byte) arm.Reply
	Check(ctx context.Context, who identity.Principal, method, target string, body []byte) *arm.Error
	// Version is the newest api-version at which the resource can be read.
	Version(id string) string
}

// maxKept is how many ended deployments of a group stay in its history, as Azure's.
const maxKept = 800

// maxRunning bounds the deployments that run at once, nested ones included.
const maxRunning = 200

// Service deploys templates. Its methods may be called by many goroutines once Start has returned.
type Service struct {
	opt    Options
	server Server
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex
	runs map[string]*run // by key
	asks map[string]*ask // what-ifs, by operation
}

// New makes a service; Types go into the table of the server that Start is given.
func New(opt Options) *Service {
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{opt: opt, ctx: ctx, cancel: cancel, runs: map[string]*run{}, asks: map[string]*ask{}}
}

// Start goes on with the deployments that had not ended.
func (s *Service) Start(ctx context.Context, server Server) error {
	s.server = server
	var keys []string
	err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		keys, err = tx.RunningDeployments()
		return err
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := s.resume(ctx, key); err != nil {
			return fmt.Errorf("resume %s: %w", key, err)
		}
	}
	return nil
}

// Close stops all work. What was accepted goes on at the next start.
func (s *Service) Close() error {
	s.cancel()
	s.done.Wait()
	return nil
}

// now is the time in the resolution that clients see.
func (s *Service) now() time.Time { return s.opt.Now().UTC().Truncate(100) }

// resume runs a deployment again from its record.
func (s *Service) resume(ctx context.Context, key string) error {
	rec, text, err := s.load(ctx, key)
	if err != nil {
		return err
	}
	in, err := s.bind(rec, text, rec.given())
	if err != nil {
		rec.State, rec.Changed = failed, s.now()
		rec.Error = &arm.Detail{Code: "DeploymentFailed", Message: err.Error()}
		rec.forgetSecrets()
		return s.save(ctx, rec, nil)
	}
	s.launch(rec, in)
	return nil
}

func (s *Service) load(ctx context.Context, key string) (*record, []byte, error) {
	var d catalog.Deployment
	err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		d, err = tx.Deployment(key)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	rec, err := fromRow(d)
	return rec, d.Template, err
}

func (s *Service) save(ctx context.Context, rec *record, text []byte) error {
	row, err := rec.row(text)
	if err != nil {
		return err
	}
	return s.opt.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if text == nil {
			if err := there(tx, rec); err != nil {
				return err
			}
		}
		return tx.PutDeployment(row)
	})
}

// there fails with catalog.ErrNotFound when the deployment was deleted with its group while it ran. Another one may have its name by then.
func there(tx *catalog.Tx, rec *record) error {
	d, err := tx.Deployment(rec.key())
	if err != nil {
		return err
	}
	now, err := fromRow(d)
	if err == nil && now.Operation != rec.Operation {
		err = catalog.ErrNotFound
	}
	return err
}

func (s *Service) saveOperation(ctx context.Context, rec *record, op operation) error {
	doc, err := json.Marshal(op)
	if err != nil {
		return err
	}
	return s.opt.Catalog.Update(ctx, func(tx *catalog.Tx) error {
		if err := there(tx, rec); err != nil {
			return err
		}
		return tx.PutDeploymentOperation(rec.key(), op.ID, doc)
	})
}

func (s *Service) operations(ctx context.Context, key string) ([]operation, error) {
	var docs [][]byte
	err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		docs, err = tx.DeploymentOperations(key)
		return err
	})
	ops := make([]operation, len(docs))
	for i, doc := range docs {
		err = errors.Join(err, json.Unmarshal(doc, &ops[i]))
	}
	return ops, err
}

// group finds the place's group, and refuses one that is not there or going.
func (s *Service) group(ctx context.Context, p place) (tintype.Group, error) {
	var g tintype.Group
	err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		g, err = tx.Group(p.groupKey())
		return err
	})
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return g, tintype.GroupNotFound(p.Group)
	case err == nil && g.State == tintype.StateDeleting:
		return g, tintype.GroupBeingDeleted(g.Name)
	}
	return g, err
}

// bind reads the template and gives it parameters and what it may know of the place.
func (s *Service) bind(rec *record, text []byte, given map[string]any) (*template.Instance, error) {
	doc, err := template.Decode(text)
	if err != nil {
		return nil, &template.Error{Message: err.Error()}
	}
	t, err := template.From(doc)
	if err != nil {
		return nil, err
	}
	env, err := s.environment(rec, doc)
	if err != nil {
		return nil, err
	}
	if t.Subscription() != (rec.Group == "") {
		return nil, &template.Error{Path: "$schema", Message: "The template's schema is not one for a deployment of this scope. " +
			"Please see https://aka.ms/arm-deployment-resources for usage details."}
	}
	return t.Bind(given, env)
}

func (s *Service) environment(rec *record, doc any) (template.Environment, error) {
	sub := "/subscriptions/" + string(rec.Subscription)
	name := ""
	for _, known := range s.opt.Subscriptions() {
		if known.ID == rec.Subscription {
			name = known.Name
		}
	}
	deployment := map[string]any{
		"name": rec.Name, "properties": map[string]any{"template": doc, "templateHash": rec.Hash, "mode": rec.Mode, "provisioningState": string(accepted)},
	}
	env := template.Environment{
		Subscription: map[string]any{"id": sub, "subscriptionId": string(rec.Subscription), "tenantId": s.opt.Tenant.ID, "displayName": name},
		Tenant:       map[string]any{"id": "/tenants/" + s.opt.Tenant.ID, "tenantId": s.opt.Tenant.ID, "displayName": s.opt.Tenant.Name, "countryCode": ""},
		Deployment:   deployment, Scope: rec.scope(), Now: rec.Began, NewGUID: uuid.NewString,
		Cloud: map[string]any{
			"name": "Tintype", "resourceManager": rec.BaseURL, "authentication": map[string]any{"loginEndpoint": rec.BaseURL, "audiences": []any{rec.BaseURL}, "tenant": s.opt.Tenant.ID, "identityProvider": "AAD"},
			"suffixes": map[string]any{},
		},
		Deployer: map[string]any{"objectId": rec.Caller.ObjectID, "tenantId": rec.Caller.Tenant},
	}
	if rec.Group == "" {
		deployment["location"] = rec.Location
		return env, nil
	}
	g, err := s.group(s.ctx, rec.place)
	if err != nil {
		return env, err
	}
	tags := map[string]any{}
	for k, v := range g.Tags {
		tags[k] = v
	}
	env.Group = map[string]any{
		"id": g.ID(), "name": g.Name, "type": "Microsoft.Resources/resourceGroups", "location": g.Location, "tags": tags,
		"properties": map[string]any{"provisioningState": "Succeeded"},
	}
	env.Scope = g.ID()
	return env, nil
}
