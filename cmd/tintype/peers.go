package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tintype"
	"tintype/internal/compute"
	"tintype/internal/peer"
	"tintype/internal/transfer"
)

// peers are the servers that this one may copy snapshots from, by subscription.
type peers map[tintype.SubscriptionID]*peer.Client

// principalFile is what a server writes into its folder client, and whoever makes a principal for another server writes alike.
type principalFile struct {
	AppID           string `json:"appId"`
	Password        string `json:"password"`
	Tenant          string `json:"tenant"`
	SubscriptionID  string `json:"subscriptionId"`
	ResourceManager string `json:"resourceManager"`
}

// openPeers reads the folders with what is needed to log in at other servers: principal.json and ca.pem.
func openPeers(dirs []string, now func() time.Time) (peers, error) {
	all := peers{}
	for _, dir := range dirs {
		p, err := readPrincipal(dir)
		if err != nil {
			return nil, err
		}
		sub, err := tintype.ParseSubscriptionID(p.SubscriptionID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", filepath.Join(dir, "ca.pem"))
		}
		client, err := peer.New(peer.Options{URL: p.ResourceManager, Roots: roots, Now: now, Credentials: func() (peer.Credentials, error) {
			p, err := readPrincipal(dir)
			return peer.Credentials{Tenant: p.Tenant, ID: p.AppID, Secret: p.Password}, err
		}})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if all[sub] != nil {
			return nil, fmt.Errorf("%s: there is another peer with subscription %s", dir, sub)
		}
		all[sub] = client
	}
	return all, nil
}

// readPrincipal reads DIR/principal.json, which holds a secret.
func readPrincipal(dir string) (p principalFile, err error) {
	name := filepath.Join(dir, "principal.json")
	info, err := os.Stat(name)
	if err != nil {
		return p, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return p, fmt.Errorf("%s holds a secret and others may read it: chmod 600", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Has tells whether one of the peers has the subscription.
func (p peers) Has(sub tintype.SubscriptionID) bool { return p[sub] != nil }

var errNoPeer = errors.New("the server that had the snapshot is no peer any more")

func (p peers) of(id tintype.ResourceID) (*peer.Client, error) {
	if c := p[id.Subscription]; c != nil {
		return c, nil
	}
	return nil, errNoPeer
}

func (p peers) Snapshot(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error) {
	c, err := p.of(id)
	if err != nil {
		return tintype.Volume{}, err
	}
	return c.Snapshot(ctx, id)
}

func (p peers) Grant(ctx context.Context, id tintype.ResourceID, d time.Duration) (string, error) {
	c, err := p.of(id)
	if err != nil {
		return "", err
	}
	return c.Grant(ctx, id, d)
}

func (p peers) Release(ctx context.Context, id tintype.ResourceID) error {
	c, err := p.of(id)
	if err != nil {
		return err
	}
	return c.Release(ctx, id)
}

func (p peers) Open(ctx context.Context, id tintype.ResourceID, url string) (compute.PeerImage, error) {
	c, err := p.of(id)
	if err != nil {
		return nil, err
	}
	b, err := transfer.OpenBlob(ctx, c.HTTP(), url)
	if err != nil {
		return nil, peerRefusal(err)
	}
	return peerImage{b}, nil
}

// peerImage is a snapshot behind a signed URL.
type peerImage struct{ blob *transfer.Blob }

func (i peerImage) Size() int64 { return i.blob.Size() }

func (i peerImage) ReadAt(ctx context.Context, p []byte, off int64) error {
	return peerRefusal(i.blob.ReadAt(ctx, p, off))
}

// Changes asks for the difference. Where there is none to be had, because the older snapshot is gone meanwhile, everything may have
// changed.
func (i peerImage) Changes(ctx context.Context, since time.Time) ([]compute.PeerChange, error) {
	var all []compute.PeerChange
	if !since.IsZero() {
		list, err := i.blob.Changes(ctx, since)
		var refusal *transfer.ServerError
		if err == nil {
			for _, c := range list {
				all = append(all, compute.PeerChange{Start: c.Start, Length: c.Length, Data: c.Data})
			}
			return all, nil
		}
		if !errors.As(err, &refusal) || refusal.Status == http.StatusForbidden || refusal.Status == http.StatusUnauthorized || refusal.Status >= 500 {
			return nil, peerRefusal(err)
		}
	}
	end := int64(0)
	clear := func(to int64) {
		if !since.IsZero() && to > end {
			all = append(all, compute.PeerChange{Start: end, Length: to - end})
		}
	}
	err := i.blob.Data(ctx, func(off, n int64) bool {
		clear(off)
		all = append(all, compute.PeerChange{Start: off, Length: n, Data: true})
		end = off + n
		return true
	})
	clear(i.Size())
	return all, peerRefusal(err)
}

// peerRefusal makes a refused signed URL what the domain takes for one.
func peerRefusal(err error) error {
	var refusal *transfer.ServerError
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return &tintype.Error{Kind: tintype.KindForbidden, Code: "PeerRefused", Message: "The other server refused a signed URL.", Cause: err}
	}
	return err
}
