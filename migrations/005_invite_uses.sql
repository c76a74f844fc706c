-- Who came by which invite: the way back when a leaked link has let strangers in. Survives the invite itself.
CREATE TABLE invite_uses (
    user_id   TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    invite_id TEXT NOT NULL,
    used_at   INTEGER NOT NULL
) STRICT;
