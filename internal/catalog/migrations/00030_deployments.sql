-- +goose Up
-- Deployments of templates. They go with their resource group; one of a subscription has none.
CREATE TABLE deployments (
    key          TEXT PRIMARY KEY,
    subscription TEXT NOT NULL,
    group_key    TEXT REFERENCES resource_groups (key) ON DELETE CASCADE,
    running      INTEGER NOT NULL,
    changed      BIGINT NOT NULL,
    document     TEXT NOT NULL,
    template     TEXT NOT NULL
);
CREATE INDEX deployments_of_group ON deployments (group_key, changed);
CREATE INDEX deployments_of_subscription ON deployments (subscription, changed);
CREATE TABLE deployment_operations (
    deployment TEXT NOT NULL REFERENCES deployments (key) ON DELETE CASCADE,
    id         TEXT NOT NULL,
    document   TEXT NOT NULL,
    PRIMARY KEY (deployment, id)
);
