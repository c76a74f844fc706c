//! STUN and TURN (RFC 8489, RFC 8656) for clients that cannot reach a media port directly.

pub mod stun;
