//! Sessions: opaque tokens that end on sign-out, on a change of password, or after their lifetime.

use std::net::IpAddr;
use std::time::Duration;

use banter_protocol::rest::{Session, UnixMillis, User, UserId};
use rusqlite::Transaction;
use tokio::sync::watch;

use super::secrets;
use crate::store::sessions::TokenHash;
use crate::store::{self, Database, StoreError};

pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who asks, and with which session.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: User,
    pub session: SessionKey,
}

/// The hash of a session's token: enough to find and to end it, not to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(TokenHash);

impl SessionKey {
    pub fn of(token: &str) -> Self {
        Self(secrets::hash(token))
    }

    pub(super) fn as_hash(&self) -> &TokenHash {
        &self.0
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions {
    database: Database,
    /// Changes whenever sessions end, so that what hangs on one looks again.
    ended: watch::Sender<()>,
}

impl Sessions {
    pub fn new(database: Database) -> Self {
        Self { database, ended: watch::Sender::new(()) }
    }

    /// Whose session this is; `None` if there is none, or no longer.
    pub async fn caller(&self, session: SessionKey, now: UnixMillis) -> Result<Option<Caller>, StoreError> {
        let user = self.database.read(move |tx| store::sessions::user(tx, session.as_hash(), now)).await?;
        Ok(user.map(|user| Caller { user, session }))
    }

    pub async fn end(&self, session: SessionKey) -> Result<(), StoreError> {
        self.database.write(move |tx| store::sessions::delete(tx, session.as_hash())).await?;
        self.announce_end();
        Ok(())
    }

    /// Takes away sessions and bans that are over.
    pub async fn sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.database
            .write(move |tx| {
                store::sessions::delete_expired(tx, now)?;
                store::bans::delete_expired(tx, now)
            })
            .await
    }

    /// Wakes when some session has ended; the watcher then asks for its own with [`Sessions::caller`].
    pub fn endings(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    pub(super) fn announce_end(&self) {
        self.ended.send_replace(());
    }
}

/// Begins a session inside the transaction that proved who it is for, and that they may come in.
pub(super) fn begin(
    tx: &Transaction<'_>,
    token: String,
    user: User,
    from: IpAddr,
    now: UnixMillis,
) -> Result<Session, StoreError> {
    let lifetime = i64::try_from(LIFETIME.as_millis()).expect("30 days fit");
    store::sessions::insert(tx, &secrets::hash(&token), &user.id, from, now, UnixMillis(now.0 + lifetime))?;
    Ok(Session { token, user })
}

/// Ends all sessions of a person but the one in use, as a change of password must.
pub(super) fn end_others(
    tx: &Transaction<'_>,
    user: &UserId,
    kept: Option<SessionKey>,
) -> Result<(), StoreError> {
    store::sessions::delete_others(tx, user, kept.as_ref().map(SessionKey::as_hash))
}
