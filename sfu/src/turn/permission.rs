//! Whose datagrams an allocation takes and may send (RFC 8656 §9).

use std::net::IpAddr;
use std::time::Instant;

use super::expiry::PERMISSION_LIFETIME;

/// The peers of one allocation, by address: ports do not matter. Few enough to be looked through.
#[derive(Debug, Default)]
pub(super) struct Permissions(Vec<Permission>);

#[derive(Debug)]
struct Permission {
    address: IpAddr,
    expires: Instant,
}

impl Permissions {
    pub(super) fn allow(&self, address: IpAddr, now: Instant) -> bool {
        self.0.iter().any(|permission| permission.address == address && now < permission.expires)
    }

    /// Gives all of these a permission, or a new one; false, and no change, if there would be more than `limit`.
    pub(super) fn grant(&mut self, addresses: &[IpAddr], limit: usize, now: Instant) -> bool {
        self.0.retain(|permission| now < permission.expires);
        let is_new = |at: usize| !self.allow(addresses[at], now) && !addresses[..at].contains(&addresses[at]);
        if self.0.len() + (0..addresses.len()).filter(|&at| is_new(at)).count() > limit {
            return false;
        }
        let expires = now + PERMISSION_LIFETIME;
        for &address in addresses {
            match self.0.iter_mut().find(|permission| permission.address == address) {
                Some(permission) => permission.expires = expires,
                None => self.0.push(Permission { address, expires }),
            }
        }
        true
    }

    #[cfg(any(test, all(fuzzing, feature = "sim")))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
