//! What a test sends and what it makes of what arrives: as much as fifty packets a second of speech, then a few as large as
//! datagrams can be.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Time between two packets of speech.
pub const PTIME: Duration = Duration::from_millis(20);
/// Packets of speech in a test: two seconds.
pub const PACKETS: u32 = 100;
/// Bytes of Opus in a packet of speech at 32 kbit/s.
const SPEECH_LEN: usize = 80;
/// Sizes of datagrams that are tried, in bytes of UDP payload: what WebRTC counts on, the least that IPv6 promises (RFC 8200
/// §5), a tunnel, and an Ethernet frame.
pub const SIZES: [usize; 4] = [1200, 1232, 1400, 1472];
/// An IPv6 header is larger by as much.
const V6_EXCESS: usize = 20;
/// Numbers of packets that are sent until one arrives, and count for nothing.
const FIRST_WARM_UP: u32 = 1 << 30;
const FIRST_LARGE: u32 = 1 << 29;
/// Times that each size is tried.
pub const TRIES: u32 = 2;

/// Number and departure before the filling.
const HEADER_LEN: usize = 12;

/// One packet, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Sent until the first one is heard.
    WarmUp(u32),
    Speech(u32),
    /// One of [`SIZES`], by its index.
    Large {
        size: usize,
        attempt: u32,
    },
}

impl Packet {
    /// The payload: the number (32 bits), the departure in microseconds after `start` (64 bits), and filling up to `len`.
    pub fn encode(self, start: Instant, now: Instant, len: usize) -> Vec<u8> {
        let number = match self {
            Self::WarmUp(number) => FIRST_WARM_UP + number,
            Self::Speech(number) => number,
            Self::Large { size, attempt } => FIRST_LARGE + size as u32 * TRIES + attempt,
        };
        let departure = now.saturating_duration_since(start).as_micros() as u64;
        let mut bytes = Vec::with_capacity(len.max(HEADER_LEN));
        bytes.extend(number.to_be_bytes());
        bytes.extend(departure.to_be_bytes());
        bytes.resize(len.max(HEADER_LEN), 0);
        bytes
    }

    /// Reads a payload, with the departure after the start. `None` for what no test sends.
    fn decode(payload: &[u8]) -> Option<(Self, Duration)> {
        let (number, rest) = payload.split_first_chunk::<4>()?;
        let departure = rest.first_chunk::<8>()?;
        let packet = match u32::from_be_bytes(*number) {
            number @ FIRST_WARM_UP.. => Self::WarmUp(number - FIRST_WARM_UP),
            number @ FIRST_LARGE.. => {
                let number = number - FIRST_LARGE;
                let size = (number / TRIES) as usize;
                (size < SIZES.len()).then_some(Self::Large { size, attempt: number % TRIES })?
            }
            number => (number < PACKETS).then_some(Self::Speech(number))?,
        };
        Some((packet, Duration::from_micros(u64::from_be_bytes(*departure))))
    }
}

/// Bytes of payload that make a datagram of speech, or with one of [`SIZES`]. `overhead` is what is around a payload in a
/// UDP datagram.
pub fn payload_len(packet: Packet, overhead: usize, is_v6: bool) -> usize {
    match packet {
        Packet::WarmUp(_) | Packet::Speech(_) => SPEECH_LEN,
        Packet::Large { size, .. } => datagram_len(size, is_v6).saturating_sub(overhead),
    }
}

fn datagram_len(size: usize, is_v6: bool) -> usize {
    let largest = SIZES[SIZES.len() - 1] - if is_v6 { V6_EXCESS } else { 0 };
    SIZES[size].min(largest)
}

/// What was heard so far.
#[derive(Clone, Debug)]
pub struct Reception {
    start: Instant,
    heard: BTreeSet<u32>,
    delays: Vec<Duration>,
    previous: Option<Duration>,
    /// RFC 3550 §6.4.1.
    jitter: Duration,
    sizes: BTreeSet<usize>,
    has_begun: bool,
}

/// What a path is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub sent: u32,
    pub lost: u32,
    /// Shortest and median time from the sender by the server to the receiver. Both are here, so it is a round trip.
    pub shortest: Duration,
    pub median: Duration,
    pub jitter: Duration,
    /// Largest UDP payload that came through, in bytes; `None` where datagrams travel in a stream, or none of those tried did.
    pub largest: Option<usize>,
}

