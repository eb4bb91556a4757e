package records

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is a data folder with one database and one file.
type shop struct {
	dir string
	db  *sql.DB
	log bytes.Buffer
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{dir: t.TempDir()}
	var err error
	if s.db, err = sql.Open("sqlite", "file:"+filepath.Join(s.dir, "names.db")+"?_pragma=journal_mode(WAL)"); err != nil {
		t.Fatal(err)
	}
	s.db.SetMaxOpenConns(1)
	t.Cleanup(func() { s.db.Close() })
	s.exec(t, "CREATE TABLE names (name TEXT)")
	return s
}

func (s *shop) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := s.db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) write(t *testing.T, name, text string) {
	t.Helper()
	part := filepath.Join(s.dir, ".part")
	if err := errors.Join(os.WriteFile(part, []byte(text), 0o600), os.Rename(part, filepath.Join(s.dir, name))); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) options(server string, copies ...string) Options {
	return Options{
		Dir: s.dir, Databases: []string{"names.db"}, Files: []string{"who", "none"}, Server: server, Copies: copies,
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
}

// open gives a copier whose rounds are made by the test alone.
func (s *shop) open(t *testing.T, server string, copies ...string) *Copier {
	t.Helper()
	c, err := open(t.Context(), s.options(server, copies...))
	if err != nil {
		t.Fatal(err)
	}
	c.stop = func() {}
	close(c.ended)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// held is what a copy holds.
func held(t *testing.T, dir string) (names []string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "names.db")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "names.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT name FROM names ORDER BY rowid")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func text(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func TestCopies(t *testing.T) {
	s, one, two := newShop(t), t.TempDir(), t.TempDir()
	c := s.open(t, "me", one, two)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.opt.Now = func() time.Time { return at }
	var want []string
	for i := range 5 {
		name := fmt.Sprint("disk", i)
		want = append(want, name)
		s.exec(t, "INSERT INTO names VALUES (?)", name)
		s.write(t, "who", name)
		at = at.Add(pause)
		c.round(t.Context())
		for n, dir := range []string{one, two} {
			if diff := cmp.Diff(want, held(t, dir)); diff != "" {
				t.Errorf("after %s:\n%s", name, diff)
			}
			if got := text(t, dir, "who"); got != name {
				t.Errorf("the file is %q, want %q", got, name)
			}
			if got := c.Current()[n]; !got.Equal(at) {
				t.Errorf("up to date at %v, want %v", got, at)
			}
		}
	}
	entries, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fmt.Sprint(e.Name(), " ", info.Mode()))
	}
	for _, f := range files {
		if strings.HasPrefix(f, ".new") || !strings.HasSuffix(f, "-rw-------") {
			t.Errorf("%s is in the copy", f)
		}
	}
}

// A database that changes all the time is copied now and then, and at the end.
func TestPause(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	c := s.open(t, "me", dir)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.opt.Now = func() time.Time { return at }
	c.round(t.Context())
	s.exec(t, "INSERT INTO names VALUES ('a')")
	at = at.Add(pause)
	c.round(t.Context())
	s.exec(t, "INSERT INTO names VALUES ('b')")
	current := at
	at = at.Add(pause - 1)
	c.round(t.Context())
	if diff := cmp.Diff([]string{"a"}, held(t, dir)); diff != "" {
		t.Errorf("before the pause is over:\n%s", diff)
	}
	if got := c.Current()[0]; !got.Equal(current) {
		t.Errorf("a copy that is behind is said to be up to date at %v, not at %v", got, current)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, held(t, dir)); diff != "" {
		t.Errorf("after the end:\n%s", diff)
	}
	c.databases = nil // closed
}

