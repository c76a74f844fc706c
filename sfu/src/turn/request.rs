//! What users may ask for (RFC 8656 §7, §8, §10, §12.2). Refusals change nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::Rng;
use tracing::debug;

use super::Client;
use super::allocation::{Allocation, Grant};
use super::auth::User;
use super::channel::ChannelNumber;
use super::expiry::{DEFAULT_LIFETIME, MAX_LIFETIME, RESERVATION_LIFETIME};
use super::pool::{Parity, Reservation, ReservationToken};
use super::server::{Deadline, Server};
use super::stun::{AttributeType, ErrorCode, Family, Message};

/// The number of UDP, the one transport that is relayed (RFC 8656 §18.8).
const UDP: u8 = 17;

/// What was done.
#[derive(Debug)]
pub(super) enum Success {
    Allocated(Grant),
    /// With what is left, nothing if it is gone.
    Refreshed(Duration),
    Permitted,
    Bound,
}

/// The addresses that an Allocate request asks for.
#[derive(Clone, Copy, Debug)]
enum Wish {
    /// The port that was kept at an earlier request.
    Reserved(ReservationToken),
    One(Family, Parity),
    /// One of each family, or of one of them if that is all there is.
    Both(Parity),
}

/// The addresses that a wish comes to.
#[derive(Debug, Default)]
struct Found {
    ipv4: Option<SocketAddr>,
    ipv6: Option<SocketAddr>,
    failed: Option<(Family, ErrorCode)>,
}

