-- +goose Up
-- What was done under a grant, for whoever lists them.
ALTER TABLE grants ADD COLUMN bytes_read BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN bytes_written BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN used BIGINT NOT NULL DEFAULT 0;
