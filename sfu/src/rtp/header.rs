//! RTP headers (RFC 3550 §5.1) and their extensions (RFC 8285), read in place and written back.

use crate::{PayloadType, Ssrc};

/// Bytes of a header without CSRCs and extensions.
pub const FIXED_LEN: usize = 12;

/// Profile of one-byte extension elements (RFC 8285 §4.2).
const ONE_BYTE: u16 = 0xBEDE;
/// Profile of two-byte extension elements; the low four bits are free to use (RFC 8285 §4.3).
const TWO_BYTE: u16 = 0x1000;
/// Ends the parsing of one-byte elements (RFC 8285 §4.2).
const ONE_BYTE_STOP: u8 = 15;

/// A sequence number as it is on the wire; wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);

impl SeqNo {
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How far `self` is ahead of `earlier`, the shorter way round: negative when it is behind.
    pub fn distance_from(self, earlier: SeqNo) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// A media timestamp in ticks of the payload's clock (Opus: 48 kHz, RFC 7587 §4.1); wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// Adds ticks; a negative number as its two's complement.
    pub fn wrapping_add(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// How far `self` is ahead of `earlier` in ticks, the shorter way round: negative when it is behind.
    pub fn distance_from(self, earlier: RtpTime) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// A sequence number together with the number of times it has wrapped: SRTP's packet index, of which 48 bits are
/// used (RFC 3711 §3.3.1). Never wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtSeq(pub u64);

impl ExtSeq {
    /// The index of a stream's first packet.
    pub fn first(seq: SeqNo) -> Self {
        Self(u64::from(seq.0))
    }

    /// What goes on the wire.
    pub fn seq(self) -> SeqNo {
        SeqNo(self.0 as u16)
    }

    /// The rollover counter (RFC 3711 §3.2.1).
    pub fn rollovers(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The index of a packet with `seq` in a stream whose highest index so far is `self`: the one nearest to it
    /// (RFC 3711 §3.3.1, appendix A). What would come before the stream's beginning is taken as lying ahead.
    pub fn estimate(self, seq: SeqNo) -> Self {
        let ahead = i64::from(seq.distance_from(self.seq()));
        match self.0.checked_add_signed(ahead) {
            Some(index) => Self(index),
            None => Self::first(seq),
        }
    }
}

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    #[error("the packet ends within its header")]
    Short,
    #[error("the version is not 2")]
    Version,
    #[error("the padding is longer than the payload")]
    Padding,
}

/// What one packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub payload_type: PayloadType,
    pub marker: bool,
    pub seq: SeqNo,
    pub timestamp: RtpTime,
    pub ssrc: Ssrc,
}

impl RtpHeader {
    /// Writes the header at the beginning of `out`, without CSRCs, and returns its length; `None` when `out` is too
    /// small or the extension does not fit a one-byte element (id 1 to 14, 1 to 16 bytes).
    pub fn write(&self, out: &mut [u8], extension: Option<Extension<'_>>) -> Option<usize> {
        let (fixed, rest) = out.split_first_chunk_mut::<FIXED_LEN>()?;
        fixed[0] = 0x80 | u8::from(extension.is_some()) << 4;
        fixed[1] = u8::from(self.marker) << 7 | self.payload_type.0 & 0x7F;
        fixed[2..4].copy_from_slice(&self.seq.0.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        match extension {
            None => Some(FIXED_LEN),
            Some(extension) => Some(FIXED_LEN + extension.write(rest)?),
        }
    }
}

/// One header extension element (RFC 8285 §2), such as the MID (RFC 8843 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    pub id: u8,
    pub value: &'a [u8],
}

impl Extension<'_> {
    /// Bytes that it adds to a header, when it fits a one-byte element.
    pub fn size(&self) -> usize {
        4 + 4 * (1 + self.value.len()).div_ceil(4)
    }

    fn write(&self, out: &mut [u8]) -> Option<usize> {
        if !(1..ONE_BYTE_STOP).contains(&self.id) || !(1..=16).contains(&self.value.len()) {
            return None;
        }
        let words = (1 + self.value.len()).div_ceil(4);
        let out = out.get_mut(..4 + 4 * words)?;
        out[..2].copy_from_slice(&ONE_BYTE.to_be_bytes());
        out[2..4].copy_from_slice(&(words as u16).to_be_bytes());
        out[4] = self.id << 4 | (self.value.len() - 1) as u8;
        let (value, padding) = out[5..].split_at_mut(self.value.len());
        value.copy_from_slice(self.value);
        padding.fill(0);
        Some(out.len())
    }
}

