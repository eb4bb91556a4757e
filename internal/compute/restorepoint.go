package compute

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// maxPoints bounds the restore points of a collection. Source: Azure's page on restore points, 500 per virtual machine.
const maxPoints = 500

// PutPoint makes a restore point: what all disks of the collection's source were at one moment, or a copy of another
// collection's point. When it returns, that moment is past and the point is whole; nothing of it stays when it fails.
func (s *Service) PutPoint(
	ctx context.Context, id tintype.PointID, want tintype.RestorePointRequest,
) (p tintype.RestorePoint, op tintype.Operation, err error) {
	if err := errors.Join(tintype.CheckName(tintype.KindCollection, id.Name), want.Check()); err != nil {
		return p, op, err
	}
	var cuts []cut
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		p, cuts, err = s.designPoint(tx, id, want)
		return err
	})
	if err != nil {
		return p, op, err
	}
	err = s.cutAndAccept(ctx, cuts, func(tx *catalog.Tx) error {
		c, err := s.collection(tx, id)
		if err != nil {
			return err
		}
		if err := s.acceptCuts(tx, cuts); err != nil {
			return err
		}
		op = s.ended(tintype.OpPutPoint, c)
		op.Resource = p.ID.String()
		return errors.Join(tx.AddPoint(p), putEnded(tx, op, c))
	})
	return p, op, err
}

// collection finds the collection of a restore point that is to be new.
func (s *Service) collection(tx *catalog.Tx, id tintype.PointID) (tintype.Companion, error) {
	if _, err := s.group(tx, id.Collection); err != nil {
		return tintype.Companion{}, err
	}
	c, err := tx.Companion(id.Collection.Key())
	if err != nil {
		return c, absent(err, id.Collection.NotFound())
	}
	if _, err := tx.Point(id.Key()); !errors.Is(err, catalog.ErrNotFound) {
		if err == nil {
			err = tintype.NotAllowed("The restore point '%s' exists already, and a restore point never changes.", id.Name)
		}
		return c, err
	}
	have, err := tx.CountPoints(c.ID.Key())
	if err == nil && have >= maxPoints {
		err = tintype.NotAllowed("At most %d restore points can exist in a restore point collection.", maxPoints)
	}
	return c, err
}

// designPoint says what a new restore point will be, or why it can't be, and records the intents of what it holds.
func (s *Service) designPoint(tx *catalog.Tx, id tintype.PointID, want tintype.RestorePointRequest) (tintype.RestorePoint, []cut, error) {
	c, err := s.collection(tx, id)
	if err != nil {
		return tintype.RestorePoint{}, nil, err
	}
	p := tintype.RestorePoint{
		ID: id, Created: s.now(), Location: c.Collection.Location, Mode: tintype.CrashConsistent, Excluded: want.Excluded,
	}
	p.ID.Collection = c.ID
	from, _ := tintype.ParseResourceID(c.Collection.Source)
	var sources []tintype.Volume
	switch {
	case from.Kind == tintype.KindCollection:
		sources, err = s.copiedPoint(tx, &p, from, want.Source)
	case want.Source != "":
		err = tintype.InvalidParameter("properties.sourceRestorePoint.id", "The restore point collection '%s' holds no copies: its source is "+
			"not another restore point collection.", c.ID.Name)
	default:
		sources, err = s.pointSources(tx, &p, from, c)
	}
	for _, v := range sources {
		if err == nil && from.Kind == tintype.KindMachine {
			err = want.Checked.Check(v.ID)
		}
	}
	if err != nil {
		return p, nil, err
	}
	var cuts []cut
	for i, source := range sources {
		v, err := s.diskPoint(tx, &p, i, source, c.Location, want)
		if err != nil {
			return p, nil, err
		}
		k, err := s.cutOf(tx, v, source)
		if err != nil {
			return p, nil, err
		}
		k.name = source.ID.Short()
		cuts = append(cuts, k)
	}
	return p, cuts, nil
}

