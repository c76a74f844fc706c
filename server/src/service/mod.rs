//! What each operation means: one transaction each, and it knows who asks. Time and randomness are arguments.

pub mod accounts;
pub mod channels;
pub mod connection_test;
pub mod exclusion;
pub mod invites;
pub mod moderation;
pub mod names;
pub mod passwords;
pub mod secrets;
pub mod sessions;
pub mod setup;
pub mod throttle;
pub mod voice;

use std::time::Instant;

use banter_protocol::rest::{Role, UnixMillis, User};

/// One reading of both clocks: the wall for what is stored, the monotonic one for limits.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: UnixMillis,
    pub monotonic: Instant,
}

/// The caller's role does not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this needs the role {needed}, and your role is {has}; ask an owner of this server to do it or to raise your role"
)]
pub struct Forbidden {
    pub needed: Role,
    pub has: Role,
}

/// Passes who has `needed` or a role above it.
pub fn require(caller: &User, needed: Role) -> Result<(), Forbidden> {
    if caller.role >= needed { Ok(()) } else { Err(Forbidden { needed, has: caller.role }) }
}
