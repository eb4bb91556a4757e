-- +goose Up
-- Times are milliseconds since 1970 in UTC and never go back, sizes are bytes, GUIDs are 16 bytes.

-- One life of a disk or snapshot: one made anew under an old name is another row.
CREATE TABLE resources (
    id           INTEGER PRIMARY KEY,
    unique_id    BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL COLLATE NOCASE,
    kind         INTEGER NOT NULL,
    incremental  INTEGER NOT NULL,
    location     TEXT NOT NULL,
    source       TEXT NOT NULL,
    family       BLOB NOT NULL,
    store        BLOB NOT NULL,
    born         INTEGER NOT NULL,
    gone         INTEGER
);
CREATE INDEX resources_by_name ON resources (name);
CREATE INDEX resources_alive ON resources (id) WHERE gone IS NULL;

-- What many samples have in common.
CREATE TABLE profiles (
    id       INTEGER PRIMARY KEY,
    document TEXT NOT NULL UNIQUE
);

-- What a resource was from a moment on, until its next sample or its end. -1 is a size that could not be measured.
CREATE TABLE samples (
    resource    INTEGER NOT NULL REFERENCES resources (id),
    at          INTEGER NOT NULL,
    profile     INTEGER NOT NULL REFERENCES profiles (id),
    provisioned INTEGER NOT NULL,
    used        INTEGER NOT NULL,
    incremental INTEGER NOT NULL,
    exclusive   INTEGER NOT NULL,
    PRIMARY KEY (resource, at)
) WITHOUT ROWID;

-- When everything was looked at. What has no sample then was as its last sample says.
CREATE TABLE rounds (
    at      INTEGER PRIMARY KEY,
    alive   INTEGER NOT NULL,
    changed INTEGER NOT NULL
);

-- One row: the latest time on record, and the catalog's last change that is in the samples.
CREATE TABLE progress (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    clock INTEGER NOT NULL,
    seq   INTEGER NOT NULL
);
INSERT INTO progress (one, clock, seq) VALUES (1, 0, 0);
