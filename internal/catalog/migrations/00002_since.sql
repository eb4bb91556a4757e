-- +goose Up
-- Older snapshots that an attachment lets its host compare with.
CREATE TABLE attachment_since (
    key   TEXT NOT NULL REFERENCES attachments (key) ON DELETE CASCADE,
    older TEXT NOT NULL REFERENCES volumes (key),
    PRIMARY KEY (key, older)
);
CREATE INDEX attachment_since_of ON attachment_since (older);
