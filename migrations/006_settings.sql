-- Settings that the program makes or that are kept with the data: the livekit_* keys among them.
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
