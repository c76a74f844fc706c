-- Voice channels. Times are milliseconds since the epoch, as everywhere in this schema.
CREATE TABLE voice_channels (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    description      TEXT,
    max_participants INTEGER NOT NULL DEFAULT 50,
    position         INTEGER NOT NULL DEFAULT 0,
    created_by       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at       INTEGER NOT NULL
);
