-- +goose Up
-- The ids, in lower case and one a line, that a resource had before it was moved to other groups.
ALTER TABLE resources ADD COLUMN former TEXT NOT NULL DEFAULT '';
