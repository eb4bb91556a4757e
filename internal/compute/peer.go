package compute

import (
	"context"
	"errors"
	"strings"
	"time"

	"tintype"
	"tintype/internal/catalog"
)

// Peers are other servers, from which incremental snapshots are copied. A refusal of KindNotFound says that what was asked for
// is not there, one of KindForbidden that it may not be had, and one of KindUnauthenticated that the peer does not know us, which may
// pass, as any other error may.
type Peers interface {
	// Has tells whether a peer has the subscription.
	Has(sub tintype.SubscriptionID) bool
	// Snapshot describes a snapshot.
	Snapshot(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error)
	// Grant asks for a signed URL of the snapshot's bytes.
	Grant(ctx context.Context, id tintype.ResourceID, d time.Duration) (url string, err error)
	// Release ends the access to the snapshot; where there is none, that is no error.
	Release(ctx context.Context, id tintype.ResourceID) error
	// Open opens what Grant gave access to.
	Open(ctx context.Context, id tintype.ResourceID, url string) (PeerImage, error)
}

// PeerImage is the bytes of a snapshot at a peer.
type PeerImage interface {
	Size() int64 // with a VHD's footer
	ReadAt(ctx context.Context, p []byte, off int64) error
	// Changes lists in order where the data may differ from those of the snapshot of the same disk that was made at a time, or
	// with a zero time, where there is any.
	Changes(ctx context.Context, since time.Time) ([]PeerChange, error)
}

// PeerChange is a range of bytes that changed. Without Data it reads as zeroes now.
type PeerChange struct {
	Start, Length int64
	Data          bool
}

// askPeer finds the source of a CopyStart at the server that has it, before anything is accepted. What exists already is not looked
// for again.
func (s *Service) askPeer(ctx context.Context, id tintype.ResourceID, want *tintype.Desired) error {
	if want.Creation == nil || s.opt.Peers == nil || !strings.EqualFold(want.Creation.Option, string(tintype.CreateCopyStart)) {
		return nil
	}
	from, ok := tintype.ParseResourceID(want.Creation.SourceResourceID)
	if !ok || from.Kind != tintype.KindSnapshot || from.Subscription == id.Subscription || !s.opt.Peers.Has(from.Subscription) {
		return nil
	}
	var refusal *tintype.Error
	if _, err := s.Get(ctx, id); !errors.As(err, &refusal) || refusal.Code != "ResourceNotFound" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inspectFor)
	defer cancel()
	v, err := s.opt.Peers.Snapshot(ctx, from)
	if err != nil {
		return peerError(err, from)
	}
	creation := *want.Creation
	creation.Remote, want.Creation = &v, &creation
	return nil
}

// peerError words why a snapshot at a peer can't be copied. The cause stays for the log.
func peerError(err error, from tintype.ResourceID) *tintype.Error {
	out := &tintype.Error{Kind: tintype.KindConflict, Target: "creationData.sourceResourceId", Cause: err}
	var refusal *tintype.Error
	switch {
	case errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound:
		return sourceNotFound(from.Name)
	case errors.As(err, &refusal) && (refusal.Kind == tintype.KindForbidden || refusal.Kind == tintype.KindUnauthenticated):
		out.Code, out.Message = copyDenied, "The server that has snapshot "+from.Name+" does not let this server read it."
	default:
		out.Code, out.Message = copyUnreachable, "The server that has snapshot "+from.Name+" cannot be reached. Please retry later."
	}
	return out
}

// Why a copy from another server failed, as copyCompletionError says it. Azure has the first; the others are ours.
const (
	copyGone        = "CopySourceNotFound"
	copyDenied      = "CopySourceAccessDenied"
	copyUnreachable = "CopySourceUnreachable"
)

// remoteSource checks a source at another server.
func remoteSource(v, source tintype.Volume) (*tintype.Volume, error) {
	if !source.Incremental {
		return nil, tintype.NotAllowed("CopyStart creation is only supported from an incremental snapshot, which snapshot %s is not.", source.ID.Name)
	}
	if source.Copy != nil || source.Provisioning != tintype.StateSucceeded {
		return nil, tintype.NotAllowed("Snapshot %s cannot be copied before it is complete itself.", source.ID.Name)
	}
	if source.Creation.SectorSize == tintype.LargeSector {
		return nil, tintype.NotAllowed("Snapshot %s has logical sectors of 4096 bytes, with which it cannot be copied from another server.", source.ID.Name)
	}
	if v.ID.Kind != tintype.KindSnapshot {
		return nil, tintype.NotAllowed("Only a snapshot can be a copy of a snapshot at another server.")
	}
	return &source, nil
}

// present tells how far the copy is.
func (s *Service) presentCopy(tx *catalog.Tx, v *tintype.Volume) error {
	if v.Copy == nil {
		return nil
	}
	c, err := tx.Copy(v.UniqueID)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err == nil && c.Total > 0 {
		// 100 is for what can be used.
		v.Copy.Percent = min(99, 100*float64(c.Done)/float64(c.Total))
	}
	return err
}
