//! Keeping order: who may do what to whom, what it changes, and the record of it. Each operation is one transaction; the
//! calls under way are brought in line with it right after.

mod bans;
mod moves;
mod operator;
mod rank;

use std::net::IpAddr;
use std::time::Duration;

use banter_protocol::rest::{
    AuditAction, AuditDetails, AuditEntry, AuditPage, Member, ReasonRequest, Role, UnixMillis, UpdateVoice,
    User, UserId,
};
use rusqlite::Transaction;

use super::exclusion::{self, Exclusion};
use super::sessions::{self, Sessions};
use super::{Forbidden, require};
use crate::signal::Rooms;
use crate::store::standing::Standing;
use crate::store::{self, Database, StoreError};
pub use bans::BanError;
pub use operator::{ban, kick, unban};
pub use rank::RankError;

/// Of a reason, in characters.
pub const REASON_CHARS: usize = 500;
/// Entries of the audit log in one answer.
pub const PAGE: std::ops::RangeInclusive<u32> = 1..=200;
pub const DEFAULT_PAGE: u32 = 50;

/// How often the server looks for what was done at the command line.
const OPERATOR_CHECK: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Moderation {
    database: Database,
    rooms: Rooms,
    sessions: Sessions,
}

#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Rank(#[from] RankError),
    #[error("there is no member of this id; they may have left")]
    UnknownUser,
    #[error(transparent)]
    Reason(#[from] ReasonError),
    #[error("{0} is in no voice channel; try again when they are")]
    NotInVoice(String),
    #[error("this channel does not exist; it may have been deleted")]
    UnknownChannel,
    /// The text says what has no place left.
    #[error("{0}")]
    ChannelFull(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reason is longer than {REASON_CHARS} characters; shorten it")]
pub struct ReasonError;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("a page has between {} and {} entries", PAGE.start(), PAGE.end())]
    Limit,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Moderation {
    pub fn new(database: Database, rooms: Rooms, sessions: Sessions) -> Self {
        Self { database, rooms, sessions }
    }

    /// Every member, with what moderators decided about their voice (moderators).
    pub async fn members(&self, caller: &User) -> Result<Vec<Member>, ModerationError> {
        require(caller, Role::Moderator)?;
        Ok(self.database.read(|tx| store::standing::members(tx)).await?)
    }

    /// Mutes, unmutes, deafens or undeafens a member on this server. It holds until it is lifted, also for later calls.
    pub async fn update_voice(
        &self,
        caller: &User,
        target: UserId,
        request: UpdateVoice,
        now: UnixMillis,
    ) -> Result<Member, ModerationError> {
        let reason = reason(request.reason.as_deref())?;
        let caller = caller.clone();
        let member = self
            .database
            .write(move |tx| {
                let (actor, Standing { member, .. }) = rank::pair(tx, &caller, &target)?;
                let muted = request.server_muted.unwrap_or(member.server_muted);
                let deafened = request.server_deafened.unwrap_or(member.server_deafened);
                store::standing::set_voice(tx, &target, muted, deafened)?;
                let record = Record {
                    actor: Some(&actor),
                    target: Some(&member.user),
                    reason: reason.as_deref(),
                    now,
                };
                if muted != member.server_muted {
                    let action = if muted { AuditAction::ServerMute } else { AuditAction::ServerUnmute };
                    record.write(tx, action, AuditDetails::default())?;
                }
                if deafened != member.server_deafened {
                    let action =
                        if deafened { AuditAction::ServerDeafen } else { AuditAction::ServerUndeafen };
                    record.write(tx, action, AuditDetails::default())?;
                }
                Ok::<_, ModerationError>(Member { server_muted: muted, server_deafened: deafened, ..member })
            })
            .await?;
        self.rooms.review(member.user.id.as_str()).await;
        Ok(member)
    }

    /// Ends a member's call. They may join again.
    pub async fn disconnect(
        &self,
        caller: &User,
        target: UserId,
        request: ReasonRequest,
        now: UnixMillis,
    ) -> Result<(), ModerationError> {
        let reason = reason(request.reason.as_deref())?;
        let caller = caller.clone();
        let (actor, user) = self.pair(caller, target).await?;
        if !self.rooms.disconnect(user.id.as_str()).await {
            return Err(ModerationError::NotInVoice(user.username));
        }
        self.record(actor, user, AuditAction::Disconnect, reason, AuditDetails::default(), now).await
    }

    /// Ends a membership: sessions, access tokens and calls end with it. A new invite brings the account back.
    pub async fn kick(
        &self,
        caller: &User,
        target: UserId,
        request: ReasonRequest,
        now: UnixMillis,
    ) -> Result<(), ModerationError> {
        let reason = reason(request.reason.as_deref())?;
        let (caller, id) = (caller.clone(), target.clone());
        self.database
            .write(move |tx| {
                let (actor, Standing { member, .. }) = rank::pair(tx, &caller, &target)?;
                end_membership(tx, Some(&actor), &member.user, reason.as_deref(), now)
                    .map_err(ModerationError::from)
            })
            .await?;
        self.shut_out(&id).await;
        Ok(())
    }

    /// What was done, newest first: the entries older than `before` (admins).
    pub async fn audit_log(
        &self,
        caller: &User,
        before: Option<i64>,
        limit: Option<u32>,
    ) -> Result<AuditPage, AuditError> {
        require(caller, Role::Admin)?;
        let limit = limit.unwrap_or(DEFAULT_PAGE);
        if !PAGE.contains(&limit) {
            return Err(AuditError::Limit);
        }
        // One more than asked for tells whether there is a next page.
        let mut entries = self.database.read(move |tx| store::audit::page(tx, before, limit + 1)).await?;
        let limit = usize::try_from(limit).expect("a page is small");
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next_before = entries.last().filter(|_| more).map(|entry| entry.id);
        Ok(AuditPage { entries, next_before })
    }

    /// What keeps this person out, if something does, coming from `from`.
    pub async fn exclusion(
        &self,
        user: UserId,
        from: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Option<Exclusion>, StoreError> {
        self.database
            .read(move |tx| match store::standing::of(tx, &user)? {
                Some(standing) => exclusion::of_person(tx, &standing, from, now),
                None => Ok(None),
            })
            .await
    }

    /// Carries out, for ever, what is decided at the command line: another process writes it, and this one has the calls.
    pub async fn follow_operator(&self) {
        let mut ticks = tokio::time::interval(OPERATOR_CHECK);
        let mut last = None;
        loop {
            ticks.tick().await;
            match self.carry_out_since(last).await {
                Ok(seen) => last = Some(seen),
                Err(error) => tracing::warn!(%error, "the audit log could not be read"),
            }
        }
    }

    /// Answers with the newest entry that is dealt with. Before the first look nobody can be inside.
    async fn carry_out_since(&self, last: Option<i64>) -> Result<i64, StoreError> {
        let (entries, seen) = self
            .database
            .read(move |tx| {
                let seen = store::audit::last(tx)?;
                let entries =
                    last.map_or(Ok(Vec::new()), |last| store::audit::by_operator_since(tx, last))?;
                Ok::<_, StoreError>((entries, seen))
            })
            .await?;
        for entry in entries {
            match (entry.details.network, entry.target_id) {
                (Some(_), _) => self.shut_out_networks().await,
                (None, Some(user)) => self.shut_out(&user).await,
                (None, None) => {}
            }
        }
        Ok(seen)
    }

    /// Ends what a person has open who may not come in any more.
    async fn shut_out(&self, user: &UserId) {
        self.sessions.announce_end();
        self.rooms.review(user.as_str()).await;
    }

    /// The same for whoever is in a network that was just banned.
    async fn shut_out_networks(&self) {
        self.sessions.announce_end();
        self.rooms.review_all().await;
    }

    async fn pair(&self, caller: User, target: UserId) -> Result<(User, User), ModerationError> {
        self.database
            .read(move |tx| {
                let (actor, standing) = rank::pair(tx, &caller, &target)?;
                Ok((actor, standing.member.user))
            })
            .await
    }

    async fn record(
        &self,
        actor: User,
        target: User,
        action: AuditAction,
        reason: Option<String>,
        details: AuditDetails,
        now: UnixMillis,
    ) -> Result<(), ModerationError> {
        let write = move |tx: &Transaction<'_>| {
            let record =
                Record { actor: Some(&actor), target: Some(&target), reason: reason.as_deref(), now };
            record.write(tx, action, details)
        };
        Ok(self.database.write(write).await?)
    }
}

/// Ends a membership inside the transaction that allowed it.
fn end_membership(
    tx: &Transaction<'_>,
    actor: Option<&User>,
    target: &User,
    reason: Option<&str>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    store::standing::remove(tx, &target.id, reason, now)?;
    withdraw(tx, &target.id)?;
    Record { actor, target: Some(target), reason, now }.write(tx, AuditAction::Kick, AuditDetails::default())
}

/// Makes everything void with which a person could come in.
fn withdraw(tx: &Transaction<'_>, user: &UserId) -> Result<(), StoreError> {
    store::standing::next_generation(tx, user)?;
    sessions::end_others(tx, user, None)
}

/// Who does something to whom, and why.
#[derive(Clone, Copy)]
struct Record<'a> {
    actor: Option<&'a User>,
    target: Option<&'a User>,
    reason: Option<&'a str>,
    now: UnixMillis,
}

impl Record<'_> {
    fn write(
        self,
        tx: &Transaction<'_>,
        action: AuditAction,
        details: AuditDetails,
    ) -> Result<(), StoreError> {
        let id = |user: &User| user.id.clone();
        let name = |user: &User| user.username.clone();
        store::audit::append(
            tx,
            &AuditEntry {
                id: 0,
                at: self.now,
                action,
                actor_id: self.actor.map(id),
                actor_name: self.actor.map(name),
                target_id: self.target.map(id),
                target_name: self.target.map(name),
                reason: self.reason.map(str::to_owned),
                details,
            },
        )
    }
}

/// Free text; an empty one is none.
fn reason(raw: Option<&str>) -> Result<Option<String>, ReasonError> {
    let Some(text) = raw.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > REASON_CHARS {
        return Err(ReasonError);
    }
    Ok(Some(text.to_owned()))
}
