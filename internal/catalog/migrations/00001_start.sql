-- +goose Up
-- Times are nanoseconds since 1970, ids of resources are folded to lower case, GUIDs are text.

CREATE TABLE resource_groups (
    key          TEXT PRIMARY KEY,
    subscription TEXT NOT NULL,
    name         TEXT NOT NULL,
    location     TEXT NOT NULL,
    tags         TEXT NOT NULL,
    state        TEXT NOT NULL,
    created      BIGINT NOT NULL
);
CREATE INDEX resource_groups_of ON resource_groups (subscription, key);

CREATE TABLE volumes (
    key          TEXT PRIMARY KEY,
    group_key    TEXT NOT NULL REFERENCES resource_groups (key),
    subscription TEXT NOT NULL,
    kind         INTEGER NOT NULL,
    unique_id    TEXT NOT NULL UNIQUE,
    store        TEXT NOT NULL UNIQUE,
    family       TEXT NOT NULL,
    created      BIGINT NOT NULL,
    document     TEXT NOT NULL
);
CREATE INDEX volumes_of_group ON volumes (group_key, key);
CREATE INDEX volumes_of_subscription ON volumes (subscription, key);
CREATE INDEX volumes_of_family ON volumes (family, created);

CREATE TABLE operations (
    id           TEXT PRIMARY KEY,
    subscription TEXT NOT NULL,
    key          TEXT NOT NULL,
    state        TEXT NOT NULL,
    started      BIGINT NOT NULL,
    ended        BIGINT NOT NULL,
    document     TEXT NOT NULL,
    plan         TEXT NOT NULL
);
CREATE INDEX operations_of_resource ON operations (key, state);
CREATE INDEX operations_by_state ON operations (state, started);

-- Volumes of the store that were asked for and belong to no accepted operation yet.
CREATE TABLE intents (store TEXT PRIMARY KEY);

-- Volumes of the store that nothing refers to any more and that are yet to be deleted.
CREATE TABLE drops (store TEXT PRIMARY KEY);

CREATE TABLE grants (
    id       TEXT PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE REFERENCES volumes (key) ON DELETE CASCADE,
    expires  BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX grants_by_expiry ON grants (expires);

CREATE TABLE footers (
    key    TEXT PRIMARY KEY REFERENCES volumes (key) ON DELETE CASCADE,
    footer BLOB NOT NULL
);

CREATE TABLE attachments (
    key       TEXT PRIMARY KEY REFERENCES volumes (key),
    host      TEXT NOT NULL,
    read_only INTEGER NOT NULL
);

-- The family id that the incremental snapshots of one source share, by the source's unique id.
CREATE TABLE families (
    source TEXT PRIMARY KEY,
    family TEXT NOT NULL
);
