//! Those in the room who came with a token that Banter has issued.

use std::net::IpAddr;

use banter_sfu::ParticipantKey;

use super::Room;

/// A session, and what it takes to judge anew whether it may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::signal) struct Member {
    pub(in crate::signal) key: ParticipantKey,
    /// The person's user id.
    pub(in crate::signal) identity: String,
    pub(in crate::signal) generation: u64,
    pub(in crate::signal) from: Option<IpAddr>,
}

impl Room {
    pub(in crate::signal) fn members(&self) -> Vec<Member> {
        self.participants
            .iter()
            .filter(|(_, participant)| participant.claims.banter_channel)
            .map(|(&key, participant)| Member {
                key,
                identity: participant.identity().to_owned(),
                generation: participant.claims.banter_generation,
                from: participant.from,
            })
            .collect()
    }
}
