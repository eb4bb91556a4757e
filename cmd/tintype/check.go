package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

// report is what check found.
type report struct {
	Clean   bool       `json:"clean"`
	Engine  lsd.Report `json:"engine"`
	Catalog []string   `json:"catalog"` // problems of the catalog's file
	Between []string   `json:"between"` // where catalog and engine do not agree
	Damaged []damaged  `json:"damaged"` // what of which disk and snapshot is lost

	Strays []lsd.Stray `json:"strays"`           // files that nothing needs; they are no problem, and stay
	Unseen string      `json:"unseen,omitempty"` // why there may be more of them
}

// damaged is a range of a disk or snapshot that cannot be read as it was written.
type damaged struct {
	Resource string `json:"resource,omitempty"` // none where the catalog does not know the volume
	Volume   string `json:"volume"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
	Cause    string `json:"cause"`
}

// errUnclean is what check ends with after it has told what is wrong.
var errUnclean = errors.New("the check found problems")

func newCheck(env Env) *cobra.Command {
	var output, out string
	var names []string
	var opt folderOptions
	cmd := &cobra.Command{
		Use:   "check --data DIR",
		Short: "Check a data folder that no server uses: every block, every count, and the catalog",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o %s: text or json", output)
			}
			if out != "" {
				return runSalvage(cmd.Context(), env, opt, out, names, output)
			}
			if len(names) > 0 {
				return errors.New("--name goes with --salvage")
			}
			r, err := checkData(cmd.Context(), opt, env.Stderr)
			if err != nil {
				return err
			}
			return r.print(env, output)
		},
	}
	cmd.Flags().StringVar(&opt.data, "data", "", "folder of the server (required)")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&out, "salvage", "", "get out of a damaged folder what can be got out: raw images and report.json, into this folder")
	cmd.Flags().StringArrayVar(&names, "name", nil, "with --salvage: only this disk or snapshot, by name, resource id or volume id; may be repeated")
	opt.keys.flags(cmd)
	opt.zones.flags(cmd)
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// runSalvage is check --salvage. Exit status 0 says that everything came out whole.
func runSalvage(ctx context.Context, env Env, opt folderOptions, out string, names []string, output string) (err error) {
	f, err := opt.open(ctx, env.Stderr, "engine")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	s, err := salvage(ctx, f, out, names)
	if err != nil {
		return opt.keys.explain(err, f.dir)
	}
	if output == "json" {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(s)
	} else {
		s.printText(env.Stdout)
	}
	if err == nil && !s.whole() {
		err = errUnclean
	}
	return err
}

// checkData opens a scratch copy of the folder as a server would, which brings it to the end of its logs, and reads all of it.
// The folder stays as it is. Nothing is made where there is none.
func checkData(ctx context.Context, opt folderOptions, stderr io.Writer) (r report, err error) {
	f, err := opt.open(ctx, stderr, "engine", "catalog.db")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	cat, err := f.catalog(ctx)
	if err != nil {
		r.Catalog = []string{fmt.Sprintf("catalog.db: %v", err)}
	} else if r.Catalog, err = cat.Check(ctx); err != nil {
		r.Catalog = append(r.Catalog, fmt.Sprintf("catalog.db: %v", err))
	}
	store, err := f.store()
	var missing *lsd.KeyError
	if errors.As(err, &missing) {
		return r, opt.keys.explain(err, f.dir)
	}
	if err != nil {
		r.Engine.Problems = []string{err.Error()}
		return r, nil
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if r.Engine, err = store.Check(ctx); err != nil {
		return r, err
	}
	var unseen error
	if r.Strays, unseen = strays(f.dir, store); unseen != nil {
		r.Unseen = unseen.Error()
	}
	if cat != nil {
		if r.Between, err = compare(ctx, cat, store); err != nil {
			r.Between = append(r.Between, err.Error())
		}
		r.Damaged = r.name(ctx, cat)
	}
	r.Clean = r.Engine.Clean() && len(r.Catalog) == 0 && len(r.Between) == 0
	return r, nil
}

// strays lists files that nothing needs: in the engine's folders, and what a server that was killed was writing.
func strays(dir string, store *lsd.Store) ([]lsd.Stray, error) {
	all, err := store.Strays(vfs.OS())
	for _, sub := range []string{"", "keys", "client"} {
		inside, failed := os.ReadDir(filepath.Join(dir, sub))
		if !errors.Is(failed, os.ErrNotExist) {
			err = errors.Join(err, failed)
		}
		for _, entry := range inside {
			if !strings.HasPrefix(entry.Name(), ".new-") {
				continue
			}
			info, failed := entry.Info()
			if err = errors.Join(err, failed); failed == nil {
				name := filepath.Join(dir, sub, entry.Name())
				all = append(all, lsd.Stray{Path: name, Bytes: info.Size(), Why: "it was being written when the server ended"})
			}
		}
	}
	return all, err
}

// name says of which resources the engine's damages are.
func (r *report) name(ctx context.Context, cat *catalog.Catalog) []damaged {
	names, err := resourceNames(ctx, cat)
	if err != nil {
		r.Between = append(r.Between, err.Error())
	}
	var all []damaged
	for _, d := range r.Engine.Damages {
		for _, id := range d.Volumes {
			all = append(all, damaged{
				Resource: names[id], Volume: id.String(), Cause: d.Cause,
				Offset: int64(d.Block) * block.BlockSize, Bytes: int64(d.Blocks) * block.BlockSize,
			})
		}
	}
	return all
}

// resourceNames are the ids of resources by their volumes in the store.
func resourceNames(ctx context.Context, cat *catalog.Catalog) (map[block.ID]string, error) {
	names := map[block.ID]string{}
	err := cat.View(ctx, func(tx *catalog.Tx) error {
		settled, err := tx.Settled()
		for _, v := range settled {
			names[v.Store] = v.ID.String()
		}
		return err
	})
	return names, err
}

// compare looks for resources whose bytes the store does not have, or has of another size, and for volumes of the store
// that nothing on record refers to, not even an operation that was accepted and not finished.
func compare(ctx context.Context, cat *catalog.Catalog, store *lsd.Store) (problems []string, err error) {
	have := map[block.ID]int64{}
	for _, info := range store.List() {
		have[info.ID] = info.Size
	}
	err = cat.View(ctx, func(tx *catalog.Tx) error {
		settled, err := tx.Settled()
		if err != nil {
			return err
		}
		for _, v := range settled {
			size, ok := have[v.Store]
			switch {
			case !ok:
				problems = append(problems, fmt.Sprintf("%s: the store does not have its volume %s", v.ID, v.Store))
			case size != v.Size:
				problems = append(problems, fmt.Sprintf("%s has %d bytes, its volume %s has %d", v.ID, v.Size, v.Store, size))
			}
		}
		return nil
	})
	if err != nil {
		return problems, err
	}
	recorded, err := compute.Recorded(ctx, cat)
	for id, size := range have {
		if !recorded[id] {
			problems = append(problems, fmt.Sprintf("the store has a volume %s of %d bytes that is on no record", id, size))
		}
	}
	return problems, err
}

// print writes the report, and fails when it is not clean.
func (r report) print(env Env, output string) error {
	if output == "json" {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		r.printText(env)
	}
	if !r.Clean {
		return errUnclean
	}
	return nil
}

func (r report) printText(env Env) {
	e := r.Engine
	fmt.Fprintf(env.Stdout, "engine: %d volumes, %d versions, %d segments, %d blocks read\n", e.Volumes, e.Versions, e.Segments, e.Blocks)
	for _, group := range []struct {
		name     string
		problems []string
	}{{"engine", e.Problems}, {"catalog", r.Catalog}, {"between catalog and engine", r.Between}} {
		for _, p := range group.problems {
			fmt.Fprintf(env.Stdout, "%s: %s\n", group.name, p)
		}
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(env.Stdout, "damaged: %s, bytes %d to %d: %s\n", cmp.Or(d.Resource, d.Volume), d.Offset, d.Offset+d.Bytes-1, d.Cause)
	}
	for _, s := range r.Strays {
		fmt.Fprintf(env.Stdout, "not needed: %s, %d bytes: %s\n", s.Path, s.Bytes, s.Why)
	}
	if r.Unseen != "" {
		fmt.Fprintf(env.Stdout, "not needed: not all was looked through: %s\n", r.Unseen)
	}
	if r.Clean {
		fmt.Fprintln(env.Stdout, "clean")
	}
}
