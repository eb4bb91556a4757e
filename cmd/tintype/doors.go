package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/blob"
	"tintype/internal/block"
	"tintype/internal/compute"
	"tintype/internal/identity"
	"tintype/internal/nbd"
	"tintype/internal/rbac"
)

// exporter lets the domain attach volumes to the NBD server, and to virtual machines.
type exporter struct {
	server *nbd.Server
	socket string
	vhost  vhostDoor
}

func (e exporter) Export(name string, dev block.Device, readOnly bool, description string, older []compute.Older) error {
	x := nbd.Export{Name: name, Device: dev, ReadOnly: readOnly, Description: description}
	for _, o := range older {
		x.Bitmaps = append(x.Bitmaps, nbd.Bitmap{Name: o.Name, Older: o.Device})
	}
	if err := e.server.Add(x); err != nil {
		return err
	}
	if err := e.vhost.add(name, dev, readOnly); err != nil {
		return errors.Join(err, e.server.Remove(name))
	}
	return nil
}

func (e exporter) ExportChanges(name string, dev block.Device, description string, older compute.Older) error {
	return e.server.Add(nbd.Export{Name: name, Device: dev, ReadOnly: true, Description: description, Changes: older.Device})
}

func (e exporter) Unexport(name string) error {
	err := e.vhost.remove(name)
	if gone := e.server.Remove(name); !errors.Is(gone, nbd.ErrExportUnknown) {
		err = errors.Join(err, gone)
	}
	return err
}

func (e exporter) Socket(name string) string { return e.vhost.socket(name) }

func (e exporter) URI(name string) string {
	// As RFC 3986 has it, not as forms do: a plus means itself to NBD clients.
	socket := strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(e.socket))
	return "nbd+unix:///" + url.PathEscape(name) + "?socket=" + socket
}

// maxSocketPath bounds a unix socket's path: Linux takes 107 bytes.
const maxSocketPath = 100

// socketPath is DIR/nbd.sock, or where that is too long, a folder of our own named after DIR: the same after a restart.
func socketPath(data string) (string, error) {
	path := filepath.Join(data, "nbd.sock")
	if len(path) <= maxSocketPath {
		return path, nil
	}
	sum := sha256.Sum256([]byte(data))
	name := strconv.Itoa(os.Getuid()) + "-" + hex.EncodeToString(sum[:8])
	for _, root := range []string{"/run", os.TempDir()} {
		dir := filepath.Join(root, "tintype-"+name)
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			continue
		}
		// In a folder that others can write to, the name may be taken by a stranger.
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
			continue
		}
		return filepath.Join(dir, "nbd.sock"), nil
	}
	return "", fmt.Errorf("%s is too long for a socket, and neither /run nor %s takes a folder for it", path, os.TempDir())
}

// listenSocket opens the socket. A socket that a crash left behind is removed: the data folder's lock is ours.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// grants lets the blob door open what the domain granted.
type grants struct {
	compute  *compute.Service
	identity *identity.Service
	roles    *rbac.Service
	private  int // port of the private door, 0 when there is none
}

// door tells where the request came in.
func (g grants) door(ctx context.Context) compute.Door {
	at, ok := ctx.Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return compute.Door(ok && g.private != 0 && at.Port == g.private)
}

// mayUse asks for a token for the bytes of disks, and a role with the data action on the resource.
func (g grants) mayUse(resource tintype.ResourceID) func(*http.Request, bool) error {
	return func(r *http.Request, write bool) error {
		who, err := g.identity.AuthenticateDisk(r)
		if err != nil {
			return err
		}
		action := resource.Kind.Type() + "/download/action"
		if write {
			action = resource.Kind.Type() + "/upload/action"
		}
		if !g.roles.AllowedData(who, action, resource.String()) {
			return blob.ErrNoGrant
		}
		return nil
	}
}

// Open finds the grant that a signed URL names. Account and container are part of what was signed, and are compared too.
func (g grants) Open(ctx context.Context, r blob.Resource) (blob.Grant, error) {
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return blob.Grant{}, blob.ErrNoGrant
	}
	grant, dev, err := g.compute.OpenGrant(ctx, id, g.door(ctx))
	if err != nil {
		var refused *tintype.Error
		if errors.As(err, &refused) && refused.Kind == tintype.KindForbidden {
			return blob.Grant{}, blob.ErrNoGrant
		}
		return blob.Grant{}, err
	}
	if grant.Account != r.Account || grant.Container != r.Container {
		return blob.Grant{}, errors.Join(blob.ErrNoGrant, dev.Close())
	}
	out := blob.Grant{
		Device: dev, Bytes: grant.Bytes, Expires: grant.Expires, Version: grant.ID.String(),
		Moved: func(read, written int64) { g.compute.CountUse(grant.ID, read, written) },
	}
	out.Identity.Unique, out.Identity.Created = grant.UniqueID, grant.Created
	if grant.Token {
		out.Authorize = g.mayUse(grant.Resource)
		out.Challenge = g.identity.DiskChallenge()
	}
	if grant.Resource.Kind != tintype.KindDisk && !grant.Upload {
		out.Version = grant.Volume.String() // a snapshot's bytes never change
	}
	if grant.Format == tintype.FormatVHDX {
		out.Device = blob.NewVHDX(dev, grant.Bytes, grant.Sector, out.Identity)
		out.Bytes, out.Whole = out.Device.Size(), true
		out.Version += "-vhdx"
	}
	if grant.Upload {
		out.Footer = footer{g.compute, id}
	}
	return out, nil
}

// OpenEarlier finds a snapshot for a comparison by the time at which it was made.
func (g grants) OpenEarlier(ctx context.Context, r blob.Resource, made time.Time) (blob.Grant, error) {
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return blob.Grant{}, blob.ErrNoGrant
	}
	older, dev, err := g.compute.OpenEarlier(ctx, id, made)
	var refused *tintype.Error
	switch {
	case errors.As(err, &refused) && refused.Kind == tintype.KindForbidden:
		return blob.Grant{}, blob.ErrNoGrant
	case errors.As(err, &refused) && refused.Kind == tintype.KindNotFound:
		return blob.Grant{}, blob.ErrNoEarlier
	case err != nil:
		return blob.Grant{}, err
	}
	out := blob.Grant{Device: dev, Bytes: older.Size, Version: older.Store.String()}
	out.Identity.Unique, out.Identity.Created = older.UniqueID, older.Created
	return out, nil
}

// footer keeps an upload's last 512 bytes in the catalog.
type footer struct {
	compute *compute.Service
	grant   uuid.UUID
}

func (f footer) Load(ctx context.Context) ([]byte, error) { return f.compute.Footer(ctx, f.grant) }

func (f footer) Store(ctx context.Context, b []byte) error {
	return f.compute.SaveFooter(ctx, f.grant, b)
}

func resourceOf(g tintype.Grant) blob.Resource {
	return blob.Resource{Account: g.Account, Container: g.Container, ID: g.ID.String()}
}
