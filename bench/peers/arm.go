package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/keys"
	"tintype/internal/lsd"
	"tintype/internal/rig"
	"tintype/internal/vfs"
)

const (
	armSnapshots = 100_000
	armRow       = "ARM over HTTPS, caller and server on the same processors"
	armGroup     = "/resourceGroups/bench/providers/Microsoft.Compute"
)

// armTrial asks the API of a server that has 100,000 snapshots.
func armTrial(ctx context.Context, c config, r *results) error {
	if err := c.build(); err != nil {
		return err
	}
	data := filepath.Join(c.dir, "data")
	server, err := rig.Start(ctx, rig.Options{Binary: c.binary, Data: data})
	if err != nil {
		return err
	}
	cli := func(args ...string) error {
		cmd := exec.CommandContext(ctx, c.binary, args...)
		cmd.Env = append(os.Environ(), "TINTYPE_CLIENT="+server.Client())
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("tintype %v: %w: %s", args, err, out)
		}
		return nil
	}
	err = cli("group", "create", "-n", "bench", "-l", "westus2")
	if err == nil {
		err = cli("disk", "create", "-g", "bench", "-n", "disk", "-l", "westus2", "--size-gb", "16")
	}
	if err = errors.Join(err, server.Stop()); err != nil {
		return err
	}
	began := time.Now()
	if err := seedSnapshots(ctx, data, armSnapshots); err != nil {
		return err
	}
	say("%d snapshots made in %v", armSnapshots, time.Since(began).Round(time.Millisecond))
	// The first start meters what the seeding did, which a server that had run would have done by then.
	if server, err = rig.Start(ctx, rig.Options{Binary: c.binary, Data: data}); err == nil {
		err = server.Stop()
	}
	if err != nil {
		return err
	}
	began = time.Now()
	if server, err = rig.Start(ctx, rig.Options{Binary: c.binary, Data: data}); err != nil {
		return err
	}
	r.add(figure{Row: armRow, Name: "start with 100,000 snapshots", Unit: "s", Values: []float64{time.Since(began).Seconds()}})
	caller, err := newCaller(ctx, server)
	if err == nil {
		err = caller.rows(c, r)
	}
	return errors.Join(err, server.Stop())
}

