//! The same from the command line, where no role is needed. A running server carries it out within a second or two.

use banter_protocol::rest::{Ban, BanId, CreateBan, Role, UnixMillis, User};
use rand::CryptoRng;
use rusqlite::Transaction;

use super::bans::{self, BanError, Wish};
use super::{ReasonError, end_membership, reason};
use crate::service::names::Username;
use crate::service::secrets;
use crate::store::{self, Database, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum OperatorModerationError {
    #[error("there is no account with the name {0:?}; `banter user list` shows all")]
    Unknown(String),
    #[error("{0:?} is an owner; give them another role first (`banter user role`)")]
    Owner(String),
    #[error("{0:?} is no member any more")]
    Gone(String),
    #[error("no ban is in force for {0:?}; `banter user bans` shows all")]
    NotBanned(String),
    #[error(transparent)]
    Reason(#[from] ReasonError),
    #[error(transparent)]
    Ban(#[from] BanError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub async fn kick(
    database: &Database,
    username: &str,
    why: Option<&str>,
    now: UnixMillis,
) -> Result<User, OperatorModerationError> {
    let (username, why) = (username.to_owned(), reason(why)?);
    database
        .write(move |tx| {
            let user = no_owner(tx, &username)?;
            if store::standing::of(tx, &user.id)?.is_none_or(|standing| standing.removed) {
                return Err(OperatorModerationError::Gone(username));
            }
            end_membership(tx, None, &user, why.as_deref(), now)?;
            Ok(user)
        })
        .await
}

/// Bans the person called `username`, if one is given, and the address in `request`, if there is one.
pub async fn ban(
    database: &Database,
    username: Option<&str>,
    request: CreateBan,
    now: UnixMillis,
    rng: &mut (impl CryptoRng + Send),
) -> Result<Ban, OperatorModerationError> {
    let (username, id) = (username.map(str::to_owned), BanId::new(secrets::id(rng)));
    database
        .write(move |tx| {
            let target = username.as_deref().map(|name| no_owner(tx, name)).transpose()?;
            let user_id = target.as_ref().map(|user| user.id.clone());
            let wish = Wish::read(CreateBan { user_id, ..request }, now)?;
            let network = wish.network(tx, target.as_ref())?;
            Ok(wish.write(tx, id, None, target.as_ref(), network, now)?)
        })
        .await
}

/// Lifts every ban of the person called `whom`, or of exactly the network `whom`. Answers with what was lifted.
pub async fn unban(
    database: &Database,
    whom: &str,
    now: UnixMillis,
) -> Result<Vec<Ban>, OperatorModerationError> {
    let whom = whom.to_owned();
    database
        .write(move |tx| {
            let user = store::users::by_name_key(tx, &Username::key_of(&whom))?;
            let network = bans::network(&whom).ok().map(|network| network.to_string());
            let mut lifted = store::bans::all(tx, now)?;
            lifted.retain(|ban| {
                let of_user = user.as_ref().is_some_and(|user| ban.user_id.as_ref() == Some(&user.id));
                of_user || (network.is_some() && ban.network == network)
            });
            for ban in &lifted {
                bans::lift(tx, None, ban, now)?;
            }
            if lifted.is_empty() { Err(OperatorModerationError::NotBanned(whom)) } else { Ok(lifted) }
        })
        .await
}

fn no_owner(tx: &Transaction<'_>, username: &str) -> Result<User, OperatorModerationError> {
    let user = store::users::by_name_key(tx, &Username::key_of(username))?;
    let user = user.ok_or_else(|| OperatorModerationError::Unknown(username.to_owned()))?;
    if user.role == Role::Owner { Err(OperatorModerationError::Owner(user.username)) } else { Ok(user) }
}
