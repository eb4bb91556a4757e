package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

// salvaged is what check --salvage got out; it is report.json in the folder of the images too.
type salvaged struct {
	Notes  []string        `json:"notes"` // what is not certain of all images
	Images []salvagedImage `json:"images"`
}

// salvagedImage is one raw image. What is lost in it reads as zeroes.
type salvagedImage struct {
	File     string          `json:"file"`
	Resource string          `json:"resource,omitempty"` // none where the catalog does not know the volume
	Lost     []lsd.LostRange `json:"lost"`
	lsd.Salvaged
}

// salvage gets out of a data folder what can be got out, into images in out, which must not have files of their names. names
// choose disks and snapshots by name, id of resource or volume; none are all.
func salvage(ctx context.Context, f *folder, out string, names []string) (s salvaged, err error) {
	known, note := f.knownVolumes(ctx)
	if note != "" {
		s.Notes = append(s.Notes, note)
	}
	store, err := lsd.OpenSalvage(vfs.OS(), filepath.Join(f.dir, "engine"), lsd.Options{Keys: f.keys, Zones: f.zones})
	if err != nil {
		return s, errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s.Notes = append(s.Notes, store.Notes()...)
	if err := vfs.OS().MkdirAll(out); err != nil {
		return s, err
	}
	found := map[string]bool{}
	for _, one := range store.Volumes() {
		image := salvagedImage{Salvaged: one}
		if v, ok := known[one.ID]; ok {
			image.Resource, image.Size = v.ID.String(), v.Size
			image.Salvaged.Size = v.Size
		}
		if !chosen(image, names, found) {
			continue
		}
		image.File = imageName(image)
		if image.Lost, err = writeImage(ctx, store, image.Salvaged, filepath.Join(out, image.File)); err != nil {
			return s, err
		}
		s.Images = append(s.Images, image)
	}
	for _, name := range names {
		if !found[name] {
			return s, fmt.Errorf("--name %s: nothing of that name is left", name)
		}
	}
	return s, s.keep(filepath.Join(out, "report.json"))
}

// chosen tells whether an image is among those asked for, and notes by which names.
func chosen(image salvagedImage, names []string, found map[string]bool) bool {
	some := len(names) == 0
	for _, name := range names {
		last := image.Resource[strings.LastIndex(image.Resource, "/")+1:]
		if strings.EqualFold(name, image.Resource) || strings.EqualFold(name, last) || name == image.ID.String() {
			some, found[name] = true, true
		}
	}
	return some
}

// imageName is GROUP-disks-NAME.raw where the resource is known, else what is: the volume's id, or the lineage's number.
func imageName(image salvagedImage) string {
	if parts := strings.Split(image.Resource, "/"); len(parts) == 9 {
		return fmt.Sprintf("%s-%s-%s.raw", parts[4], parts[7], parts[8])
	}
	if image.ID != (block.ID{}) {
		return image.ID.String() + ".raw"
	}
	return fmt.Sprintf("lineage-%d.raw", image.Lineage)
}

// writeImage writes a volume into a new sparse file.
func writeImage(ctx context.Context, store *lsd.Salvage, one lsd.Salvaged, name string) ([]lsd.LostRange, error) {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return nil, cmp.Or(err, fmt.Errorf("%s is there already", name))
	}
	file, err := vfs.OS().Create(name)
	if err != nil {
		return nil, err
	}
	lost := []lsd.LostRange{}
	err = file.Truncate(one.Size)
	if err == nil {
		var ranges []lsd.LostRange
		ranges, err = store.Extract(ctx, one, func(p []byte, off int64) error {
			if isZero(p) {
				return nil
			}
			_, err := file.WriteAt(p, off)
			return err
		})
		lost = append(lost, ranges...)
	}
	if err == nil {
		err = file.Sync()
	}
	return lost, errors.Join(err, file.Close())
}

func isZero(p []byte) bool { return !slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) }

// keep writes the report beside the images.
func (s salvaged) keep(name string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	file, err := vfs.OS().Create(name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(append(text, '\n'), 0)
	return errors.Join(err, file.Close())
}

// whole tells that nothing is lost and nothing uncertain.
func (s salvaged) whole() bool {
	return len(s.Notes) == 0 && !slices.ContainsFunc(s.Images, func(i salvagedImage) bool { return len(i.Lost) > 0 || len(i.Notes) > 0 })
}

func (s salvaged) printText(out io.Writer) {
	for _, n := range s.Notes {
		fmt.Fprintln(out, "note:", n)
	}
	for _, i := range s.Images {
		fmt.Fprintf(out, "%s: %s, %d bytes\n", i.File, cmp.Or(i.Resource, i.ID.String()), i.Size)
		for _, n := range i.Notes {
			fmt.Fprintf(out, "  note: %s\n", n)
		}
		for _, l := range i.Lost {
			fmt.Fprintf(out, "  lost: bytes %d to %d: %s\n", l.Offset, l.Offset+l.Bytes-1, l.Cause)
		}
	}
	if s.whole() {
		fmt.Fprintln(out, "whole")
	}
}

// knownVolumes are the catalog's volumes by their ids in the store. The note says why there are none.
func (f *folder) knownVolumes(ctx context.Context) (known map[block.ID]tintype.Volume, note string) {
	known = map[block.ID]tintype.Volume{}
	cat, err := f.catalog(ctx)
	if err == nil {
		err = cat.View(ctx, func(tx *catalog.Tx) error {
			settled, err := tx.Settled()
			for _, v := range settled {
				known[v.Store] = v
			}
			return err
		})
	}
	if err != nil {
		note = fmt.Sprintf("catalog.db cannot be read, so images are named by volumes: %v", err)
	}
	return known, note
}