impl Server {
    /// RFC 8656 §7.2, in the order that it gives.
    pub(super) fn allocate(
        &mut self,
        client: Client,
        request: &Message<'_>,
        user: &User<'_>,
        now: Instant,
    ) -> Result<Success, ErrorCode> {
        let participant = user.username.participant;
        if let Some(&index) = self.allocation_by_client.get(&client) {
            let Allocation { transaction, participant: owner, grant, .. } = &self.allocations[index];
            let is_again = *transaction == request.transaction_id() && **owner == *participant;
            return if is_again {
                Ok(Success::Allocated(*grant))
            } else {
                Err(ErrorCode::AllocationMismatch)
            };
        }
        let wish = self.read_wish(request, participant)?;
        let lifetime =
            read_lifetime(request)?.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME);
        self.check_quota(client, participant, wish)?;
        let Found { ipv4, ipv6, failed } = self.find(wish)?;
        if let Wish::Reserved(token) = wish {
            self.redeem(token);
        }
        let mut grant = Grant { relayed_ipv4: ipv4, relayed_ipv6: ipv6, lifetime, token: None, failed };
        let first = grant.relayed().next();
        if let (Wish::One(_, Parity::EvenAndNext), Some(address)) = (wish, first) {
            let next = SocketAddr::new(address.ip(), address.port() + 1);
            grant.token = Some(self.reserve(next, participant, now));
        }
        self.begin(Allocation::new(client, participant, request.transaction_id(), grant, now));
        Ok(Success::Allocated(grant))
    }

    /// RFC 8656 §8.2.
    pub(super) fn refresh(
        &mut self,
        client: Client,
        request: &Message<'_>,
        user: &User<'_>,
        now: Instant,
    ) -> Result<Success, ErrorCode> {
        let index = self.own_allocation(client, request, user)?;
        let family = match request.value(AttributeType::REQUESTED_ADDRESS_FAMILY) {
            Some(&[byte, _, _, _]) => {
                let family = Family::from_byte(byte).ok_or(ErrorCode::PeerFamilyMismatch)?;
                self.allocations[index].relayed(family).ok_or(ErrorCode::PeerFamilyMismatch)?;
                Some(family)
            }
            Some(_) => return Err(ErrorCode::BadRequest),
            None => None,
        };
        let lifetime = match read_lifetime(request)? {
            // Nothing means delete, so it must not be raised to the default.
            Some(Duration::ZERO) => Duration::ZERO,
            lifetime => lifetime.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME),
        };
        self.allocations[index].refresh(family, lifetime, now);
        self.expire_addresses(index, now);
        Ok(Success::Refreshed(lifetime))
    }

    /// RFC 8656 §10.2: all of the peers or none.
    pub(super) fn create_permission(
        &mut self,
        client: Client,
        request: &Message<'_>,
        user: &User<'_>,
        now: Instant,
    ) -> Result<Success, ErrorCode> {
        let index = self.own_allocation(client, request, user)?;
        let limit = self.config.limits.permissions_per_allocation;
        let mut peers: Vec<IpAddr> = Vec::new();
        let named =
            request.attributes().filter(|attribute| attribute.kind == AttributeType::XOR_PEER_ADDRESS);
        for attribute in named {
            let peer = request.read_xor_address(attribute).ok_or(ErrorCode::BadRequest)?.ip();
            self.check_peer(index, SocketAddr::new(peer, 0), self.is_address_of_peer(peer))?;
            if !peers.contains(&peer) {
                peers.push(peer);
            }
            if peers.len() > limit {
                return Err(ErrorCode::InsufficientCapacity);
            }
        }
        if peers.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        if self.allocations[index].permissions.grant(&peers, limit, now) {
            Ok(Success::Permitted)
        } else {
            Err(ErrorCode::InsufficientCapacity)
        }
    }

    /// RFC 8656 §12.2.
    pub(super) fn bind_channel(
        &mut self,
        client: Client,
        request: &Message<'_>,
        user: &User<'_>,
        now: Instant,
    ) -> Result<Success, ErrorCode> {
        let index = self.own_allocation(client, request, user)?;
        let number = match request.value(AttributeType::CHANNEL_NUMBER) {
            Some(&[high, low, _, _]) => ChannelNumber::new(u16::from_be_bytes([high, low])),
            _ => None,
        };
        let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS).flatten();
        let (Some(number), Some(peer)) = (number, peer) else { return Err(ErrorCode::BadRequest) };
        self.check_peer(index, peer, self.is_peer(peer))?;
        let limits = &self.config.limits;
        let allocation = &mut self.allocations[index];
        allocation.channels.may_bind(number, peer, limits.channels_per_allocation, now)?;
        if !allocation.permissions.grant(&[peer.ip()], limits.permissions_per_allocation, now) {
            return Err(ErrorCode::InsufficientCapacity);
        }
        allocation.channels.bind(number, peer, now);
        Ok(Success::Bound)
    }

    /// The allocation that a request is about, if it is the user's own (RFC 8656 §5).
    fn own_allocation(
        &self,
        client: Client,
        request: &Message<'_>,
        user: &User<'_>,
    ) -> Result<usize, ErrorCode> {
        if request.has_unknown_attributes() {
            return Err(ErrorCode::UnknownAttribute);
        }
        let index = *self.allocation_by_client.get(&client).ok_or(ErrorCode::AllocationMismatch)?;
        // New credentials of the same participant are as good as those that the allocation was made with.
        if *self.allocations[index].participant == *user.username.participant {
            Ok(index)
        } else {
            Err(ErrorCode::WrongCredentials)
        }
    }

    fn check_peer(&mut self, allocation: usize, peer: SocketAddr, is_allowed: bool) -> Result<(), ErrorCode> {
        if self.allocations[allocation].relayed(Family::of(peer)).is_none() {
            return Err(ErrorCode::PeerFamilyMismatch);
        }
        if !is_allowed {
            self.counters.forbidden += 1;
            return Err(ErrorCode::Forbidden);
        }
        Ok(())
    }

    fn read_wish(&self, request: &Message<'_>, participant: &str) -> Result<Wish, ErrorCode> {
        match request.value(AttributeType::REQUESTED_TRANSPORT) {
            Some([UDP, _, _, _]) => {}
            Some([_, _, _, _]) => return Err(ErrorCode::TransportNotSupported),
            Some(_) | None => return Err(ErrorCode::BadRequest),
        }
        // DONT-FRAGMENT is known and needs nothing: no path inside this process breaks a datagram up.
        if request.has_unknown_attributes() {
            return Err(ErrorCode::UnknownAttribute);
        }
        let parity = match request.value(AttributeType::EVEN_PORT) {
            Some([bits]) if bits & 0x80 != 0 => Some(Parity::EvenAndNext),
            Some([_]) => Some(Parity::Even),
            Some(_) => return Err(ErrorCode::BadRequest),
            None => None,
        };
        let [family, additional] =
            [AttributeType::REQUESTED_ADDRESS_FAMILY, AttributeType::ADDITIONAL_ADDRESS_FAMILY]
                .map(|kind| request.value(kind));
        if let Some(token) = request.value(AttributeType::RESERVATION_TOKEN) {
            let token = token.try_into().map_err(|_| ErrorCode::BadRequest)?;
            if parity.is_some() || family.is_some() || additional.is_some() {
                return Err(ErrorCode::BadRequest);
            }
            let is_own = |reservation: &Reservation| *reservation.participant == *participant;
            let is_good = self.pool.reservation(token).is_some_and(is_own);
            return if is_good { Ok(Wish::Reserved(token)) } else { Err(ErrorCode::InsufficientCapacity) };
        }
        let parity = parity.unwrap_or(Parity::Any);
        match (family, additional) {
            (None, None) => self.wish_for(Family::V4, parity),
            (Some(&[byte, _, _, _]), None) => {
                self.wish_for(Family::from_byte(byte).ok_or(ErrorCode::FamilyNotSupported)?, parity)
            }
            (None, Some([2, _, _, _])) if parity != Parity::EvenAndNext => Ok(Wish::Both(parity)),
            _ => Err(ErrorCode::BadRequest),
        }
    }

    fn wish_for(&self, family: Family, parity: Parity) -> Result<Wish, ErrorCode> {
        if self.pool.offers(family) {
            Ok(Wish::One(family, parity))
        } else {
            Err(ErrorCode::FamilyNotSupported)
        }
    }

    fn check_quota(&self, client: Client, participant: &str, wish: Wish) -> Result<(), ErrorCode> {
        let limits = &self.config.limits;
        let more = match wish {
            Wish::Reserved(_) => 0,
            Wish::One(_, Parity::EvenAndNext) => 2,
            Wish::One(..) | Wish::Both(_) => 1,
        };
        let of_source = self.allocations_by_source.of(&client.remote.ip().to_canonical());
        if self.ports_by_participant.of(participant) + more > limits.allocations_per_participant
            || of_source >= limits.allocations_per_source
        {
            return Err(ErrorCode::QuotaReached);
        }
        Ok(())
    }

    /// Free addresses for a wish. Nothing is taken yet.
    fn find(&mut self, wish: Wish) -> Result<Found, ErrorCode> {
        match wish {
            Wish::Reserved(token) => {
                let reservation = self.pool.reservation(token).ok_or(ErrorCode::InsufficientCapacity)?;
                Ok(Found::one(reservation.address))
            }
            Wish::One(family, parity) => Ok(Found::one(self.find_one(family, parity)?)),
            Wish::Both(parity) => {
                match (self.find_one(Family::V4, parity), self.find_one(Family::V6, parity)) {
                    (Ok(ipv4), Ok(ipv6)) => Ok(Found { ipv4: Some(ipv4), ipv6: Some(ipv6), failed: None }),
                    (Ok(address), Err(error)) => {
                        Ok(Found { failed: Some((Family::V6, error)), ..Found::one(address) })
                    }
                    (Err(error), Ok(address)) => {
                        Ok(Found { failed: Some((Family::V4, error)), ..Found::one(address) })
                    }
                    (Err(error), Err(_)) => Err(error),
                }
            }
        }
    }

    fn find_one(&mut self, family: Family, parity: Parity) -> Result<SocketAddr, ErrorCode> {
        if !self.pool.offers(family) {
            return Err(ErrorCode::FamilyNotSupported);
        }
        self.pool.find(family, parity, &mut self.rng).ok_or(ErrorCode::InsufficientCapacity)
    }

    /// Keeps a port for the participant's next allocation.
    fn reserve(&mut self, address: SocketAddr, participant: &str, now: Instant) -> ReservationToken {
        let token = self.rng.next_u64().to_be_bytes();
        let expires = now + RESERVATION_LIFETIME;
        self.pool.reserve(token, Reservation { address, participant: participant.into(), expires });
        self.ports_by_participant.add(participant.into());
        self.deadlines.insert((expires, Deadline::Reservation(token)));
        token
    }

    /// Gives up what was kept, for the allocation that follows.
    fn redeem(&mut self, token: ReservationToken) {
        let Some(reservation) = self.pool.redeem(token) else { return };
        self.ports_by_participant.remove(&*reservation.participant);
        self.deadlines.remove(&(reservation.expires, Deadline::Reservation(token)));
    }

    fn begin(&mut self, allocation: Allocation) {
        let Allocation { client, ref participant, .. } = allocation;
        for relayed in allocation.addresses() {
            debug!(%participant, transport = ?client.transport, remote = %client.remote, %relayed, "allocation made");
        }
        self.counters.allocated += 1;
        self.ports_by_participant.add(participant.clone());
        self.allocations_by_source.add(client.remote.ip().to_canonical());
        let index = self.allocations.insert(allocation);
        for address in self.allocations[index].addresses() {
            self.pool.take(address, index);
        }
        self.allocation_by_client.insert(client, index);
        self.schedule(index);
    }
}

impl Found {
    fn one(address: SocketAddr) -> Self {
        match Family::of(address) {
            Family::V4 => Self { ipv4: Some(address), ..Self::default() },
            Family::V6 => Self { ipv6: Some(address), ..Self::default() },
        }
    }
}

fn read_lifetime(request: &Message<'_>) -> Result<Option<Duration>, ErrorCode> {
    let Some(value) = request.value(AttributeType::LIFETIME) else { return Ok(None) };
    let seconds = value.try_into().map_err(|_| ErrorCode::BadRequest)?;
    Ok(Some(Duration::from_secs(u32::from_be_bytes(seconds).into())))
}
