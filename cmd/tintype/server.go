package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/audit"
	"tintype/internal/blob"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/deploy"
	"tintype/internal/graph"
	"tintype/internal/identity"
	"tintype/internal/lsd"
	"tintype/internal/meter"
	"tintype/internal/nbd"
	"tintype/internal/rbac"
	"tintype/internal/records"
	"tintype/internal/tlsca"
	"tintype/internal/vault"
	"tintype/internal/vfs"
)

// server is everything that serve runs. Its parts are opened in the order in which they need each other.
type server struct {
	opt    serveOptions
	now    func() time.Time
	log    *slog.Logger
	stderr io.Writer // of commands that are run
	url    string

	closers []func() error // in the order of opening
	failed  chan error     // a door that stopped by itself

	listeners *listeners
	private   *listeners // nil when there is no private door
	identity  *identity.Service
	roles     *rbac.Service
	router    *arm.Router
	activity  *audit.Service
	ring      *lsd.KeyRing
	vaults    *vault.Service
	authority *tlsca.Authority
	engine    *lsd.Store
	catalog   *catalog.Catalog
	nbd       *nbd.Server
	socket    string
	vhost     vhostDoor
	signer    *blob.Signer
	blobs     *blob.Handler
	meter     *meter.Service
	metrics   *metrics
	records   *records.Copier
	ready     atomic.Bool
	compute   *compute.Service
	deploy    *deploy.Service
}

func (s *server) open(ctx context.Context) error {
	s.failed = make(chan error, 8)
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"metrics", s.openMetrics},
		{"listen", s.openListeners},
		{"identity", s.openIdentity},
		{"token keys", s.openTokenKeys},
		{"vaults", s.openVaults},
		{"engine", s.openEngine},
		{"catalog", s.openCatalog},
		{"activity log", s.openActivity},
		{"NBD", s.openNBD},
		{"shared memory", s.openVhost},
		{"usage", s.openMeter},
		{"copies of the records", s.openRecords},
		{"disks and snapshots", s.openCompute},
		{"HTTPS", s.openHTTPS},
		{"managed identities", s.openLocal},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	s.ready.Store(true)
	return nil
}

// close ends everything in reverse order. What fails does not keep the rest from being closed.
func (s *server) close() error {
	s.ready.Store(false)
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	s.closers = nil
	return err
}

func (s *server) onClose(f func() error) { s.closers = append(s.closers, f) }

// wait returns nil when ctx ends, or the error of a door that stopped by itself.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// openListeners takes the port before anything else is touched: everything that is written down holds its URL.
func (s *server) openListeners(context.Context) error {
	var err error
	if s.listeners, err = listen(s.opt.listen, s.log); err != nil {
		return err
	}
	s.url = s.listeners.url()
	s.onClose(s.listeners.close)
	if s.opt.privateListen != "" {
		if s.private, err = listen(s.opt.privateListen, s.log); err != nil {
			return err
		}
		s.onClose(s.private.close)
	}
	return nil
}

func (s *server) openIdentity(context.Context) error {
	if err := s.identityIsWhole(); err != nil {
		return err
	}
	keys := filepath.Join(s.opt.data, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return err
	}
	var err error
	if s.authority, err = tlsca.Open(keys, s.now); err != nil {
		return err
	}
	key, err := identity.OpenSecret(filepath.Join(keys, "sas.key"), 2*blob.MinKey)
	if err != nil {
		return err
	}
	if s.signer, err = blob.NewSigner(key); err != nil {
		return err
	}
	s.identity, err = identity.Open(identity.Options{
		Dir: s.opt.data, Now: s.now, Log: s.log, KeyAge: s.opt.tokenKeyAge,
		Origin: s.origin(), SignIn: s.signedIn, Local: s.opt.local.users,
		// Roles are opened next, and before anybody asks.
		MayAssign: func(p identity.Principal, id string) bool { return s.roles.Allowed(p, identity.AssignAction, id) },
		Gone:      func(objectID string) error { return s.roles.ForgetPrincipal(objectID) },
	})
	if err != nil {
		return err
	}
	s.roles, err = rbac.Open(rbac.Options{
		Dir: s.opt.data, First: s.identity.First().ObjectID, Subscription: string(s.identity.Subscriptions()[0].ID), Now: s.now,
		Groups: func(objectID string) []string { return s.identity.MemberOf(objectID, true) },
	})
	return err
}

