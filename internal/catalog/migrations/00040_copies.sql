-- +goose Up
-- Copies from other servers that are under way, and the disks into which the last snapshots of a family were copied.
CREATE TABLE copies (
    unique_id TEXT PRIMARY KEY,
    document  TEXT NOT NULL
);
CREATE TABLE mirrors (
    family TEXT PRIMARY KEY,
    store  TEXT NOT NULL,
    cut    TEXT NOT NULL
);
