-- Apart from the accounts, so that no query about people can carry a hash along by accident.
CREATE TABLE passwords (
    user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash       TEXT NOT NULL, -- PHC string, Argon2id
    changed_at INTEGER NOT NULL
) STRICT;
