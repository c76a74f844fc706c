//! Bans: of people, of the networks they come from, or both; for a while or for good.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use banter_protocol::rest::{
    AuditAction, AuditDetails, Ban, BanId, CreateBan, Role, UnixMillis, User, UserId,
};
use ipnet::{IpNet, Ipv6Net};
use rand::CryptoRng;
use rusqlite::Transaction;

use super::{Moderation, ModerationError, ReasonError, Record, rank, reason, withdraw};
use crate::service::{Forbidden, require, secrets};
use crate::store::{self, StoreError};

pub const LIFETIME: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(10 * 365 * 24 * 3600);
/// In force at the same time.
pub const MAX_BANS: u32 = 10_000;

/// A host in IPv6 has a network of its own, with as many addresses as it likes.
const IPV6_HOST: u8 = 64;

#[derive(Debug, thiserror::Error)]
pub enum BanError {
    #[error(transparent)]
    Moderation(#[from] ModerationError),
    #[error("say whom to ban: a person, an address, or both")]
    Nobody,
    #[error("{0:?} is neither an address nor a network; write it like 203.0.113.7 or 203.0.113.0/24")]
    Address(String),
    #[error("{0} is this machine or a proxy on it, through which everybody may come; ban the person alone")]
    Loopback(IpNet),
    #[error("you are in {0} yourself and would be locked out; name a smaller network")]
    CoversCaller(IpNet),
    #[error("it is not known from where {0} signed in; name the address, or ban the person alone")]
    NoAddress(String),
    #[error("a ban lasts between 60 seconds and 10 years, or for good")]
    Lifetime,
    #[error("there are {MAX_BANS} bans already; lift some that are not needed any more")]
    TooMany,
    #[error("there is no such ban; it may have been lifted or have ended")]
    Unknown,
}

impl From<StoreError> for BanError {
    fn from(error: StoreError) -> Self {
        Self::Moderation(error.into())
    }
}

impl From<Forbidden> for BanError {
    fn from(error: Forbidden) -> Self {
        Self::Moderation(error.into())
    }
}

impl From<ReasonError> for BanError {
    fn from(error: ReasonError) -> Self {
        Self::Moderation(error.into())
    }
}

impl Moderation {
    /// The bans in force, newest first (moderators).
    pub async fn bans(&self, caller: &User, now: UnixMillis) -> Result<Vec<Ban>, ModerationError> {
        require(caller, Role::Moderator)?;
        Ok(self.database.read(move |tx| store::bans::all(tx, now)).await?)
    }

    /// Bans a person (moderators), a network (admins), or both. Another ban of the same person gives way to it. The
    /// membership lasts: when the ban ends, the person may come in again. `from` is where the caller is.
    pub async fn ban(
        &self,
        caller: &User,
        request: CreateBan,
        from: IpAddr,
        now: UnixMillis,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Ban, BanError> {
        let wish = Wish::read(request, now)?;
        let (caller, id) = (caller.clone(), BanId::new(secrets::id(rng)));
        let ban = self
            .database
            .write(move |tx| {
                let actor = rank::current(tx, &caller)?;
                let needed = if wish.names_network() { Role::Admin } else { Role::Moderator };
                require(&actor, needed)?;
                let target =
                    wish.user.as_ref().map(|user| rank::acquainted(tx, &caller, user)).transpose()?;
                let target = target.map(|(_, standing)| standing.member.user);
                let network = wish.network(tx, target.as_ref())?;
                if let Some(network) = network.filter(|network| network.contains(&from.to_canonical())) {
                    return Err(BanError::CoversCaller(network));
                }
                wish.write(tx, id, Some(&actor), target.as_ref(), network, now)
            })
            .await?;
        if let Some(user) = &ban.user_id {
            self.shut_out(user).await;
        }
        if ban.network.is_some() {
            self.shut_out_networks().await;
        }
        Ok(ban)
    }

    /// Lifts a ban (admins).
    pub async fn unban(&self, caller: &User, id: BanId, now: UnixMillis) -> Result<(), BanError> {
        require(caller, Role::Admin)?;
        let caller = caller.clone();
        self.database
            .write(move |tx| {
                let ban = store::bans::by_id(tx, &id)?.ok_or(BanError::Unknown)?;
                lift(tx, Some(&caller), &ban, now)?;
                Ok(())
            })
            .await
    }
}

/// What somebody wants banned, with everything checked that needs no look into the database.
pub(super) struct Wish {
    pub(super) user: Option<UserId>,
    address: Option<IpNet>,
    include_address: bool,
    reason: Option<String>,
    expires_at: Option<UnixMillis>,
}

impl Wish {
    pub(super) fn read(request: CreateBan, now: UnixMillis) -> Result<Self, BanError> {
        let address = request.address.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let address = address.map(network).transpose()?;
        if request.user_id.is_none() && address.is_none() {
            return Err(BanError::Nobody);
        }
        Ok(Self {
            address,
            include_address: request.include_address && address.is_none(),
            reason: reason(request.reason.as_deref())?,
            expires_at: request.expires_in_seconds.map(|seconds| expiry(seconds, now)).transpose()?,
            user: request.user_id,
        })
    }

    fn names_network(&self) -> bool {
        self.address.is_some() || self.include_address
    }