/// One RTP packet, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RtpView<'a> {
    pub header: RtpHeader,
    pub extensions: Extensions<'a>,
    /// Without padding.
    pub payload: &'a [u8],
}

impl<'a> RtpView<'a> {
    /// Reads a packet that is not (or no longer) encrypted.
    pub fn parse(packet: &'a [u8]) -> Result<Self, RtpError> {
        let layout = Layout::parse(packet)?;
        let (head, body) = packet.split_at(layout.header_len);
        Ok(Self {
            header: fixed_fields(layout.fixed(head)),
            extensions: layout.extensions(head),
            payload: if layout.padded { strip_padding(body)? } else { body },
        })
    }
}

/// Sequence number and SSRC of a packet whose payload may still be encrypted, and where the header ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preamble {
    pub header_len: usize,
    pub seq: SeqNo,
    pub ssrc: Ssrc,
}

impl Preamble {
    pub fn parse(packet: &[u8]) -> Result<Self, RtpError> {
        let layout = Layout::parse(packet)?;
        let RtpHeader { seq, ssrc, .. } = fixed_fields(layout.fixed(packet));
        Ok(Self { header_len: layout.header_len, seq, ssrc })
    }
}

/// The SSRC of what looks like an RTP packet, for finding its track before anything else is known.
pub fn ssrc(packet: &[u8]) -> Option<Ssrc> {
    let fixed = packet.first_chunk::<FIXED_LEN>()?;
    Some(fixed_fields(fixed).ssrc)
}

/// Where the parts of a header are.
struct Layout {
    padded: bool,
    /// Profile and beginning of the extension elements, which end with the header.
    extension: Option<(u16, usize)>,
    header_len: usize,
}

impl Layout {
    fn parse(packet: &[u8]) -> Result<Self, RtpError> {
        let fixed = packet.first_chunk::<FIXED_LEN>().ok_or(RtpError::Short)?;
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let padded = fixed[0] & 0x20 != 0;
        let extended = fixed[0] & 0x10 != 0;
        let csrcs_end = FIXED_LEN + 4 * usize::from(fixed[0] & 0x0F);
        let (extension, header_len) = if extended {
            let &[p0, p1, w0, w1] =
                packet.get(csrcs_end..).and_then(<[u8]>::first_chunk).ok_or(RtpError::Short)?;
            let start = csrcs_end + 4;
            let words = usize::from(u16::from_be_bytes([w0, w1]));
            (Some((u16::from_be_bytes([p0, p1]), start)), start + 4 * words)
        } else {
            (None, csrcs_end)
        };
        if packet.len() < header_len {
            return Err(RtpError::Short);
        }
        Ok(Self { padded, extension, header_len })
    }

    fn fixed<'a>(&self, packet: &'a [u8]) -> &'a [u8; FIXED_LEN] {
        packet.first_chunk().expect("parsing found a whole fixed header")
    }

    fn extensions<'a>(&self, head: &'a [u8]) -> Extensions<'a> {
        match self.extension {
            Some((ONE_BYTE, start)) => Extensions { form: Form::OneByte, elements: &head[start..] },
            Some((profile, start)) if profile & 0xFFF0 == TWO_BYTE => {
                Extensions { form: Form::TwoByte, elements: &head[start..] }
            }
            Some(_) | None => Extensions { form: Form::OneByte, elements: &[] },
        }
    }
}

fn fixed_fields(fixed: &[u8; FIXED_LEN]) -> RtpHeader {
    let &[_, pt, s0, s1, t0, t1, t2, t3, x0, x1, x2, x3] = fixed;
    RtpHeader {
        payload_type: PayloadType(pt & 0x7F),
        marker: pt & 0x80 != 0,
        seq: SeqNo(u16::from_be_bytes([s0, s1])),
        timestamp: RtpTime(u32::from_be_bytes([t0, t1, t2, t3])),
        ssrc: Ssrc(u32::from_be_bytes([x0, x1, x2, x3])),
    }
}

fn strip_padding(body: &[u8]) -> Result<&[u8], RtpError> {
    let &count = body.last().ok_or(RtpError::Padding)?;
    match body.len().checked_sub(usize::from(count)) {
        Some(len) if count > 0 => Ok(&body[..len]),
        _ => Err(RtpError::Padding),
    }
}

