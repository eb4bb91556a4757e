-- +goose Up
-- Resources beside disks and snapshots that hold no volume: disk accesses and disk encryption sets.
CREATE TABLE companions (
    key          TEXT PRIMARY KEY,
    group_key    TEXT NOT NULL REFERENCES resource_groups (key),
    subscription TEXT NOT NULL,
    kind         INTEGER NOT NULL,
    document     TEXT NOT NULL
);
CREATE INDEX companions_of_group ON companions (group_key, key);
CREATE INDEX companions_of_subscription ON companions (subscription, key);

-- Which volume uses which companion.
CREATE TABLE companion_uses (
    companion TEXT NOT NULL REFERENCES companions (key),
    volume    TEXT NOT NULL REFERENCES volumes (key) ON DELETE CASCADE,
    PRIMARY KEY (companion, volume)
);
CREATE INDEX companion_uses_of_volume ON companion_uses (volume);