impl Measured {
    /// Lost packets of a hundred.
    pub fn loss_percent(&self) -> f64 {
        100.0 * f64::from(self.lost) / f64::from(self.sent.max(1))
    }
}

impl Reception {
    /// `start` is the one of [`Packet::encode`].
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            heard: BTreeSet::new(),
            delays: Vec::new(),
            previous: None,
            jitter: Duration::ZERO,
            sizes: BTreeSet::new(),
            has_begun: false,
        }
    }

    /// Takes what has arrived; what no test sends counts for nothing.
    pub fn handle_payload(&mut self, payload: &[u8], now: Instant) {
        let Some((packet, departure)) = Packet::decode(payload) else { return };
        self.has_begun = true;
        match packet {
            Packet::WarmUp(_) => {}
            Packet::Large { size, .. } => drop(self.sizes.insert(size)),
            Packet::Speech(number) => {
                if self.heard.insert(number) {
                    self.note_delay(now.saturating_duration_since(self.start).saturating_sub(departure));
                }
            }
        }
    }

    /// Whether anything has arrived.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether nothing more is to be expected.
    pub fn is_complete(&self, with_sizes: bool) -> bool {
        self.heard.len() == PACKETS as usize && (!with_sizes || self.sizes.len() == SIZES.len())
    }

    /// The sum of it. `None` when no packet of speech has arrived.
    pub fn measured(&self, is_v6: bool) -> Option<Measured> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        Some(Measured {
            sent: PACKETS,
            lost: PACKETS - self.heard.len() as u32,
            shortest: *delays.first()?,
            median: delays[delays.len() / 2],
            jitter: self.jitter,
            largest: self.sizes.last().map(|&size| datagram_len(size, is_v6)),
        })
    }

    fn note_delay(&mut self, delay: Duration) {
        if let Some(previous) = self.previous.replace(delay) {
            let difference = delay.abs_diff(previous);
            // A sixteenth of the difference is taken over each time.
            self.jitter = (self.jitter * 15 + difference) / 16;
        }
        self.delays.push(delay);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]

    use super::*;

    #[test]
    fn a_payload_is_read_as_it_was_written() {
        let start = Instant::now();
        for packet in
            [Packet::WarmUp(3), Packet::Speech(99), Packet::Large { size: 3, attempt: 1 }, Packet::Speech(0)]
        {
            let bytes = packet.encode(start, start + Duration::from_millis(7), 80);
            assert_eq!(bytes.len(), 80);
            assert_eq!(Packet::decode(&bytes), Some((packet, Duration::from_millis(7))));
        }
        assert_eq!(Packet::decode(b"opus"), None);
        for number in [PACKETS, FIRST_LARGE - 1, FIRST_LARGE + TRIES * SIZES.len() as u32] {
            let mut bytes = Packet::Speech(0).encode(start, start, 80);
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(Packet::decode(&bytes), None, "{number}");
        }
    }

    #[test]
    fn loss_delay_and_size_come_out_of_what_has_arrived() {
        let start = Instant::now();
        let mut reception = Reception::new(start);
        assert_eq!(reception.measured(false), None);
        for number in 0..PACKETS {
            let sent = start + PTIME * number;
            let packet = Packet::Speech(number).encode(start, sent, 80);
            let delay = Duration::from_millis(if number % 2 == 0 { 10 } else { 12 });
            if number % 20 != 0 {
                reception.handle_payload(&packet, sent + delay);
                reception.handle_payload(&packet, sent + delay);
            }
        }
        let sent = start + Duration::from_secs(3);
        reception.handle_payload(&Packet::Large { size: 1, attempt: 0 }.encode(start, sent, 1100), sent);
        let measured = reception.measured(false).expect("something was heard");
        assert_eq!((measured.sent, measured.lost), (100, 5));
        assert!((measured.loss_percent() - 5.0).abs() < 1e-9);
        assert_eq!(measured.shortest, Duration::from_millis(10));
        assert_eq!(measured.median, Duration::from_millis(12));
        assert!(measured.jitter > Duration::from_millis(1) && measured.jitter < Duration::from_millis(2));
        assert_eq!(measured.largest, Some(1232));
    }

    #[test]
    fn a_large_packet_fills_its_datagram() {
        let largest = Packet::Large { size: 3, attempt: 0 };
        assert_eq!(payload_len(largest, 40, false), 1432);
        assert_eq!(payload_len(largest, 40, true), 1412);
        assert_eq!(payload_len(Packet::Large { size: 0, attempt: 0 }, 40, true), 1160);
    }
}
