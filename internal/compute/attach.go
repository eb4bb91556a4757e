package compute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Attach exports the volume to the host and returns once it serves. The same host gets the same attachment again, also
// after a restart; a snapshot is always read-only. The host may ask what changed since each of the snapshots since, by
// their names; these cannot be deleted while the attachment lasts.
func (s *Service) Attach(
	ctx context.Context, id tintype.ResourceID, host string, readOnly bool, since ...tintype.ResourceID,
) (tintype.Attachment, error) {
	if err := tintype.CheckHost(host); err != nil {
		return tintype.Attachment{}, err
	}
	keys, err := sinceKeys(id, since)
	if err != nil {
		return tintype.Attachment{}, err
	}
	want := catalog.Attachment{Key: id.Key(), Host: host, ReadOnly: readOnly || id.Kind == tintype.KindSnapshot, Since: keys}
	var a tintype.Attachment
	err = s.inTurn(ctx, false, func(ctx context.Context) (err error) {
		a, err = s.attach(ctx, id, want, since)
		return err
	})
	return a, err
}

// attach does that, or finds the resource, or its host's machine, busy.
func (s *Service) attach(ctx context.Context, id tintype.ResourceID, want catalog.Attachment, since []tintype.ResourceID) (tintype.Attachment, error) {
	defer s.ports.lock(id.Key())()
	host, readOnly := want.Host, want.ReadOnly
	var v tintype.Volume
	var fresh bool
	var older []tintype.Volume
	err := s.update(ctx, func(tx *catalog.Tx) (err error) {
		if v, err = s.existing(tx, id); err != nil {
			return err
		}
		if err := errors.Join(v.Whole(), s.checkPower(tx, v, host)); err != nil {
			return err
		}
		for _, o := range since {
			older, err := s.existing(tx, o)
			if err == nil {
				err = older.Whole()
			}
			if err != nil {
				return err
			}
		}
		if v.Shared() {
			fresh, err = attachShared(tx, &v, want)
			return err
		}
		if fresh, err = attachIn(tx, &v, want); err != nil {
			return err
		}
		older, err = sinceOf(tx, id.Key())
		return err
	})
	if err != nil {
		return tintype.Attachment{}, err
	}
	at := portOf(v, host)
	if err := s.export(v, at, readOnly, older); err != nil {
		if errors.Is(err, block.ErrUnrelated) {
			err = tintype.NotAllowed("%s %s cannot be compared with all of the snapshots in 'since': "+
				"they have no history in common.", title(id.Kind), id.Name)
		}
		if fresh {
			err = errors.Join(err, s.forgetAttachment(v.ID, at))
		}
		return tintype.Attachment{}, err
	}
	name := at.exportName(v)
	a := tintype.Attachment{
		Resource: v.ID, Host: host, ReadOnly: readOnly, URI: s.opt.Exporter.URI(name), VhostUser: s.opt.Exporter.Socket(name),
	}
	for _, o := range older {
		a.Changes = append(a.Changes, tintype.Changes{Since: o.ID.Name, URI: s.opt.Exporter.URI(changesName(name, o.ID.Name))})
	}
	return a, nil
}

// attachIn records the attachment unless the same host has it; fresh tells which.
func attachIn(tx *catalog.Tx, v *tintype.Volume, want catalog.Attachment) (fresh bool, err error) {
	have, err := tx.Attachment(want.Key)
	switch {
	case v.Machine != "" && !strings.EqualFold(v.Machine[strings.LastIndexByte(v.Machine, '/')+1:], want.Host):
		return false, heldByOther(*v, want.Host)
	case err == nil && have.Host != want.Host:
		return false, heldByOther(*v, want.Host)
	case err == nil && have.ReadOnly != want.ReadOnly:
		return false, tintype.NotAllowed("Disk %s is already attached to %s with another access (readOnly %v). Detach it first.",
			v.ID.Name, v.HeldBy, have.ReadOnly)
	case err == nil && len(want.Since) > 0 && !slices.Equal(have.Since, want.Since):
		return false, tintype.NotAllowed("%s %s is already attached to %s with other snapshots to compare with. Detach it first.",
			title(v.ID.Kind), v.ID.Name, v.HeldBy)
	case err == nil:
		return false, nil
	case !errors.Is(err, catalog.ErrNotFound):
		return false, err
	}
	if err := attachable(*v); err != nil {
		return false, err
	}
	v.State, v.HeldBy = tintype.Attached, tintype.HostID(v.ID.Subscription, want.Host)
	return true, errors.Join(tx.AddAttachment(want), tx.PutVolume(*v))
}

func heldByOther(v tintype.Volume, host string) error {
	_, by := v.Shown()
	return &tintype.Error{
		Kind: tintype.KindConflict, Code: "ConflictingUserInput", Target: v.ID.String(),
		Message: fmt.Sprintf("Cannot attach the disk %s to VM %s because it is already attached to VM %s. "+
			"A disk can be attached to only one VM at a time.", v.ID.Name, tintype.HostID(v.ID.Subscription, host), by),
	}
}

// Detach ends the attachment; host "" means whichever has it. It returns when no request touches the volume any more.
// Detaching what is not attached is no error.
func (s *Service) Detach(ctx context.Context, id tintype.ResourceID, host string) error {
	if host != "" {
		if err := tintype.CheckHost(host); err != nil {
			return err
		}
	}
	return s.detach(ctx, id, host, false)
}

// detach does that in turn, or as a step of an operation.
func (s *Service) detach(ctx context.Context, id tintype.ResourceID, host string, inner bool) error {
	return s.inTurn(ctx, inner, func(ctx context.Context) error { return s.endPorts(ctx, id, host) })
}

