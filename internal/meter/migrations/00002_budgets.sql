-- +goose Up
-- What somebody wants to spend at most. The scope is a subscription's or group's id in lower case.
CREATE TABLE budgets (
    scope    TEXT NOT NULL,
    name     TEXT NOT NULL COLLATE NOCASE,
    document TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;

-- Thresholds that were crossed: one row for each period of a budget, which begins on the day.
CREATE TABLE alerts (
    scope        TEXT NOT NULL,
    name         TEXT NOT NULL COLLATE NOCASE,
    notification TEXT NOT NULL,
    period       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    sent         INTEGER NOT NULL,
    PRIMARY KEY (scope, name, notification, period)
) WITHOUT ROWID;
