//! What a bot writes into the payload of each packet, and what the listeners tell by it.

use std::time::Duration;

const MAGIC: u32 = 0x42_4E_54_52;

/// When, by whom and as which a packet was sent. It stands where Opus would be: servers forward the payload unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the packet's turn was, on the harness's clock. Those of a microphone are 20 ms apart, as its RTP timestamps are.
    pub due: Duration,
    /// How much later it was sent, in whole microseconds.
    pub lag: Duration,
    pub publisher: u32,
    pub number: u32,
}

impl Stamp {
    pub const LEN: usize = 24;

    pub fn sent(self) -> Duration {
        self.due + self.lag
    }

    pub fn write(self, out: &mut [u8; Self::LEN]) {
        let lag = u32::try_from(self.lag.as_micros()).unwrap_or(u32::MAX);
        out[..4].copy_from_slice(&MAGIC.to_be_bytes());
        out[4..12].copy_from_slice(&(self.due.as_nanos() as u64).to_be_bytes());
        out[12..16].copy_from_slice(&lag.to_be_bytes());
        out[16..20].copy_from_slice(&self.publisher.to_be_bytes());
        out[20..].copy_from_slice(&self.number.to_be_bytes());
    }

    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.first_chunk::<{ Self::LEN }>()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let nanos = u64::from(word(4)) << 32 | u64::from(word(8));
        (word(0) == MAGIC).then(|| Self {
            due: Duration::from_nanos(nanos),
            lag: Duration::from_micros(word(12).into()),
            publisher: word(16),
            number: word(20),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_nothing_else_is_one() {
        let (due, lag) = (Duration::from_nanos(5_000_000_007), Duration::from_micros(30));
        let stamp = Stamp { due, lag, publisher: 9, number: 70_000 };
        let mut payload = [0; Stamp::LEN];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(stamp.sent(), Duration::from_nanos(5_000_030_007));
        assert_eq!(Stamp::read(&payload[1..]), None);
        payload[0] ^= 1;
        assert_eq!(Stamp::read(&payload), None);
    }
}
