-- +goose Up
-- Usages count by region and sku.
CREATE INDEX volumes_by_sort ON volumes (subscription, kind, json_extract(document, '$.location'), json_extract(document, '$.sku'));