func (s *server) origin() identity.Origin {
	return identity.Origin{Names: s.listeners.names, Default: s.url}
}

// guard says who is asking and what they may do.
type guard struct {
	*identity.Service
	roles *rbac.Service
}

func (g guard) Allowed(p identity.Principal, action, scope string) bool {
	return g.roles.Allowed(p, action, scope)
}

func (g guard) AllowedBelow(p identity.Principal, action, scope string) bool {
	return g.roles.AllowedBelow(p, action, scope)
}

func (g guard) Sees(p identity.Principal, scope string) bool { return g.roles.Sees(p, scope) }

// graph is the door at which principals are looked up and made: made by whoever may give roles on the subscription, because
// they could give them to themselves anyway.
func (s *server) graph() http.Handler {
	return graph.New(graph.Options{
		Identity: s.identity, Authenticate: s.identity.AuthenticateGraph, Gone: s.roles.ForgetPrincipal, Audit: s.activity, BaseURL: s.origin().BaseURL, Now: s.now, Log: s.log,
		MayWrite: func(p identity.Principal) bool {
			return s.roles.Allowed(p, "Microsoft.Authorization/roleAssignments/write", "/subscriptions/"+string(s.identity.Subscriptions()[0].ID))
		},
	})
}

func (s *server) openEngine(context.Context) error {
	ring := s.ring
	store, err := lsd.Open(vfs.OS(), filepath.Join(s.opt.data, "engine"), lsd.Options{
		Log: s.log, Now: s.now, Keys: ring, Zones: s.opt.zoneDirs, ScrubRate: s.opt.scrubRate << 20,
		Overhead: float64(s.opt.overhead) / 100, Memory: pageCache(), MapMemory: s.opt.mapMemory << 20, AsWritten: !s.opt.order,
	})
	if err != nil {
		return s.opt.keys.explain(err, s.opt.data)
	}
	s.engine = store
	s.onClose(store.Close)
	return s.settleKeys(ring)
}

// settleKeys ends what a change of keys left over: the store needs the current one alone now.
func (s *server) settleKeys(ring *lsd.KeyRing) error {
	s.log.Info("disks are encrypted", "key", ring.Current.ID(), "from", s.opt.keys.source(s.opt.data))
	if len(ring.Others) == 0 {
		return nil
	}
	if err := s.engine.Rewrap(lsd.KeyRing{Current: ring.Current}); err != nil {
		s.log.Warn("the key could not be changed, and older ones are still needed", "error", err)
		return nil
	}
	if s.opt.keys.platform() {
		return settlePlatformKey(s.opt.data)
	}
	for _, k := range ring.Others {
		s.log.Info("a key is not needed any more, but for copies of the data folder made before", "key", k.ID())
	}
	return nil
}

func (s *server) openCatalog(ctx context.Context) error {
	if err := s.catalogIsWhole(); err != nil {
		return err
	}
	c, err := catalog.Open(ctx, filepath.Join(s.opt.data, "catalog.db"))
	if err != nil {
		return err
	}
	s.catalog = c
	s.onClose(c.Close)
	return s.catalogIsKnown(ctx)
}

func (s *server) openActivity(ctx context.Context) error {
	var err error
	if s.activity, err = audit.Open(ctx, filepath.Join(s.opt.data, "activity.db"), s.now, s.log); err != nil {
		return err
	}
	s.onClose(s.activity.Close)
	return nil
}

