-- +goose Up
-- Names of tags, and values of these, that a subscription offers whether anything has them or not. key is the name in lower case.
CREATE TABLE tag_names (
    subscription TEXT NOT NULL,
    key          TEXT NOT NULL,
    name         TEXT NOT NULL,
    PRIMARY KEY (subscription, key)
);
CREATE TABLE tag_values (
    subscription TEXT NOT NULL,
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    PRIMARY KEY (subscription, key, value),
    FOREIGN KEY (subscription, key) REFERENCES tag_names (subscription, key)
);
-- The tags of a subscription itself, as JSON.
CREATE TABLE subscription_tags (
    subscription TEXT PRIMARY KEY,
    tags         TEXT NOT NULL
);
