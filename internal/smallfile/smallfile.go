// Package smallfile replaces small files as a whole: keys, certificates, lists of principals, whatever must be the old or the new
// after a crash and nobody else's to read.
package smallfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write makes p the content of a file, durably, with mode 0600. After a crash the file has what it had, or p; after an error too,
// and nothing is left beside it.
func Write(name string, p []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // created with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(name)
}

// Move gives the file from the name to, in the same folder, durably. What had the name is gone.
func Move(to, from string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(to)
}

func syncFolder(name string) error {
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
