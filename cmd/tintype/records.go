package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"tintype/internal/records"
)

// recordsFolders are the folders for copies of the records of the data folder dir, as absolute paths.
func recordsFolders(dir string, given []string) ([]string, error) {
	var all []string
	for _, g := range given {
		if g == "" {
			return nil, errors.New("--records-copy is the name of a folder")
		}
		to, err := filepath.Abs(g)
		if err != nil {
			return nil, err
		}
		for _, other := range append([]string{dir}, all...) {
			if within(to, other) || within(other, to) {
				return nil, fmt.Errorf("--records-copy %s is not apart from %s", to, other)
			}
		}
		all = append(all, to)
	}
	return all, nil
}

// openRecords begins to copy what names the disks. Keys are not copied: with them a copy would open what it lies beside.
func (s *server) openRecords(ctx context.Context) error {
	if len(s.opt.recordsCopies) == 0 {
		return nil
	}
	c, err := records.Open(ctx, records.Options{
		Dir: s.opt.data, Databases: []string{"catalog.db", "usage.db", "activity.db"}, Files: []string{"identity.json", "roles.json", "vaults"},
		Server: s.identity.Tenant().ID, Copies: s.opt.recordsCopies, Now: s.now, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.records = c
	s.onClose(c.Close)
	return nil
}