/// The header extension elements of one packet, in the order sent. Stops at the first malformed one.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    form: Form,
    elements: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Form {
    OneByte,
    TwoByte,
}

impl<'a> Extensions<'a> {
    /// The value of the first element with this id.
    pub fn get(self, id: u8) -> Option<&'a [u8]> {
        self.into_iter().find(|extension| extension.id == id).map(|extension| extension.value)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        loop {
            let (&first, rest) = self.elements.split_first()?;
            // Padding between elements is a zero byte in both forms.
            if first == 0 {
                self.elements = rest;
                continue;
            }
            let (id, len, rest) = match self.form {
                Form::OneByte if first >> 4 == ONE_BYTE_STOP => return None,
                Form::OneByte => (first >> 4, usize::from(first & 0x0F) + 1, rest),
                Form::TwoByte => {
                    let (&len, rest) = rest.split_first()?;
                    (first, usize::from(len), rest)
                }
            };
            let (value, rest) = rest.split_at_checked(len)?;
            self.elements = rest;
            // Id 0 with a length is reserved in the one-byte form: skipped, not matched (RFC 8285 §4.2).
            if id != 0 {
                return Some(Extension { id, value });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: RtpHeader = RtpHeader {
        payload_type: PayloadType(111),
        marker: true,
        seq: SeqNo(0xF17B),
        timestamp: RtpTime(0x8041_F8D3),
        ssrc: Ssrc(0x5501_A0B2),
    };

    #[test]
    fn a_minimal_packet_is_read() {
        let packet = [&[0x80, 0xEF, 0xF1, 0x7B, 0x80, 0x41, 0xF8, 0xD3, 0x55, 0x01, 0xA0, 0xB2][..], b"opus"];
        let packet = packet.concat();
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!(view.header, HEADER);
        assert_eq!(view.payload, b"opus");
        assert_eq!(view.extensions.count(), 0);
        assert_eq!(ssrc(&packet), Some(HEADER.ssrc));
    }

    #[test]
    fn csrcs_extensions_and_padding_are_stepped_over() {
        let mut packet = vec![0xB2, 0x6F, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0xAA; 8]); // two CSRCs
        packet.extend([0xBE, 0xDE, 0, 2]);
        packet.extend([0x10, 0x85, 0x00, 0x32, b'm', b'i', b'd', 0x00]);
        packet.extend(b"payload");
        packet.extend([0, 0, 3]);
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!(view.payload, b"payload");
        assert_eq!(view.extensions.get(1), Some(&[0x85][..]));
        assert_eq!(view.extensions.get(3), Some(&b"mid"[..]));
        assert_eq!(view.extensions.get(2), None);
        assert_eq!(Preamble::parse(&packet).unwrap().header_len, 12 + 8 + 4 + 8);
    }

    #[test]
    fn two_byte_extensions_may_be_empty_or_long() {
        let mut packet = vec![0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0x10, 0x05, 0, 6]);
        packet.extend([7, 0, 0, 200, 17]);
        packet.extend([0x55; 17]);
        packet.extend([0, 0]);
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!(view.extensions.get(7), Some(&[][..]));
        assert_eq!(view.extensions.get(200), Some(&[0x55; 17][..]));
        assert_eq!(view.extensions.count(), 2);
    }