// A folder that goes away and comes back, or another one in its place, is brought up to date.
func TestFolderGone(t *testing.T) {
	s, parent := newShop(t), t.TempDir()
	dir, aside := filepath.Join(parent, "copy"), filepath.Join(parent, "aside")
	c := s.open(t, "me", dir)
	s.exec(t, "INSERT INTO names VALUES ('a')")
	c.round(t.Context())
	c.round(t.Context())
	if n := strings.Count(s.log.String(), "not copied"); n != 1 {
		t.Errorf("a folder that is not there was told of %d times:\n%s", n, &s.log)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.round(t.Context())
	if diff := cmp.Diff([]string{"a"}, held(t, dir)); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(os.Rename(dir, aside), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	c.round(t.Context())
	if diff := cmp.Diff([]string{"a"}, held(t, dir)); diff != "" {
		t.Errorf("another folder in the same place:\n%s", diff)
	}
}

// What was broken off leaves the copy as it was, and the next one whole.
func TestBrokenOff(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	s.exec(t, "INSERT INTO names VALUES ('a')")
	if err := os.WriteFile(filepath.Join(dir, ".new-names.db"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := s.open(t, "me", dir)
	c.round(t.Context())
	if diff := cmp.Diff([]string{"a"}, held(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// What was there when the server started is kept beside the first copy of a run, whatever that is of.
func TestBefore(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	s.exec(t, "INSERT INTO names VALUES ('a')")
	s.open(t, "me", dir).round(t.Context())
	s.exec(t, "DELETE FROM names")
	c := s.open(t, "me", dir)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.opt.Now = func() time.Time { return at }
	c.round(t.Context())
	s.exec(t, "INSERT INTO names VALUES ('b')")
	at = at.Add(pause)
	c.round(t.Context())
	if diff := cmp.Diff([]string{"b"}, held(t, dir)); diff != "" {
		t.Error(diff)
	}
	other := t.TempDir()
	text, err := os.ReadFile(filepath.Join(dir, "names.db.before"))
	if err == nil {
		err = os.WriteFile(filepath.Join(other, "names.db"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, held(t, other)); diff != "" {
		t.Errorf("what was there before:\n%s", diff)
	}
}

// A copy that fails is tried again after a pause, and keeps nothing else from being copied.
func TestFailure(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	stuck := filepath.Join(dir, ".new-names.db", "x")
	if err := os.MkdirAll(stuck, 0o700); err != nil {
		t.Fatal(err)
	}
	c := s.open(t, "me", dir)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.opt.Now = func() time.Time { return at }
	s.write(t, "who", "me")
	c.round(t.Context())
	if got := text(t, dir, "who"); got != "me" || !c.Current()[0].IsZero() {
		t.Errorf("the file is %q, and the copy said to be whole at %v", got, c.Current()[0])
	}
	if err := os.RemoveAll(filepath.Dir(stuck)); err != nil {
		t.Fatal(err)
	}
	c.round(t.Context())
	if held(t, dir) != nil || !strings.Contains(s.log.String(), "not copied") || strings.Contains(s.log.String(), "are copied") {
		t.Errorf("tried again at once:\n%s", &s.log)
	}
	at = at.Add(pause)
	s.exec(t, "INSERT INTO names VALUES ('a')")
	c.round(t.Context())
	if diff := cmp.Diff([]string{"a"}, held(t, dir)); diff != "" || !c.Current()[0].Equal(at) {
		t.Errorf("after the pause, whole at %v:\n%s", c.Current()[0], diff)
	}
}

// A folder that cannot be used does not keep a server from starting.
func TestBadFolder(t *testing.T) {
	s := newShop(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.open(t, "me", filepath.Join(file, "copy"), file).round(t.Context())
	if n := strings.Count(s.log.String(), "not copied"); n != 2 {
		t.Errorf("%d of 2 folders are told of:\n%s", n, &s.log)
	}
}

func TestAnotherServersCopy(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	s.exec(t, "INSERT INTO names VALUES ('a')")
	s.open(t, "me", dir).round(t.Context())
	other := newShop(t)
	if c, err := Open(t.Context(), other.options("you", dir)); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("copied over the records of another server: %v %v", c, err)
	}
	if diff := cmp.Diff([]string{"a"}, held(t, dir)); diff != "" {
		t.Error(diff)
	}
	if who, err := Owner(dir); who != "me" || err != nil {
		t.Errorf("the records of %q: %v", who, err)
	}
	for _, text := range []string{"", "{}", `{"version":2,"server":"me"}`, strings.Repeat(" ", maxOwner+1)} {
		if err := os.WriteFile(filepath.Join(dir, ownerFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if who, err := Owner(dir); err == nil {
			t.Errorf("%q: the records of %q", text, who)
		}
	}
}
