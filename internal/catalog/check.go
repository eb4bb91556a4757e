package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"tintype"
)

// Ping says whether the catalog can be read.
func (c *Catalog) Ping(ctx context.Context) error {
	var one int
	return c.View(ctx, func(tx *Tx) error { return tx.one("SELECT COUNT(*) FROM intents", nil, &one) })
}

// Check says what is wrong with the file itself: pages and indexes that do not agree, and rows that refer to none.
func (c *Catalog) Check(ctx context.Context) (problems []string, err error) {
	err = c.View(ctx, func(tx *Tx) error {
		found, err := all(tx, scanText, "PRAGMA integrity_check(100)")
		if err != nil {
			return err
		}
		for _, line := range found {
			if line != "ok" {
				problems = append(problems, line)
			}
		}
		loose, err := all(tx, scanLoose, "PRAGMA foreign_key_check")
		problems = append(problems, loose...)
		return err
	})
	return problems, err
}

// Settled lists every volume, of any subscription, that no operation is working on: the store must have its bytes.
func (t *Tx) Settled() ([]tintype.Volume, error) {
	found, err := all(t, scanVolume, "SELECT document FROM volumes ORDER BY key")
	return slices.DeleteFunc(found, func(v tintype.Volume) bool { return v.Provisioning != tintype.StateSucceeded }), err
}

func scanText(r *sql.Rows) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// scanLoose reads a row of foreign_key_check: table, row, the table referred to, and which of its keys.
func scanLoose(r *sql.Rows) (string, error) {
	var table, parent string
	var row, key sql.NullInt64
	if err := r.Scan(&table, &row, &parent, &key); err != nil {
		return "", err
	}
	return fmt.Sprintf("row %d of %s refers to a row of %s that does not exist", row.Int64, table, parent), nil
}
