package records

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tintype/internal/smallfile"
)

const (
	ownerFile    = "records.json"
	ownerVersion = 1
	maxOwner     = 1 << 10
)

// ErrForeign is a folder whose records are another server's, or that cannot be told.
var ErrForeign = errors.New("not a folder for the copies of this server")

// owner says whose records a folder has; docs/format/records.md.
type owner struct {
	Version int    `json:"version"`
	Server  string `json:"server"`
}

// Owner is the server whose records a folder has, or "" for none.
func Owner(dir string) (string, error) {
	name := filepath.Join(dir, ownerFile)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if info.Size() > maxOwner {
		return "", fmt.Errorf("%w: %s has %d bytes, more than such a file has", ErrForeign, name, info.Size())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	var o owner
	if err := json.Unmarshal(text, &o); err != nil || o.Server == "" {
		return "", fmt.Errorf("%w: %s does not say whose records these are: %q", ErrForeign, name, text)
	}
	if o.Version != ownerVersion {
		return "", fmt.Errorf("%w: %s has version %d; this program knows %d", ErrForeign, name, o.Version, ownerVersion)
	}
	return o.Server, nil
}

// own makes the folder the server's, if it is nobody's.
func own(dir, server string) error {
	has, err := Owner(dir)
	switch {
	case err != nil:
		return err
	case has == server:
		return nil
	case has != "":
		return fmt.Errorf("%w: %s has copies of the records of another server (%s, this is %s), which are left as they are: give another folder", ErrForeign, dir, has, server)
	}
	text, err := json.Marshal(owner{Version: ownerVersion, Server: server})
	if err != nil {
		return err
	}
	return smallfile.Write(filepath.Join(dir, ownerFile), text)
}
