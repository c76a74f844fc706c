-- Keeping order: who may not come in, who may not speak or listen, and who decided so.

-- `generation` is in every access token that Banter issues. It grows when a person is kicked or banned, and with that
-- no token from before is good any more.
ALTER TABLE users ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
-- Set when the membership has ended. The row stays: channels and the audit log refer to it, and whoever is invited
-- again takes it up again.
ALTER TABLE users ADD COLUMN removed_at INTEGER;
ALTER TABLE users ADD COLUMN removed_reason TEXT;
ALTER TABLE users ADD COLUMN server_muted INTEGER NOT NULL DEFAULT 0 CHECK (server_muted IN (0, 1));
ALTER TABLE users ADD COLUMN server_deafened INTEGER NOT NULL DEFAULT 0 CHECK (server_deafened IN (0, 1));

-- Where the session was begun, for who bans a person together with their address. Goes with the session.
ALTER TABLE sessions ADD COLUMN address TEXT;

-- A ban holds for a person, for a network, or for both. The bounds of the network are its first and last address as 16
-- bytes (IPv4 mapped into IPv6), so that one comparison finds what holds for an address.
CREATE TABLE bans (
    id            TEXT PRIMARY KEY,
    user_id       TEXT REFERENCES users (id) ON DELETE CASCADE,
    network       TEXT,
    first_address BLOB,
    last_address  BLOB,
    reason        TEXT,
    created_by    TEXT REFERENCES users (id) ON DELETE SET NULL, -- null: at the command line
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER, -- null: for good
    CHECK (user_id IS NOT NULL OR network IS NOT NULL),
    CHECK ((network IS NULL) = (first_address IS NULL) AND (network IS NULL) = (last_address IS NULL))
) STRICT;
CREATE UNIQUE INDEX bans_by_user ON bans (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX bans_by_address ON bans (first_address, last_address) WHERE network IS NOT NULL;

-- Names are kept as they were. No foreign keys: an entry outlives whom it is about.
CREATE TABLE audit_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    action      TEXT NOT NULL,
    actor_id    TEXT, -- null: at the command line
    actor_name  TEXT,
    target_id   TEXT,
    target_name TEXT,
    reason      TEXT,
    details     TEXT NOT NULL -- JSON
) STRICT;