// copiedPoint fills in the point with what it is a copy of.
func (s *Service) copiedPoint(tx *catalog.Tx, p *tintype.RestorePoint, from tintype.ResourceID, id string) ([]tintype.Volume, error) {
	if id == "" {
		return nil, tintype.MissingParameter("properties.sourceRestorePoint.id")
	}
	source, ok := tintype.ParsePointID(id)
	if !ok || source.Collection.Key() != from.Key() || len(p.Excluded) > 0 {
		return nil, tintype.InvalidParameter("properties.sourceRestorePoint.id", "The restore point '%.300s' is not one of the collection's "+
			"source, or excludeDisks is set, which a copy takes over.", id)
	}
	have, err := tx.Point(source.Key())
	if err != nil {
		return nil, absent(err, sourceNotFound(source.Name))
	}
	p.Source, p.Machine, p.Created, p.Location, p.Excluded = have.ID.String(), have.Machine, have.Created, have.Location, have.Excluded
	var sources []tintype.Volume
	for _, d := range have.Disks {
		v, err := s.settled(tx, d.Point)
		if err != nil {
			return nil, absent(err, sourceNotFound(d.Point.Short()))
		}
		d.Source = v.ID.String()
		p.Disks, sources = append(p.Disks, d), append(sources, v)
	}
	return sources, nil
}

// pointSources fills in the point with the disks of the collection's source.
func (s *Service) pointSources(tx *catalog.Tx, p *tintype.RestorePoint, from tintype.ResourceID, c tintype.Companion) ([]tintype.Volume, error) {
	places, err := s.places(tx, p, from, c)
	if err != nil {
		return nil, err
	}
	excluded := map[string]bool{}
	for _, id := range p.Excluded {
		excluded[tintype.ScopeKey(id)] = true
	}
	var sources []tintype.Volume
	for i, at := range places {
		if excluded[at.ID.Key()] {
			continue
		}
		v, err := s.settled(tx, at.ID)
		if err != nil {
			return nil, absent(err, sourceNotFound(at.ID.Name))
		}
		if v.Uploading() {
			return nil, tintype.NotAllowed("Cannot make a restore point of disk %s because it is in state %s. Finish the upload first.",
				v.ID.Name, v.State)
		}
		sources = append(sources, v)
		p.Disks = append(p.Disks, tintype.PointDisk{
			OS: i == 0 && p.Machine != nil && p.Machine.OS != nil, LUN: at.LUN, Name: v.ID.Name, Disk: v.ID.String(), Caching: at.Caching,
			OSType: v.Settings.OSType, Generation: v.Settings.HyperVGeneration, SizeGB: v.SizeGB(), SKU: v.SKU,
		})
	}
	if len(sources) == 0 || len(sources) > maxMembers {
		return nil, tintype.NotAllowed("A restore point has 1 to %d disks; that of %s would have %d.", maxMembers, c.Collection.Source, len(sources))
	}
	return sources, nil
}

// places lists the disks of a collection's source.
func (s *Service) places(tx *catalog.Tx, p *tintype.RestorePoint, from tintype.ResourceID, c tintype.Companion) ([]tintype.MachineDisk, error) {
	switch from.Kind {
	case tintype.KindDisk:
		return []tintype.MachineDisk{{ID: from}}, nil
	case tintype.KindMachine:
		of, err := tx.Companion(from.Key())
		if err != nil {
			return nil, absent(err, sourceNotFound(from.Name))
		}
		m := of.Machine.Clone()
		p.Machine = &m
		return m.Disks(), nil
	}
	g, _ := tintype.ParseGroupID(c.Collection.Source)
	var all []tintype.MachineDisk
	err := eachVolume(tx, g, func(v tintype.Volume) error {
		if v.ID.Kind == tintype.KindDisk && v.Location == c.Location && !v.Uploading() {
			all = append(all, tintype.MachineDisk{ID: v.ID, LUN: len(all)})
		}
		return nil
	})
	return all, err
}