    #[test]
    fn id_15_ends_the_one_byte_form() {
        let mut packet = vec![0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0xBE, 0xDE, 0, 1, 0xF0, 0x00, 0x10, 0x85]);
        assert_eq!(RtpView::parse(&packet).unwrap().extensions.get(1), None);
    }

    #[test]
    fn an_unknown_extension_profile_is_skipped_whole() {
        let mut packet = vec![0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0xAB, 0xCD, 0, 1, 0x10, 0x85, 0, 0]);
        packet.push(9);
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!((view.extensions.count(), view.payload), (0, &[9][..]));
    }

    #[test]
    fn malformed_packets_are_named() {
        let fixed = [0x80, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        let with_first = |first: u8| {
            let mut packet = fixed;
            packet[0] = first;
            packet
        };
        assert_eq!(RtpView::parse(&fixed[..11]).unwrap_err(), RtpError::Short);
        assert_eq!(RtpView::parse(&with_first(0x40)).unwrap_err(), RtpError::Version);
        assert_eq!(RtpView::parse(&with_first(0x81)).unwrap_err(), RtpError::Short);
        assert_eq!(RtpView::parse(&with_first(0x90)).unwrap_err(), RtpError::Short);
        assert_eq!(RtpView::parse(&with_first(0xA0)).unwrap_err(), RtpError::Padding);
        let padded = |count: u8| [&with_first(0xA0)[..], &[1, count]].concat();
        assert_eq!(RtpView::parse(&padded(0)).unwrap_err(), RtpError::Padding);
        assert_eq!(RtpView::parse(&padded(3)).unwrap_err(), RtpError::Padding);
        assert!(RtpView::parse(&padded(2)).unwrap().payload.is_empty());
    }

    #[test]
    fn an_extension_that_does_not_fit_is_refused() {
        let mut out = [0; 64];
        let write = |out: &mut [u8], id, value: &[u8]| HEADER.write(out, Some(Extension { id, value }));
        assert_eq!(write(&mut out, 15, b"0"), None);
        assert_eq!(write(&mut out, 0, b"0"), None);
        assert_eq!(write(&mut out, 1, b""), None);
        assert_eq!(write(&mut out, 1, &[0; 17]), None);
        assert_eq!(write(&mut out[..19], 1, b"0"), None);
        assert_eq!(write(&mut out[..20], 1, b"0"), Some(20));
        assert_eq!(HEADER.write(&mut out[..11], None), None);
    }

    #[test]
    fn the_index_follows_the_sequence_number_around_its_end() {
        let end = ExtSeq(0x1_FFFF);
        assert_eq!(end.estimate(SeqNo(0)), ExtSeq(0x2_0000));
        assert_eq!(end.estimate(SeqNo(0x7FFE)), ExtSeq(0x2_7FFE));
        assert_eq!(end.estimate(SeqNo(0xFFF0)), ExtSeq(0x1_FFF0));
        let begin = ExtSeq(0x2_0001);
        assert_eq!(begin.estimate(SeqNo(0xFFFF)), ExtSeq(0x1_FFFF));
        assert_eq!(begin.rollovers(), 2);
    }

    #[test]
    fn nothing_precedes_the_first_packet() {
        assert_eq!(ExtSeq::first(SeqNo(1)).estimate(SeqNo(0xFFFF)), ExtSeq(0xFFFF));
    }

    #[test]
    fn distances_go_the_shorter_way_round() {
        assert_eq!(SeqNo(2).distance_from(SeqNo(0xFFFE)), 4);
        assert_eq!(SeqNo(0xFFFE).distance_from(SeqNo(2)), -4);
        assert_eq!(SeqNo(0xFFFF).next(), SeqNo(0));
        assert_eq!(RtpTime(5).distance_from(RtpTime(u32::MAX)), 6);
        assert_eq!(RtpTime(0).wrapping_add(u32::MAX), RtpTime(u32::MAX));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(view) = RtpView::parse(&bytes) {
                prop_assert!(view.payload.len() <= bytes.len());
                prop_assert!(view.extensions.count() <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            pt in 0u8..128, marker: bool, seq: u16, time: u32, ssrc: u32,
            mid in proptest::option::of((1u8..15, proptest::collection::vec(any::<u8>(), 1..=16))),
            payload in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let header = RtpHeader {
                payload_type: PayloadType(pt), marker, seq: SeqNo(seq), timestamp: RtpTime(time), ssrc: Ssrc(ssrc),
            };
            let mut packet = vec![0xFF; 64 + payload.len()];
            let extension = mid.as_ref().map(|(id, value)| Extension { id: *id, value });
            let len = header.write(&mut packet, extension).unwrap();
            packet[len..][..payload.len()].copy_from_slice(&payload);
            packet.truncate(len + payload.len());
            let view = RtpView::parse(&packet).unwrap();
            prop_assert_eq!(view.header, header);
            prop_assert_eq!(view.payload, &payload[..]);
            prop_assert_eq!(view.extensions.collect::<Vec<_>>(), extension.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn the_index_is_recovered_within_half_a_cycle(highest in 0x8000u64..1 << 48, ahead in -0x8000i64..0x8000) {
            let index = ExtSeq(highest.checked_add_signed(ahead).unwrap());
            prop_assert_eq!(ExtSeq(highest).estimate(index.seq()), index);
        }
    }
}
