-- +goose Up
-- Restore points. What one holds of each disk is a volume whose key begins with the point's.
CREATE TABLE restore_points (
    key        TEXT PRIMARY KEY,
    collection TEXT NOT NULL REFERENCES companions (key),
    document   TEXT NOT NULL
);
CREATE INDEX restore_points_of ON restore_points (collection, key);