// diskPoint says what the i-th disk of the point holds.
func (s *Service) diskPoint(
	tx *catalog.Tx, p *tintype.RestorePoint, i int, source tintype.Volume, location string, want tintype.RestorePointRequest,
) (tintype.Volume, error) {
	at := &p.Disks[i]
	at.Point = p.ID.Disk(at.Name + "_" + uuid.NewString())
	v := tintype.Volume{
		ID: at.Point, UniqueID: uuid.New(), Created: p.Created, Location: location, SKU: tintype.StandardLRS, Size: source.Size,
		Creation: tintype.Creation{Option: tintype.CreateCopy, Source: source.ID.String(), SectorSize: source.Creation.SectorSize},
		State:    tintype.Unattached, Provisioning: tintype.StateSucceeded, Incremental: true, Store: uuid.New(),
	}
	if region, ok := tintype.FindRegion(location); ok && s.Sold(region).Zones {
		v.SKU = tintype.StandardZRS
	}
	inherit(&v, source)
	chain := uuid.NewSHA1(source.UniqueID, []byte("restore points"))
	if at.Source != "" {
		v.Creation.Option, v.Creation.SourceUniqueID = tintype.CreateCopyStart, source.Creation.SourceUniqueID
		chain = uuid.NewSHA1(source.Family, []byte(location))
	}
	var err error
	if v.Family, err = tx.Family(chain, uuid.New()); err != nil {
		return v, err
	}
	ask := tintype.Desired{Encryption: &source.Settings.Encryption}
	if source.Location != location {
		ask.Encryption = nil // a set of another region can't be used here
	}
	for _, key := range []string{strings.ToLower(at.Disk), strings.ToLower(at.Source)} {
		if e, ok := want.Encryption[key]; ok && key != "" {
			e.Type = s.typeOfSet(tx, e)
			e = v.Settings.TakeSet(e)
			ask.Encryption = &e
		}
	}
	if err := v.Apply(tintype.Region{Name: location}, ask, false); err != nil {
		return v, err
	}
	at.Encryption = v.Settings.Encryption
	return v, checkCompanions(tx, v)
}

// typeOfSet is the type of an encryption that names a set and may leave it at that.
func (s *Service) typeOfSet(tx *catalog.Tx, e tintype.Encryption) string {
	id, ok := tintype.ParseResourceID(e.SetID)
	if e.Type != "" || !ok {
		return e.Type
	}
	if c, err := tx.Companion(id.Key()); err == nil && c.Set != nil {
		return c.Set.Type
	}
	return ""
}

// GetPoint gives the restore point; ResourceNotFound or ResourceGroupNotFound when there is none.
func (s *Service) GetPoint(ctx context.Context, id tintype.PointID) (p tintype.RestorePoint, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		if _, err := tx.Group(id.Collection.GroupKey()); err != nil {
			return absent(err, tintype.GroupNotFound(id.Collection.Group))
		}
		p, err = tx.Point(id.Key())
		return absent(err, id.NotFound())
	})
	return p, edge(err)
}

// Points lists the collection's restore points, oldest first.
func (s *Service) Points(ctx context.Context, id tintype.ResourceID) (all []tintype.RestorePoint, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		all, err = tx.Points(id.Key())
		return err
	})
	slices.SortStableFunc(all, func(a, b tintype.RestorePoint) int { return a.Created.Compare(b.Created) })
	return all, edge(err)
}

// DiskPoints lists what the restore point holds of each disk.
func (s *Service) DiskPoints(ctx context.Context, id tintype.PointID) (all []tintype.Volume, err error) {
	if _, err := s.GetPoint(ctx, id); err != nil {
		return nil, err
	}
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		all, err = tx.VolumesBelow(id.Key())
		all = slices.DeleteFunc(all, func(v tintype.Volume) bool { return v.ID.Kind.Guest() })
		return err
	})
	return all, edge(err)
}

// DeletePoint deletes the restore point, unless someone has access to one of its disks. ok is false when it does not exist
// in its group, which is no error (204).
func (s *Service) DeletePoint(ctx context.Context, id tintype.PointID) (op tintype.Operation, ok bool, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id.Collection); err != nil {
			return err
		}
		p, err := tx.Point(id.Key())
		if ok = err == nil; errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		c, err := tx.Companion(id.Collection.Key())
		if err != nil {
			return err
		}
		op = s.ended(tintype.OpDeletePoint, c)
		op.Resource = p.ID.String()
		return errors.Join(s.dropBelow(tx, id.Key()), tx.DeletePoint(id.Key()), putEnded(tx, op, c))
	})
	if err == nil && ok {
		s.forgetDeleted()
	}
	return op, ok, err
}
