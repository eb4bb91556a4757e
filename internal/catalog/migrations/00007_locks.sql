-- +goose Up
CREATE TABLE locks (
    scope        TEXT NOT NULL,
    name         TEXT NOT NULL,
    subscription TEXT NOT NULL,
    document     TEXT NOT NULL,
    PRIMARY KEY (scope, name)
);
CREATE INDEX locks_of_subscription ON locks (subscription, scope, name);
