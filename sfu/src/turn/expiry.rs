//! How long things live.

use std::time::Duration;

/// What an allocation gets when nothing or less is asked for (RFC 8656 §3.2).
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// What it gets at most (RFC 8656 §7.2).
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// A permission (RFC 8656 §9).
pub(super) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// A channel (RFC 8656 §12).
pub(super) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// A port kept for the next allocation (RFC 8656 §7.2).
pub(super) const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);
/// A nonce. RFC 8656 §5 asks for at most an hour.
pub(super) const NONCE_LIFETIME: Duration = Duration::from_secs(1800);
