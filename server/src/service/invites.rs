//! Invites: links with which people make their own accounts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use banter_protocol::rest::{
    CreateInvite, CreatedInvite, Invite, InviteId, InviteState, Role, UnixMillis, User,
};
use rand::CryptoRng;

use super::throttle::{Source, Throttle, Throttled};
use super::{Forbidden, Now, require, secrets};
use crate::store::{self, Database, StoreError};
use crate::tls::Fingerprint;

pub const MAX_USES: std::ops::RangeInclusive<i64> = 1..=1000;
pub const DEFAULT_USES: i64 = 10;
pub const LIFETIME: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Invites {
    database: Database,
    lookups: Arc<Throttle<Source>>,
}

/// Where invite links lead.
#[derive(Clone, Debug)]
pub struct Destination {
    /// `https://host:port`, without a slash at the end.
    pub base: String,
    /// Of the certificate that is found there, if nobody else vouches for it.
    pub fingerprint: Option<Fingerprint>,
}

impl Destination {
    /// Code and fingerprint stand in the fragment, which browsers send to nobody.
    fn link(&self, code: &str) -> String {
        let pin = self.fingerprint.map(|fingerprint| format!("&fp={}", fingerprint.to_base64url()));
        format!("{}/invite#{code}{}", self.base, pin.unwrap_or_default())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CreateInviteError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("an invite can be used between {} and {} times", MAX_USES.start(), MAX_USES.end())]
    Uses,
    #[error("an invite can last between 60 seconds and 30 days")]
    Lifetime,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    #[error("the invite has expired, is used up or was withdrawn; ask for a new one")]
    Invalid,
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum ListInvitesError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteInviteError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("there is no such invite; it may have been withdrawn already")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Invites {
    pub fn new(database: Database) -> Self {
        Self { database, lookups: Arc::new(Throttle::new(30, Duration::from_secs(2))) }
    }

    /// The link leads to where the maker reached the server.
    pub async fn create(
        &self,
        caller: &User,
        request: CreateInvite,
        to: &Destination,
        now: UnixMillis,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<CreatedInvite, CreateInviteError> {
        require(caller, Role::Admin)?;
        create(&self.database, Some(caller), request, to, now, rng).await
    }

    /// What somebody with the code may know before they register.
    pub async fn look_up(&self, code: &str, from: IpAddr, now: Now) -> Result<InviteState, LookUpError> {
        self.lookups.take(from.into(), now.monotonic)?;
        let code = secrets::hash(code);
        let invite = self.database.read(move |tx| store::invites::usable(tx, &code, now.wall)).await?;
        let invite = invite.ok_or(LookUpError::Invalid)?;
        Ok(InviteState {
            valid: true,
            expires_at: invite.expires_at,
            uses_left: invite.max_uses - invite.uses,
        })
    }

    pub async fn list(&self, caller: &User) -> Result<Vec<Invite>, ListInvitesError> {
        require(caller, Role::Admin)?;
        Ok(self.database.read(|tx| store::invites::all(tx)).await?)
    }

    /// Withdraws an invite. Accounts made with it stay.
    pub async fn delete(&self, caller: &User, id: InviteId) -> Result<(), DeleteInviteError> {
        require(caller, Role::Admin)?;
        let existed = self.database.write(move |tx| store::invites::delete(tx, &id)).await?;
        if existed { Ok(()) } else { Err(DeleteInviteError::Unknown) }
    }
}

/// Makes an invite for `by`, or for the operator at the command line, who needs no role.
pub async fn create(
    database: &Database,
    by: Option<&User>,
    request: CreateInvite,
    to: &Destination,
    now: UnixMillis,
    rng: &mut (impl CryptoRng + Send),
) -> Result<CreatedInvite, CreateInviteError> {
    let max_uses = request.max_uses.unwrap_or(DEFAULT_USES);
    if !MAX_USES.contains(&max_uses) {
        return Err(CreateInviteError::Uses);
    }
    let lifetime = lifetime(request.expires_in_seconds)?;
    let code = secrets::code(rng);
    let invite = Invite {
        id: InviteId::new(secrets::id(rng)),
        max_uses,
        uses: 0,
        expires_at: UnixMillis(now.0 + i64::try_from(lifetime.as_millis()).expect("30 days fit")),
        created_by: by.map(|user| user.id.clone()),
        created_at: now,
    };
    let (row, hash) = (invite.clone(), secrets::hash(&code));
    database.write(move |tx| store::invites::insert(tx, &row, &hash)).await?;
    Ok(CreatedInvite { url: to.link(&code), code, invite })
}

fn lifetime(seconds: Option<i64>) -> Result<Duration, CreateInviteError> {
    let Some(seconds) = seconds else { return Ok(DEFAULT_LIFETIME) };
    let lifetime =
        u64::try_from(seconds).map(Duration::from_secs).map_err(|_| CreateInviteError::Lifetime)?;
    if LIFETIME.contains(&lifetime) { Ok(lifetime) } else { Err(CreateInviteError::Lifetime) }
}
