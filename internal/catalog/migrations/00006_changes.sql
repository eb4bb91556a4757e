-- +goose Up
-- What became of volumes, for the meter: a row is written by the transaction that did it, and deleted once it is metered.
-- The newest row always stays, so that a number is never used twice.
CREATE TABLE changes (
    seq      INTEGER PRIMARY KEY,
    at       BIGINT NOT NULL,
    gone     INTEGER NOT NULL,
    document TEXT NOT NULL
);
