package compute

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Grant accepts beginGetAccess; the operation's Grant is set.
func (s *Service) Grant(ctx context.Context, id tintype.ResourceID, r tintype.AccessRequest) (tintype.Accepted, error) {
	if err := r.Check(); err != nil {
		return tintype.Accepted{}, err
	}
	var a tintype.Accepted
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		if err := grantable(v, tintype.Access(r.Access)); err != nil {
			return err
		}
		private := v.Settings.NetworkAccess == "AllowPrivate"
		if private {
			if err := approved(tx, v); err != nil {
				return err
			}
		}
		if err := s.checkFamilyGrants(tx, v); err != nil {
			return err
		}
		if v.Creation.SectorSize == tintype.LargeSector && r.FileFormat != tintype.FormatVHDX {
			return tintype.InvalidParameter("fileFormat", "Accessing disk or snapshot with a logical sector size of 4096 requires "+
				"specifying the file format. Set the fileFormat property to VHDX.")
		}
		g := tintype.Grant{
			By: r.By, Granted: s.now(), Private: private,
			ID: uuid.New(), Resource: v.ID, Volume: v.Store, Access: tintype.Access(r.Access), Upload: v.Uploading(),
			Account: account(v.Uploading()), Container: label(), Bytes: v.Size, UniqueID: v.UniqueID, Created: v.Created,
			Format: r.FileFormat, Sector: max(v.Creation.SectorSize, 512), Expires: s.now().Add(time.Duration(r.Seconds) * time.Second),
			Token: v.Settings.DataAccessAuthMode == "AzureActiveDirectory",
		}
		v.State = tintype.ActiveSAS
		if g.Upload {
			v.State = tintype.ActiveUpload
		}
		if err := errors.Join(tx.AddGrant(g), tx.PutVolume(v)); err != nil {
			return err
		}
		var guest *tintype.Grant
		if r.GuestState {
			state, err := s.grantGuest(tx, v, g)
			if err != nil {
				return err
			}
			guest = &state
		}
		op, err := s.startGrant(tx, tintype.OpGrant, v, plan{}, &g, guest)
		a = tintype.Accepted{Operation: op, Volume: v}
		return err
	})
	if err != nil {
		return tintype.Accepted{}, err
	}
	s.kick(a.Operation.ID)
	return a, nil
}

// grantable refuses access that the volume's state or settings forbid.
func grantable(v tintype.Volume, want tintype.Access) error {
	noun, name := v.ID.Kind.Noun(), v.ID.Name
	if err := v.Whole(); err != nil {
		return err
	}
	switch {
	case v.State == tintype.Attached:
		return tintype.NotAllowed("Access not permitted because %s %s is currently attached to running VM %s.", noun, name, v.HeldBy)
	case v.State == tintype.ActiveSAS || v.State == tintype.ActiveUpload:
		return tintype.NotAllowed("There is an active shared access signature outstanding for %s %s. "+
			"Call EndGetAccess before requesting access again.", noun, name)
	case v.Uploading() && want != tintype.AccessWrite:
		return tintype.NotAllowed("Access '%s' is not permitted because %s %s is in state ReadyToUpload. "+
			"Upload the %s with access 'Write' first.", want, noun, name, noun)
	case !v.Uploading() && want == tintype.AccessWrite:
		return tintype.NotAllowed("Access 'Write' is not permitted because %s %s is in state %s. "+
			"Only a %s created with createOption 'Upload' can be written.", noun, name, v.State, noun)
	case v.Settings.NetworkAccess == "DenyAll":
		return tintype.NotAllowed("Access not permitted because the networkAccessPolicy of %s %s is DenyAll.", noun, name)
	case v.Settings.PublicNetworkAccess == "Disabled" && v.Settings.NetworkAccess != "AllowPrivate":
		return tintype.NotAllowed("Access not permitted because the publicNetworkAccess of %s %s is Disabled.", noun, name)
	}
	return nil
}

// account names the grant's storage account. Clients take a host that begins with md- for a managed disk.
func account(upload bool) string {
	if upload {
		return "md-impexp-" + label()
	}
	return "md-" + label()
}

// label makes twelve letters and digits at random.
func label() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567" // 32: every five bits are one
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand says so
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b[:])
}