// signedIn tells the activity log of a login. The listeners serve after the log is open.
func (s *server) signedIn(e identity.SignIn) {
	event := audit.Event{
		Time: e.Time, Operation: uuid.NewString(), Correlation: uuid.NewString(), Resource: "/providers/Tintype.Identity/signIns", Provider: "Tintype.Identity",
		Type: "Tintype.Identity/signIns", Action: "Tintype.Identity/signIns/action", Category: "Security", Address: e.Address,
		Caller: e.App, ObjectID: e.ObjectID, AppID: e.App, User: e.User, Tenant: s.identity.Tenant().ID, Status: audit.Succeeded, Message: e.Grant,
	}
	if e.User != "" {
		event.Caller = e.User
	}
	if e.Failure != "" {
		event.Status, event.Code, event.Message = audit.Failed, e.Failure, "The login was refused."
	}
	s.activity.Record(event)
}

// operationEnded tells the activity log.
func (s *server) operationEnded(op tintype.Operation) {
	status, code, message := audit.Succeeded, "", ""
	if op.State == tintype.Failed {
		status = audit.Failed
	}
	if op.Failure != nil {
		code, message = op.Failure.Code, op.Failure.Message
	}
	s.activity.Ended(op.ID.String(), status, code, message)
}

// stopTimeout is how long requests in progress may take after a stop was asked for.
const stopTimeout = 10 * time.Second

func (s *server) openNBD(context.Context) error {
	s.nbd = nbd.NewServer(nbd.Options{Log: s.log, Watch: s.metrics.watch()})
	var err error
	if s.socket, err = socketPath(s.opt.data); err != nil {
		return err
	}
	s.onClose(s.closeNBD)
	unix, err := listenSocket(s.socket)
	if err != nil {
		return err
	}
	s.serveNBD(unix)
	if s.opt.nbdListen == "" {
		return nil
	}
	tcp, err := net.Listen("tcp", s.opt.nbdListen)
	if err != nil {
		return err
	}
	s.log.Warn("NBD over TCP is neither encrypted nor does it ask who is there", "address", tcp.Addr().String())
	s.serveNBD(tcp)
	return nil
}

func (s *server) serveNBD(l net.Listener) {
	go func() {
		if err := s.nbd.Serve(l); err != nil && !errors.Is(err, nbd.ErrShutdown) {
			s.failed <- fmt.Errorf("NBD at %s: %w", l.Addr(), err)
		}
	}()
}

func (s *server) closeNBD() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.nbd.Shutdown(ctx); err != nil {
		s.log.Warn("NBD clients were cut off", "error", err)
	}
	return nil
}

// openCompute opens the domain. Blobs and domain need each other: the door opens what the domain granted, and the domain
// has the door cut off what it revoked.
func (s *server) openCompute(ctx context.Context) error {
	if err := s.vaultsAreWhole(ctx); err != nil {
		return err
	}
	s.compute = compute.New(compute.Options{
		ZoneRedundant: len(s.opt.zoneDirs) > 0, Quota: s.opt.quota, OpenImport: s.importer().open, Peers: s.opt.peers,
		Catalog: s.catalog, Volumes: watched{s.engine, s.metrics}, Exporter: exporter{server: s.nbd, socket: s.socket, vhost: s.vhost}, Now: s.now, Log: s.log,
		Ended:    s.operationEnded,
		CutGrant: func(id uuid.UUID) { s.blobs.Revoke(id.String()) },
		BlobURL:  func(g tintype.Grant) string { return s.endpoint(s.url).URL(resourceOf(g)) },

		StoreStats: func() any { return s.engine.Stats() },
		Health:     health{s.engine},
		RotateKey:  s.rotation(),

		Vaults: s.vaults, Keys: volumeKeys{s.engine}, Identities: s.identity,
	})
	var err error
	s.blobs, err = blob.New(blob.Options{Signer: s.signer, Grants: grants{s.compute, s.identity, s.roles, s.privatePort()}, Now: s.now, Log: s.log})
	if err != nil {
		return err
	}
	s.onClose(s.compute.Close)
	return s.compute.Start(ctx)
}

