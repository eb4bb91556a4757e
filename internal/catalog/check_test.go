package catalog

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
)

func TestCheckFindsLooseRows(t *testing.T) {
	ctx, file := context.Background(), filepath.Join(t.TempDir(), "catalog.db")
	c, err := Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if problems, err := c.Check(ctx); err != nil || len(problems) != 0 {
		t.Fatalf("a new catalog: %v %v", problems, err)
	}
	careless, err := sql.Open("sqlite", "file:"+file+"?_pragma=foreign_keys(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer careless.Close()
	if _, err := careless.Exec("INSERT INTO attachments (key, host, read_only) VALUES ('nothing', 'h', 0)"); err != nil {
		t.Fatal(err)
	}
	if problems, err := c.Check(ctx); err != nil || len(problems) != 1 {
		t.Errorf("a row that refers to nothing: %v %v", problems, err)
	}
}
