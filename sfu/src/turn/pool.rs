//! Relayed addresses: which there are, who has them, and which are kept for a next allocation.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Instant;

use rand::{Rng, RngExt};

use super::config::Config;
use super::stun::Family;

/// What a client shows to get the port that was kept for it (RFC 8656 §18.10).
pub(super) type ReservationToken = [u8; 8];

/// Which port is wanted (RFC 8656 §18.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parity {
    Any,
    Even,
    /// An even port whose successor is free as well.
    EvenAndNext,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Allocation(usize),
    Reservation,
}

/// A port kept for the next allocation of a participant.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) address: SocketAddr,
    pub(super) participant: Box<str>,
    pub(super) expires: Instant,
}

#[derive(Debug)]
pub(super) struct Pool {
    ipv4: Option<IpAddr>,
    ipv6: Option<IpAddr>,
    ports: RangeInclusive<u16>,
    holder_by_address: HashMap<SocketAddr, Holder>,
    reservation_by_token: HashMap<ReservationToken, Reservation>,
}

impl Pool {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            ipv4: config.relayed_ipv4.map(IpAddr::V4),
            ipv6: config.relayed_ipv6.map(IpAddr::V6),
            ports: config.relayed_ports.clone(),
            holder_by_address: HashMap::new(),
            reservation_by_token: HashMap::new(),
        }
    }

    pub(super) fn offers(&self, family: Family) -> bool {
        self.ip(family).is_some()
    }

    /// The allocation that has an address.
    pub(super) fn allocation(&self, address: SocketAddr) -> Option<usize> {
        match self.holder_by_address.get(&address)? {
            Holder::Allocation(index) => Some(*index),
            Holder::Reservation => None,
        }
    }

    /// A free address, from a random port on upwards (RFC 6056 §3.3.1). It is not taken yet.
    pub(super) fn find(&self, family: Family, parity: Parity, rng: &mut impl Rng) -> Option<SocketAddr> {
        let ip = self.ip(family)?;
        let (first, last) = (*self.ports.start(), *self.ports.end());
        let from = rng.random_range(self.ports.clone());
        let is_free = |port: u16| {
            self.ports.contains(&port) && !self.holder_by_address.contains_key(&SocketAddr::new(ip, port))
        };
        let port = (from..=last).chain(first..from).find(|&port| match parity {
            Parity::Any => is_free(port),
            Parity::Even => port % 2 == 0 && is_free(port),
            Parity::EvenAndNext => port % 2 == 0 && is_free(port) && is_free(port + 1),
        })?;
        Some(SocketAddr::new(ip, port))
    }

    pub(super) fn take(&mut self, address: SocketAddr, allocation: usize) {
        self.holder_by_address.insert(address, Holder::Allocation(allocation));
    }

    pub(super) fn free(&mut self, address: SocketAddr) {
        self.holder_by_address.remove(&address);
    }

    /// Keeps an address that [`Self::find`] has found free.
    pub(super) fn reserve(&mut self, token: ReservationToken, reservation: Reservation) {
        self.holder_by_address.insert(reservation.address, Holder::Reservation);
        self.reservation_by_token.insert(token, reservation);
    }

    pub(super) fn reservation(&self, token: ReservationToken) -> Option<&Reservation> {
        self.reservation_by_token.get(&token)
    }

    /// Ends a reservation; its address is free again.
    pub(super) fn redeem(&mut self, token: ReservationToken) -> Option<Reservation> {
        let reservation = self.reservation_by_token.remove(&token)?;
        self.free(reservation.address);
        Some(reservation)
    }

    /// The addresses of allocations and reservations.
    #[cfg(any(test, all(fuzzing, feature = "sim")))]
    pub(super) fn held(&self) -> (usize, usize) {
        let reserved = self.reservation_by_token.len();
        (self.holder_by_address.len() - reserved, reserved)
    }

    fn ip(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.ipv4,
            Family::V6 => self.ipv6,
        }
    }
}
