-- +goose Up
-- Hosts that have a shared disk attached, each with an export of its own.
CREATE TABLE shared_attachments (
    key       TEXT NOT NULL REFERENCES volumes (key),
    host      TEXT NOT NULL,
    read_only INTEGER NOT NULL,
    PRIMARY KEY (key, host)
);
