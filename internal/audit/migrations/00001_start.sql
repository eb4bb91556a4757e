-- +goose Up

-- What is asked for is in columns, in lower case; all else is in the document.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          BIGINT NOT NULL, -- milliseconds since 1970
    correlation TEXT NOT NULL,
    async       TEXT NOT NULL,   -- the operation that goes on after the answer, or ''
    resource    TEXT NOT NULL,
    grp         TEXT NOT NULL,
    provider    TEXT NOT NULL,
    caller      TEXT NOT NULL,
    status      TEXT NOT NULL,
    document    TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_async ON events (async) WHERE async <> '';
CREATE INDEX events_by_correlation ON events (correlation);

-- +goose Down
DROP TABLE events;
