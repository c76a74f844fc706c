//! What a server has done since its start.

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Binding requests answered.
    pub bindings: u64,
    /// Requests answered with a challenge or with "bad request" because they did not show who asks.
    pub challenged: u64,
    /// Requests of known users that were refused.
    pub refused: u64,
    /// Allocations made, and those that are over.
    pub allocated: u64,
    pub ended: u64,
    /// Datagrams from clients passed on, and their bytes.
    pub sent: u64,
    pub sent_bytes: u64,
    /// Datagrams wrapped for clients, and their bytes.
    pub received: u64,
    pub received_bytes: u64,
    /// Bytes that are no message: broken, or not STUN.
    pub malformed: u64,
    /// Messages that a server has no use for: answers, unknown methods, indications that cannot be acted upon.
    pub ignored: u64,
    /// Requests of strangers left unanswered because their network asks too often.
    pub limited: u64,
    /// Datagrams without an allocation, a permission or a channel for them.
    pub unpermitted: u64,
    /// Datagrams and requests for peers that nobody may reach.
    pub forbidden: u64,
    /// Datagrams over an allocation's rate, or longer than can be wrapped.
    pub throttled: u64,
    /// Revocations forgotten before their time, for want of room.
    pub revocations_lost: u64,
}
