//! Who is kept out, and why: the one place that decides it, for sign-in, access tokens and calls alike.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banter_protocol::rest::{Ban, Role, UnixMillis};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

use super::channels::Directory;
use crate::signal::{MemberDirectory, MemberRefusal, Voice};
use crate::store::standing::Standing;
use crate::store::{self, StoreError};

/// Why somebody may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exclusion {
    #[error(
        "you have been removed from this server{}; ask an admin for a new invite, and use it with the name and password \
         you had",
        because(.reason.as_ref())
    )]
    Removed { reason: Option<String> },
    #[error(
        "you are banned from this server {}{}; ask an admin if you think that this is a mistake",
        ending(*.until),
        because(.reason.as_ref())
    )]
    Banned { reason: Option<String>, until: Option<UnixMillis> },
    #[error(
        "this server is closed to the network you are in {}; use another one, or ask an admin to lift the ban",
        ending(*.until)
    )]
    Address { until: Option<UnixMillis> },
}

/// What keeps this person out at `now`, coming from `from`. Bans of networks hold for those below admins: nobody of a
/// lower role can lock those out who have to undo it.
pub fn of_person(
    connection: &Connection,
    standing: &Standing,
    from: Option<IpAddr>,
    now: UnixMillis,
) -> Result<Option<Exclusion>, StoreError> {
    let user = &standing.member.user;
    if let Some(ban) = store::bans::of_user(connection, &user.id, now)? {
        return Ok(Some(Exclusion::Banned { reason: ban.reason, until: ban.expires_at }));
    }
    if standing.removed {
        return Ok(Some(Exclusion::Removed { reason: standing.removed_reason.clone() }));
    }
    match from {
        Some(from) if user.role < Role::Admin => of_address(connection, from, now),
        _ => Ok(None),
    }
}

/// What keeps everyone out who comes from `from`.
pub fn of_address(
    connection: &Connection,
    from: IpAddr,
    now: UnixMillis,
) -> Result<Option<Exclusion>, StoreError> {
    let ban = store::bans::of_address(connection, from, now)?;
    Ok(ban.map(|Ban { expires_at: until, .. }| Exclusion::Address { until }))
}

/// Asked by signalling about the bearer of every token that Banter has issued.
impl MemberDirectory for Directory {
    fn admit(
        &self,
        user: &str,
        generation: u64,
        from: Option<IpAddr>,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<Voice, MemberRefusal>> {
        let user = banter_protocol::rest::UserId::new(user);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixMillis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        async move {
            let judged = self.0.read(move |tx| {
                let Some(standing) = store::standing::of(tx, &user)? else { return Ok(Err(withdrawn())) };
                if let Some(exclusion) = of_person(tx, &standing, from, now)? {
                    return Ok(Err(MemberRefusal::Excluded(exclusion.to_string())));
                }
                if standing.generation != generation {
                    return Ok(Err(withdrawn()));
                }
                Ok(Ok(voice(&standing)))
            });
            let judged: Result<_, StoreError> = judged.await;
            judged.unwrap_or_else(|error| {
                tracing::error!(%error, "looking up a member failed");
                Err(MemberRefusal::Unavailable)
            })
        }
        .boxed()
    }
}

/// What a member's voice may do in a call.
pub(super) fn voice(standing: &Standing) -> Voice {
    Voice { may_speak: !standing.member.server_muted, may_listen: !standing.member.server_deafened }
}

fn withdrawn() -> MemberRefusal {
    MemberRefusal::Excluded("this token has been withdrawn; sign in again and fetch a new one".to_owned())
}

fn because(reason: Option<&String>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn ending(until: Option<UnixMillis>) -> String {
    let Some(until) = until else { return "for good".to_owned() };
    let until = UNIX_EPOCH + Duration::from_millis(until.0.unsigned_abs());
    format!("until {}", httpdate::fmt_http_date(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_why_and_until_when() {
        let until = Some(UnixMillis(784_111_777_000));
        let banned = Exclusion::Banned { reason: Some("shouting".into()), until };
        let text = "you are banned from this server until Sun, 06 Nov 1994 08:49:37 GMT (shouting); ask an admin if you \
                    think that this is a mistake";
        assert_eq!(banned.to_string(), text);
        let for_good = Exclusion::Banned { reason: None, until: None }.to_string();
        assert!(for_good.starts_with("you are banned from this server for good; ask"), "{for_good}");
    }
}