    /// The network to ban, which may have to be looked up.
    pub(super) fn network(
        &self,
        tx: &Transaction<'_>,
        target: Option<&User>,
    ) -> Result<Option<IpNet>, BanError> {
        let network = match (self.address, target) {
            (None, Some(user)) if self.include_address => {
                let address = store::sessions::last_address(tx, &user.id)?;
                Some(host(address.ok_or_else(|| BanError::NoAddress(user.username.clone()))?))
            }
            (address, _) => address,
        };
        match network {
            Some(network) if covers_loopback(network) => Err(BanError::Loopback(network)),
            network => Ok(network),
        }
    }

    pub(super) fn write(
        self,
        tx: &Transaction<'_>,
        id: BanId,
        actor: Option<&User>,
        target: Option<&User>,
        network: Option<IpNet>,
        now: UnixMillis,
    ) -> Result<Ban, BanError> {
        if let Some(user) = target {
            store::bans::delete_of_user(tx, &user.id)?;
            withdraw(tx, &user.id)?;
        }
        if store::bans::count(tx)? >= MAX_BANS {
            return Err(BanError::TooMany);
        }
        let ban = Ban {
            id,
            user_id: target.map(|user| user.id.clone()),
            username: target.map(|user| user.username.clone()),
            network: network.map(|network| network.to_string()),
            reason: self.reason,
            created_by: actor.map(|user| user.id.clone()),
            created_by_name: actor.map(|user| user.username.clone()),
            created_at: now,
            expires_at: self.expires_at,
        };
        store::bans::insert(tx, &ban, network)?;
        let record = Record { actor, target, reason: ban.reason.as_deref(), now };
        record.write(tx, AuditAction::Ban, details(&ban))?;
        Ok(ban)
    }
}

pub(super) fn lift(
    tx: &Transaction<'_>,
    actor: Option<&User>,
    ban: &Ban,
    now: UnixMillis,
) -> Result<(), StoreError> {
    store::bans::delete(tx, &ban.id)?;
    let target = match &ban.user_id {
        Some(user) => store::users::by_id(tx, user)?,
        None => None,
    };
    Record { actor, target: target.as_ref(), reason: None, now }.write(tx, AuditAction::Unban, details(ban))
}

fn details(ban: &Ban) -> AuditDetails {
    AuditDetails {
        ban_id: Some(ban.id.clone()),
        network: ban.network.clone(),
        expires_at: ban.expires_at,
        ..AuditDetails::default()
    }
}

fn expiry(seconds: i64, now: UnixMillis) -> Result<UnixMillis, BanError> {
    let lifetime = u64::try_from(seconds).map(Duration::from_secs).map_err(|_| BanError::Lifetime)?;
    if !LIFETIME.contains(&lifetime) {
        return Err(BanError::Lifetime);
    }
    Ok(UnixMillis(now.0 + seconds * 1000))
}

/// Reads an address or a network in CIDR notation.
pub(super) fn network(text: &str) -> Result<IpNet, BanError> {
    let bad = || BanError::Address(text.chars().take(64).collect());
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(host(address));
    }
    let network: IpNet = text.parse().map_err(|_| bad())?;
    // Addresses are compared in their IPv4 form.
    match network {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => Err(bad()),
        network => Ok(network.trunc()),
    }
}

/// The network that stands for one host.
fn host(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpNet::V6(Ipv6Net::new(v6, IPV6_HOST).expect("64 is a prefix length").trunc())
        }
        address => address.into(),
    }
}

fn covers_loopback(network: IpNet) -> bool {
    let loopback = match network {
        IpNet::V4(_) => IpNet::new_assert([127, 0, 0, 0].into(), 8),
        IpNet::V6(_) => IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
    };
    network.contains(&loopback) || loopback.contains(&network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_stands_for_one_host() {
        let shown = |text: &str| network(text).map(|network| network.to_string()).ok();
        assert_eq!(shown("203.0.113.7").as_deref(), Some("203.0.113.7/32"));
        assert_eq!(shown("203.0.113.7/24").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(shown("::ffff:203.0.113.7").as_deref(), Some("203.0.113.7/32"));
        assert_eq!(shown("2001:db8::7").as_deref(), Some("2001:db8::/64"));
        assert_eq!(shown("2001:db8::7/48").as_deref(), Some("2001:db8::/48"));
        for nonsense in ["", "home", "1.2.3", "1.2.3.4/33", "::ffff:1.2.3.4/120", "1.2.3.4 or so"] {
            assert_eq!(shown(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_machine_itself_cannot_be_banned() {
        for text in ["127.0.0.1", "127.3.0.0/16", "0.0.0.0/0", "::1", "::/0"] {
            assert!(covers_loopback(network(text).expect("a network")), "{text}");
        }
        assert!(!covers_loopback(network("128.0.0.0/8").expect("a network")));
    }

    #[test]
    fn limits_hold_at_both_ends() {
        let now = UnixMillis(1000);
        assert!(expiry(59, now).is_err() && expiry(-1, now).is_err());
        assert_eq!(expiry(60, now).ok(), Some(UnixMillis(61_000)));
        assert!(expiry(315_360_000, now).is_ok() && expiry(315_360_001, now).is_err());
    }
}
