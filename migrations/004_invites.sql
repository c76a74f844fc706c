-- Invites by link. `created_by` is null for those made at the command line. The code is stored hashed, like a session.
-- The check on `uses` is what stops two people from sharing the last use.
CREATE TABLE invites (
    id         TEXT PRIMARY KEY,
    code_hash  BLOB NOT NULL UNIQUE,
    max_uses   INTEGER NOT NULL CHECK (max_uses > 0),
    uses       INTEGER NOT NULL DEFAULT 0 CHECK (uses <= max_uses),
    expires_at INTEGER NOT NULL,
    created_by TEXT REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL
) STRICT;
