//! Who may act on whom: moderators and above, on those below them.

use banter_protocol::rest::{Role, User, UserId};
use rusqlite::Transaction;

use super::{ModerationError, Standing};
use crate::service::{Forbidden, require};
use crate::store;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    #[error("this is your own account; ask somebody with a higher role to do it")]
    Oneself,
    #[error(
        "{name} is {role}, and you can do this only to people of a lower role than yours; ask an owner of this server"
    )]
    NotBelow { name: String, role: Role },
}

/// Reads both sides as they are at this moment and holds them against each other.
pub(super) fn pair(
    tx: &Transaction<'_>,
    caller: &User,
    target: &UserId,
) -> Result<(User, Standing), ModerationError> {
    let (actor, standing) = acquainted(tx, caller, target)?;
    if standing.removed { Err(ModerationError::UnknownUser) } else { Ok((actor, standing)) }
}

/// The same for a target that need not be a member any more.
pub(super) fn acquainted(
    tx: &Transaction<'_>,
    caller: &User,
    target: &UserId,
) -> Result<(User, Standing), ModerationError> {
    let actor = current(tx, caller)?;
    require(&actor, Role::Moderator)?;
    let standing = store::standing::of(tx, target)?.ok_or(ModerationError::UnknownUser)?;
    may_act(&actor, &standing.member.user)?;
    Ok((actor, standing))
}

/// The caller as they are in this transaction: since they signed in with this request, they may have lost their role.
pub(super) fn current(tx: &Transaction<'_>, caller: &User) -> Result<User, ModerationError> {
    let standing = store::standing::of(tx, &caller.id)?.filter(|standing| !standing.removed);
    let lost = Forbidden { needed: Role::Moderator, has: Role::Member };
    Ok(standing.ok_or(lost)?.member.user)
}

fn may_act(actor: &User, target: &User) -> Result<(), RankError> {
    match () {
        () if actor.id == target.id => Err(RankError::Oneself),
        () if actor.role <= target.role => {
            Err(RankError::NotBelow { name: target.username.clone(), role: target.role })
        }
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use banter_protocol::rest::UnixMillis;

    use super::*;

    #[test]
    fn nobody_acts_on_an_equal_a_higher_one_or_oneself() {
        for actor in Role::ALL {
            for target in Role::ALL {
                let allowed = may_act(&person("a", actor), &person("b", target)).is_ok();
                assert_eq!(allowed, actor > target, "{actor} on {target}");
            }
            assert_eq!(may_act(&person("a", actor), &person("a", actor)), Err(RankError::Oneself));
        }
    }

    fn person(id: &str, role: Role) -> User {
        User { id: UserId::new(id), username: id.to_owned(), role, created_at: UnixMillis(0) }
    }
}