// doors are where HTTPS is served, and the names that its certificate holds.
func (s *server) doors() (all []net.Listener, names []string) {
	all, names = slices.Clone(s.listeners.all), slices.Clone(s.listeners.names)
	if s.private != nil {
		all, names = append(all, s.private.all...), append(names, s.private.names...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return all, names
}

// privatePort is the port of the private door, 0 when there is none.
func (s *server) privatePort() int {
	if s.private == nil {
		return 0
	}
	return s.private.port
}

// signURL makes the URL that opens a grant's blob, at the private door if that is where the grant leads.
func (s *server) signURL(base string, g tintype.Grant) string {
	if g.Private && s.private != nil {
		base = s.private.url()
	}
	return s.signer.SignURL(s.endpoint(base), resourceOf(g))
}

// endpoint is where blobs are served for callers who reach us at base.
func (s *server) endpoint(base string) blob.Endpoint {
	host := strings.TrimPrefix(base, "https://")
	if s.opt.blobDomain == "" {
		return blob.Endpoint{Host: host}
	}
	domain := strings.Trim(s.opt.blobDomain, ".")
	if _, port, err := net.SplitHostPort(host); err == nil {
		domain = net.JoinHostPort(domain, port)
	}
	return blob.Endpoint{Host: host, Domain: domain}
}

func (s *server) openHTTPS(ctx context.Context) error {
	if err := s.identity.WriteClient(filepath.Join(s.opt.data, "client"), s.authority.PEM(), strings.Trim(s.opt.blobDomain, ".")); err != nil {
		return err
	}
	s.deploy = deploy.New(deploy.Options{
		Catalog: s.catalog, Now: s.now, Log: s.log, Tenant: s.identity.Tenant(), Subscriptions: s.identity.Subscriptions,
	})
	var err error
	s.router, err = arm.New(arm.Options{
		Guard: guard{s.identity, s.roles}, Groups: s.compute, Locks: s.compute, Tags: s.compute, Vaults: s.vaults, Identities: s.identity, Moves: s.compute, Registrations: s.identity, Roles: s.roles, Activity: s.activity, Limits: s.opt.limits, PrincipalType: s.identity.PrincipalType, Types: s.types(), Region: s.opt.region, Now: s.now, Log: s.log,
		BaseURL: s.origin().BaseURL,
	})
	if err != nil {
		return err
	}
	s.onClose(s.deploy.Close)
	if err := s.deploy.Start(ctx, s.router); err != nil {
		return err
	}
	api, err := s.record(s.router)
	if err != nil {
		return err
	}
	front := &front{
		arm: api, identity: s.identity, graph: s.graph(), blobs: s.blobs, vaults: s.vaultDoor(), reports: arm.ReportHandler(s.meter, s.now, s.log),
		healthz: s.healthz, readyz: s.readyz, metrics: s.metrics, log: s.log,
	}
	doors, names := s.doors()
	leaves := s.authority.Leaves(names, s.opt.blobDomain)
	web := &http.Server{
		Handler:           front,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: leaves.Get},
	}
	s.metrics.registry.MustRegister(holdings{s})
	s.onClose(func() error { return s.closeWeb(web, front) })
	for _, l := range doors {
		go func() {
			if err := web.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("HTTPS at %s: %w", l.Addr(), err)
			}
		}()
	}
	return s.serveNear(front)
}

// closeWeb lets requests end, then cuts them off, and returns when no handler runs any more: what they use is closed
// next.
func (s *server) closeWeb(web *http.Server, front *front) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := web.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
		if err := web.Close(); err != nil {
			return err
		}
	}
	front.running.Wait()
	return nil
}

// types are the resource types beside ARM's own.
func (s *server) types() []arm.Type {
	volumes := arm.ComputeTypes(arm.ComputeOptions{
		Volumes: s.compute, Companions: s.compute, Points: s.compute, Machines: s.compute, Images: s.compute, Tenant: s.identity.Tenant().ID, Allowed: s.roles.Allowed,
		SignURL: s.signURL, Peer: s.opt.peers.Has, Identities: s.identity,
	})
	usage := arm.UsageTypes(arm.UsageOptions{Usage: s.meter, Budgets: s.meter, SubscriptionName: s.subscriptionName})
	vaults := arm.VaultTypes(arm.VaultOptions{Vaults: s.vaults, Groups: s.compute})
	return slices.Concat(volumes, vaults, arm.IdentityTypes(s.identity, s.compute), arm.StoreTypes(s.compute), usage, s.deploy.Types())
}
