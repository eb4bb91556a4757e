-- +goose Up
-- When incremental snapshots of a family were made, for as long as their number is limited.
CREATE TABLE family_cuts (
    family TEXT NOT NULL,
    made   BIGINT NOT NULL
);
CREATE INDEX family_cuts_of ON family_cuts (family, made);
CREATE INDEX family_cuts_made ON family_cuts (made);
