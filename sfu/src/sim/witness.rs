//! Sees to it that no two different packets ever leave under one number.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Datagram;
use crate::demux;
use crate::rtp::RtpView;
use crate::{Ssrc, rtp::SeqNo};

/// Packets after which a number may come round again (RFC 3711 §3.3.1: half a cycle is never in doubt).
const HALF_CYCLE: u64 = 1 << 15;

/// What has been sent lately, as hashes.
#[derive(Debug, Default)]
pub(super) struct Witness {
    packets: u64,
    sent: HashMap<(Ssrc, SeqNo), (u64, u64)>,
}

impl Witness {
    /// Takes a datagram on its way out.
    ///
    /// # Panics
    /// When it is RTP whose SSRC and number have just gone out with other bytes: one nonce for two plaintexts.
    pub(super) fn see(&mut self, datagram: &Datagram) {
        if demux::kind(&datagram.bytes) != Some(demux::Kind::Rtp) {
            return;
        }
        let header = RtpView::parse(&datagram.bytes).expect("what we send is well-formed").header;
        let mut hasher = DefaultHasher::new();
        datagram.bytes.hash(&mut hasher);
        let hash = hasher.finish();
        self.packets += 1;
        let (at, before) = *self.sent.entry((header.ssrc, header.seq)).or_insert((self.packets, hash));
        assert!(
            before == hash || self.packets - at > HALF_CYCLE,
            "{:?} {:?} of {:?} stands for two packets",
            header.ssrc,
            header.seq,
            datagram.to,
        );
        self.sent.insert((header.ssrc, header.seq), (self.packets, hash));
    }
}
