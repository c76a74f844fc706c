//! What a client has of us: relayed addresses, and whom they are open to (RFC 8656 §3.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::channel::Channels;
use super::limits::Bucket;
use super::permission::Permissions;
use super::pool::ReservationToken;
use super::stun::{ErrorCode, Family, TransactionId};
use super::{Client, Transport};

/// What was granted, as the answer says it. Kept for a request that comes again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) relayed_ipv4: Option<SocketAddr>,
    pub(super) relayed_ipv6: Option<SocketAddr>,
    pub(super) lifetime: Duration,
    pub(super) token: Option<ReservationToken>,
    /// Of two families that were asked for, the one that could not be had, and why.
    pub(super) failed: Option<(Family, ErrorCode)>,
}

impl Grant {
    pub(super) fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        self.relayed_ipv4.into_iter().chain(self.relayed_ipv6)
    }
}

/// One client's allocation, of one address or of one in each family.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Client,
    pub(super) participant: Box<str>,
    /// The request that made it, and what it was answered.
    pub(super) transaction: TransactionId,
    pub(super) grant: Grant,
    ipv4: Option<Relayed>,
    ipv6: Option<Relayed>,
    pub(super) permissions: Permissions,
    pub(super) channels: Channels,
    /// What passes from the client, and to it.
    pub(super) sending: Bucket,
    pub(super) receiving: Bucket,
    /// The time at which it is to be looked at, as it stands in the server's list.
    pub(super) deadline: Instant,
}

/// A relayed address and how long it is the client's.
#[derive(Clone, Copy, Debug)]
struct Relayed {
    address: SocketAddr,
    expires: Instant,
}

impl Allocation {
    pub(super) fn new(
        client: Client,
        participant: &str,
        transaction: TransactionId,
        grant: Grant,
        now: Instant,
    ) -> Self {
        let expires = now + grant.lifetime;
        let relayed = |address: SocketAddr| Relayed { address, expires };
        Self {
            client,
            participant: participant.into(),
            transaction,
            grant,
            ipv4: grant.relayed_ipv4.map(relayed),
            ipv6: grant.relayed_ipv6.map(relayed),
            permissions: Permissions::default(),
            channels: Channels::default(),
            sending: Bucket::new(now),
            receiving: Bucket::new(now),
            deadline: expires,
        }
    }

    /// The relayed address of a family.
    pub(super) fn relayed(&self, family: Family) -> Option<SocketAddr> {
        let relayed = match family {
            Family::V4 => self.ipv4,
            Family::V6 => self.ipv6,
        };
        Some(relayed?.address)
    }

    /// Every relayed address.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.ipv4.into_iter().chain(self.ipv6).map(|relayed| relayed.address)
    }

    /// Lets the address of a family live for another `lifetime`, or every address.
    pub(super) fn refresh(&mut self, family: Option<Family>, lifetime: Duration, now: Instant) {
        let slots = [(Family::V4, &mut self.ipv4), (Family::V6, &mut self.ipv6)];
        for (of, slot) in slots {
            if let Some(relayed) = slot.as_mut().filter(|_| family.is_none_or(|family| family == of)) {
                relayed.expires = now + lifetime;
            }
        }
    }

    /// Gives up the addresses whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> [Option<SocketAddr>; 2] {
        [&mut self.ipv4, &mut self.ipv6]
            .map(|slot| Some(slot.take_if(|relayed| relayed.expires <= now)?.address))
    }

    /// When the first of its addresses expires; `None` when it has none any more.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.ipv4.into_iter().chain(self.ipv6).map(|relayed| relayed.expires).min()
    }

    pub(super) fn transport(&self) -> Transport {
        self.client.transport
    }
}