// seedSnapshots puts snapshots of the disk into the folder of a server that is stopped, a thousand at a time: through the API
// it would take minutes.
func seedSnapshots(ctx context.Context, data string, n int) (err error) {
	key, err := keys.ReadFile(filepath.Join(data, "keys", "platform.key"))
	if err != nil {
		return err
	}
	store, err := lsd.Open(vfs.OS(), filepath.Join(data, "engine"), lsd.Options{Keys: &lsd.KeyRing{Current: key}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cat, err := catalog.Open(ctx, filepath.Join(data, "catalog.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cat.Close()) }()
	var disk tintype.Volume
	err = cat.View(ctx, func(tx *catalog.Tx) error {
		all, err := tx.Volumes(tintypeDisks(data), "", 1)
		if err == nil && len(all) != 1 {
			err = errors.New("the catalog has no disk")
		}
		if err == nil {
			disk = all[0]
		}
		return err
	})
	for first := 0; first < n && err == nil; first += 1000 {
		err = seedSome(ctx, store, cat, disk, first, min(1000, n-first))
	}
	return err
}

func tintypeDisks(data string) catalog.Scope {
	s := rig.Server{Data: data}
	p, err := s.Principal()
	if err != nil {
		return catalog.Scope{}
	}
	return catalog.Scope{Subscription: tintype.SubscriptionID(p.SubscriptionID), Kind: tintype.KindDisk}
}

func seedSome(ctx context.Context, store *lsd.Store, cat *catalog.Catalog, disk tintype.Volume, first, n int) error {
	cuts, volumes := make([]block.Cut, n), make([]tintype.Volume, n)
	for i := range n {
		v := disk.Clone()
		v.ID.Kind, v.ID.Name = tintype.KindSnapshot, fmt.Sprintf("seeded-%06d", first+i)
		v.UniqueID, v.Store, v.Created = uuid.New(), uuid.New(), disk.Created.Add(time.Duration(first+i)*time.Millisecond)
		v.Creation = tintype.Creation{Option: tintype.CreateCopy, Source: disk.ID.String(), SourceUniqueID: disk.UniqueID}
		v.SKU, v.State, v.HeldBy, v.Settings.Tier = tintype.StandardLRS, tintype.Unattached, "", ""
		cuts[i], volumes[i] = block.Cut{Source: disk.Store, Snapshot: v.Store}, v
	}
	if err := store.Snapshot(cuts...); err != nil {
		return err
	}
	return cat.Update(ctx, func(tx *catalog.Tx) error {
		for _, v := range volumes {
			if err := tx.PutVolume(v); err != nil {
				return err
			}
		}
		return tx.RecordChanges(volumes[0].Created)
	})
}

// rows are the requests that are asked. Each is repeated in turn with the others.
func (c *caller) rows(conf config, r *results) error {
	during := time.Duration(conf.seconds) * time.Second
	source := c.base + armGroup + "/disks/disk"
	body := fmt.Sprintf(`{"location":"westus2","properties":{"creationData":{"createOption":"Copy","sourceResourceId":%q}}}`, source)
	rounds := min(conf.rounds, 3)
	created := int64(0)
	kinds := []struct {
		name        string
		connections int
		rate        float64 // wanted
		p99         float64 // wanted, ms
		ask         func(*connection, int64) error
	}{
		{"GET of a snapshot", 16, 2000, 0, func(k *connection, n int64) error {
			path := fmt.Sprintf("%s%s/snapshots/seeded-%06d", c.base, armGroup, n*7919%armSnapshots)
			return want(http.StatusOK)(k.send(http.MethodGet, path, ""))
		}},
		{"list of 1,000 of 100,000, page after page", 4, 0, 0, func(k *connection, _ int64) error { return k.list(1000) }},
		{"snapshot create, its durable cut included", 16, 300, 50, func(k *connection, n int64) error {
			path := fmt.Sprintf("%s%s/snapshots/made-%d", c.base, armGroup, created+n)
			return want(http.StatusAccepted)(k.send(http.MethodPut, path, body))
		}},
	}
	rates, p99s := make([][]float64, len(kinds)), make([][]float64, len(kinds))
	for range rounds {
		for i, kind := range kinds {
			a, err := c.storm(kind.connections, during, kind.ask)
			if err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			created += 1_000_000
			rates[i], p99s[i] = append(rates[i], a.perSecond), append(p99s[i], float64(a.p99.Microseconds())/1000)
		}
	}
	for i, kind := range kinds {
		r.add(figure{Row: armRow, Name: kind.name, Unit: "/s", Values: rates[i], Target: kind.rate, Note: fmt.Sprintf("%d connections", kind.connections)})
		r.add(figure{Row: armRow, Name: "its p99", Unit: "ms", Values: p99s[i], Target: kind.p99, AtMost: true})
	}
	return nil
}

// list follows the pages of the group's snapshots until it has so many.
func (k *connection) list(n int) error {
	path := k.base + armGroup + "/snapshots"
	for n > 0 {
		status, text, err := k.send(http.MethodGet, path, "")
		if err := want(http.StatusOK)(status, text, err); err != nil {
			return err
		}
		var page struct {
			Value    []json.RawMessage `json:"value"`
			NextLink string            `json:"nextLink"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return err
		}
		if len(page.Value) == 0 || page.NextLink == "" {
			return errors.New("a list that ends too early")
		}
		n -= len(page.Value)
		path = nextPath(page.NextLink)
	}
	return nil
}

// nextPath is a page's link without what send adds itself.
func nextPath(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Del("api-version")
	return u.EscapedPath() + "?" + q.Encode()
}
