package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// zoneOptions are the folders of the zones, as they were given.
type zoneOptions struct{ given []string }

func (o *zoneOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.given, "zone", nil,
		"folder of a zone, 1=DIR, 2=DIR and 3=DIR: three, each on a disk of its own, make the server offer zone-redundant storage")
}

// dirs are the folders of zones 1, 2 and 3, or none.
func (o *zoneOptions) dirs() ([]string, error) {
	if len(o.given) == 0 {
		return nil, nil
	}
	dirs := make([]string, 3)
	for _, g := range o.given {
		zone, dir, ok := strings.Cut(g, "=")
		if !ok || dir == "" || len(zone) != 1 || zone < "1" || zone > "3" {
			return nil, fmt.Errorf("--zone %s: it is 1=DIR, 2=DIR or 3=DIR", g)
		}
		at := &dirs[zone[0]-'1']
		if *at != "" {
			return nil, fmt.Errorf("--zone %s is given twice", zone)
		}
		var err error
		if *at, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
	}
	for i, dir := range dirs {
		if dir == "" {
			return nil, fmt.Errorf("--zone %d is missing: there are three zones, or none", i+1)
		}
		for _, other := range dirs[:i] {
			if within(dir, other) || within(other, dir) {
				return nil, fmt.Errorf("zones %s and %s are not apart", other, dir)
			}
		}
	}
	return dirs, nil
}

// within tells whether a folder is another or lies in it.
func within(dir, other string) bool {
	rel, err := filepath.Rel(other, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
