-- +goose Up
-- Who manages a group: a resource's id, or nothing.
ALTER TABLE resource_groups ADD COLUMN managed_by TEXT NOT NULL DEFAULT '';