// endPorts does that, or finds the resource busy.
func (s *Service) endPorts(ctx context.Context, id tintype.ResourceID, host string) error {
	defer s.ports.lock(id.Key())()
	var ends []port
	err := s.update(ctx, func(tx *catalog.Tx) error {
		ends = nil
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		if v.Shared() {
			all, err := tx.SharedAttachments(id.Key())
			for _, a := range all {
				if host == "" || a.Host == host {
					ends = append(ends, portOf(v, a.Host))
				}
			}
			return err
		}
		have, err := tx.Attachment(id.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err == nil && host != "" && have.Host != host {
			return tintype.NotAllowed("%s %s is attached to VM %s, not to VM %s.",
				title(id.Kind), v.ID.Name, v.HeldBy, tintype.HostID(id.Subscription, host))
		}
		ends = []port{portOf(v, "")}
		return err
	})
	for _, at := range ends {
		if err == nil {
			err = s.unexport(at)
		}
		if err == nil {
			err = s.forgetAttachment(id, at)
		}
	}
	return err
}

func (s *Service) forgetAttachment(id tintype.ResourceID, at port) error {
	return s.update(s.ctx, func(tx *catalog.Tx) error {
		v, err := tx.Volume(id.Key())
		if err != nil {
			return err
		}
		if at.host != "" {
			v.Unshare(at.host)
			return errors.Join(tx.DeleteSharedAttachment(id.Key(), at.host), tx.PutVolume(v))
		}
		v.State, v.HeldBy = tintype.Unattached, ""
		return errors.Join(tx.DeleteAttachment(id.Key()), tx.PutVolume(v))
	})
}

// changesName names the export of what changed since an older snapshot.
func changesName(export, older string) string { return export + "-since-" + older }

// exported is an open device and the name under which it serves.
type exported struct {
	block.Device
	name  string
	older []Older
}

func (e exported) close() error {
	err := e.Close()
	for _, o := range e.older {
		err = errors.Join(err, o.Device.Close())
	}
	return err
}

// export opens the volume and hands it to the exporter, unless that was done before. The caller holds the port's lock.
func (s *Service) export(v tintype.Volume, at port, readOnly bool, older []tintype.Volume) error {
	s.mu.Lock()
	_, done := s.open[at]
	s.mu.Unlock()
	if done {
		return nil
	}
	dev, err := s.volumes.OpenVolume(v.Store)
	if err != nil {
		return err
	}
	e := exported{Device: dev, name: at.exportName(v)}
	if e.older, err = s.openOlder(older); err != nil {
		return errors.Join(err, e.close())
	}
	if err := s.serve(e, readOnly, v.ID.String()); err != nil {
		return errors.Join(err, s.withdraw(e), e.close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[at] = e
	return nil
}

// serve hands the device to the exporter, and what changed since each older snapshot.
func (s *Service) serve(e exported, readOnly bool, description string) error {
	if err := s.opt.Exporter.Export(e.name, e.Device, readOnly, description, e.older); err != nil {
		return err
	}
	for _, o := range e.older {
		err := s.opt.Exporter.ExportChanges(changesName(e.name, o.Name), e.Device, description+", what changed since "+o.Name, o)
		if err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes back all that serve handed out, and returns when no request touches the device.
func (s *Service) withdraw(e exported) error {
	var err error
	for _, o := range e.older {
		err = errors.Join(err, s.opt.Exporter.Unexport(changesName(e.name, o.Name)))
	}
	return errors.Join(err, s.opt.Exporter.Unexport(e.name))
}

// unexport ends the export and makes what was written durable. The caller holds the port's lock.
func (s *Service) unexport(at port) error {
	s.mu.Lock()
	e, ok := s.open[at]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	if err := s.withdraw(e); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.open, at)
	s.mu.Unlock()
	var flushed error
	if !e.ReadOnly() {
		flushed = e.Flush()
	}
	return errors.Join(flushed, e.close())
}

// exportAll exports what is attached and isn't exported, as after a restart.
func (s *Service) exportAll(ctx context.Context) error {
	var attached []catalog.Attachment
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		attached, err = tx.Attachments()
		shared, failed := tx.SharedAttachments("")
		attached = append(attached, shared...)
		return errors.Join(err, failed)
	})
	for _, a := range attached {
		err = errors.Join(err, s.exportAgain(ctx, a.Key, a.Host))
	}
	return err
}

func (s *Service) exportAgain(ctx context.Context, key, host string) error {
	defer s.ports.lock(key)()
	var v tintype.Volume
	var a catalog.Attachment
	var older []tintype.Volume
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		if v, err = tx.Volume(key); err != nil {
			return err
		}
		if v.Shared() {
			a, err = tx.SharedAttachment(key, host)
			return err
		}
		if a, err = tx.Attachment(key); err != nil {
			return err
		}
		older, err = sinceOf(tx, key)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return nil // detached meanwhile
	}
	if err == nil {
		err = s.export(v, portOf(v, host), a.ReadOnly, older)
	}
	if err != nil && len(older) > 0 {
		// A host that needs its disk does not wait for a snapshot that is damaged.
		s.opt.Log.Error("an attached volume is served without what changed since older snapshots", "resource", key, "error", err)
		err = s.export(v, portOf(v, host), a.ReadOnly, nil)
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", key, err)
	}
	return nil
}

// closeExports ends all exports and leaves them on record.
func (s *Service) closeExports() error {
	s.mu.Lock()
	var all []port
	for at := range s.open {
		all = append(all, at)
	}
	s.mu.Unlock()
	var err error
	for _, at := range all {
		unlock := s.ports.lock(at.key)
		err = errors.Join(err, s.unexport(at))
		unlock()
	}
	return err
}
