-- Accounts. `name_key` is the case-folded name: two names that differ only in case would be one person to a reader.
CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    username   TEXT NOT NULL,
    name_key   TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'moderator', 'member')),
    created_at INTEGER NOT NULL
) STRICT;
