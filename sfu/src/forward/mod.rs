//! One RTP packet in, one copy per subscriber out. The hot path: no lock, no allocation, no clock.

pub(crate) mod numbering;
pub(crate) mod redundancy;
pub(crate) mod rewrite;
pub(crate) mod ring;
mod select;

use std::time::{Duration, Instant};

use slab::Slab;
use tracing::trace;

use crate::connection::{Connection, Egress};
use crate::outbox::Departures;
use crate::room::publication::{Owner, Publication, Source};
use crate::room::subscription::{Format, Subscription};
use crate::rtp::red::{self, Red};
use crate::rtp::srtp::Opened;
use crate::rtp::{AudioLevel, ExtSeq, FIXED_LEN, RtpHeader, RtpTime, RtpView, SeqNo};
use crate::sdp::ReceiveSection;
use crate::sfu::Sfu;
use crate::{Counters, Ssrc};
use ring::Packet;

/// Playing time of one packet, for the level meter: what every LiveKit client sends.
const PTIME: Duration = Duration::from_millis(20);

impl Sfu {
    /// Takes an SRTP packet from a connection's validated peer.
    pub(crate) fn handle_rtp(&mut self, index: usize, bytes: &mut [u8], now: Instant) {
        let connection = &mut self.connections[index];
        let Some(inbound) = &mut connection.inbound else { return };
        let opened = match inbound.open_rtp(bytes) {
            Ok(opened) => opened,
            Err(error) => {
                self.counters.unauthentic += 1;
                trace!(connection = index, %error, "RTP packet not opened");
                return;
            }
        };
        let Opened { len, index: seq } = opened;
        let Ok(view) = RtpView::parse(&bytes[..len]) else { return };
        match self.publication_for(index, &view) {
            Some(publication) => self.forward(publication, seq, &view, now),
            None => self.counters.unknown += 1,
        }
    }

    /// The publication that a packet belongs to: by SSRC, or for a stream's first packet by its MID.
    fn publication_for(&mut self, index: usize, view: &RtpView<'_>) -> Option<usize> {
        let ssrc = view.header.ssrc;
        let connection = &self.connections[index];
        if let Some(publication) = connection.publication_of(ssrc) {
            return Some(publication);
        }
        let publication = self.publication_by_mid(connection, view)?;
        self.connections[index].streams.push((ssrc, publication));
        Some(publication)
    }

    /// Matches a stream that the description did not announce (RFC 8843 §9.2).
    fn publication_by_mid(&self, connection: &Connection, view: &RtpView<'_>) -> Option<usize> {
        let mut publications = self.participants[connection.participant].publications.iter().copied();
        publications.find(|&publication| {
            let Some(section) = &self.publications[publication].section else { return false };
            let named = section.mid_ext.and_then(|id| view.extensions.get(id));
            named == Some(section.mid.0.as_bytes())
        })
    }

    fn forward(&mut self, index: usize, seq: ExtSeq, view: &RtpView<'_>, now: Instant) {
        let publication = &mut self.publications[index];
        let Some(section) = &publication.section else {
            self.counters.unknown += 1;
            return;
        };
        let opus = section.opus;
        let Some(primary) = section.primary(view) else {
            self.counters.unknown += 1;
            return;
        };
        self.counters.received += 1;
        let level = section.audio_level_ext.and_then(|id| view.extensions.get(id));
        let level = level.and_then(AudioLevel::from_extension);
        if let Some(level) = level {
            publication.meter.observe(level.below_overload, PTIME, now);
        }
        let RtpHeader { ssrc, marker, timestamp, .. } = view.header;
        publication.arrive(seq, ssrc, timestamp, now);
        let Owner::Here(owner) = publication.owner else { return };
        let owner = &self.participants[owner];
        if publication.spec.muted || !owner.may.publish {
            self.counters.silenced += 1;
            return;
        }
        let room = owner.room;
        let mut packet = Packet { seq, timestamp, marker, opus, payload: view.payload, primary };
        publication.listen(&packet, level, self.config.loudest, now);
        if self.select(index, &mut packet, now) {
            self.pass_on(room, index, ssrc, &packet, now);
            self.deliver(index, &packet);
        }
        if level.is_some() {
            self.watch_speakers(room, now);
        }
    }

    /// Gives a packet to everybody here who hears the publication.
    pub(crate) fn deliver(&mut self, publication: usize, packet: &Packet<'_>) {
        let publication = &mut self.publications[publication];
        fan_out(publication, packet, &mut self.connections, &mut self.departures, &mut self.counters);
    }

    /// Sends again what a subscriber says it has missed (RFC 4585 §6.2.1).
    pub(crate) fn repair(
        &mut self,
        index: usize,
        ssrc: Ssrc,
        missing: impl Iterator<Item = SeqNo>,
        now: Instant,
    ) {
        let connection = &self.connections[index];
        let Some(track) = connection.sending.get(&ssrc) else { return };
        let Some(&publication) = self.publication_by_track.get(track) else { return };
        let Publication { ring, subscriptions, .. } = &mut self.publications[publication];
        let Some(subscription) = subscriptions.of_mut(connection.participant) else { return };
        let Some(format) = subscription.live().filter(|format| format.nack) else { return };
        for seq in missing {
            let Some((incoming, outgoing)) = subscription.rewriter.named(seq) else { continue };
            let Some(redundant) = subscription.redundancy.of(outgoing) else { continue };
            let Some(packet) = ring.get(incoming) else { continue };
            subscription.redundancy.note_asked();
            if !subscription.may_repair(now) {
                return;
            }
            let shape = Shape { format, redundant, seq: outgoing };
            if send(subscription, shape, &packet, &connection.egress, &mut self.departures).is_some() {
                self.counters.repaired += 1;
            }
        }
    }
}

impl Publication {
    /// Keeps the books of the stream that a packet belongs to, which may be a new one.
    pub(crate) fn arrive(&mut self, seq: ExtSeq, ssrc: Ssrc, timestamp: RtpTime, now: Instant) {
        if self.source.as_ref().is_none_or(|source| source.ssrc != ssrc) {
            self.start_source(ssrc, timestamp, now);
        }
        if let Some(Source { stats, latest, .. }) = &mut self.source {
            stats.handle_packet(seq, timestamp, now);
            *latest = (timestamp, now);
        }
    }
}

/// Remembers a packet, and writes one copy of it for everyone who is to hear it.
fn fan_out(
    publication: &mut Publication,
    packet: &Packet<'_>,
    connections: &mut Slab<Connection>,
    departures: &mut Departures,
    counters: &mut Counters,
) {
    let Publication { ring, subscriptions, wants_redundancy, .. } = publication;
    let subscriptions = subscriptions.as_mut_slice();
    let packet = ring.insert(packet, *wants_redundancy);
    // Found out on the way and good for the next packet: nothing has to be kept as people come and go.
    *wants_redundancy = false;
    let first = first_served(packet.seq, subscriptions.len());
    let (last, first) = subscriptions.split_at_mut(first);
    for part in [first, last] {
        for subscription in part {
            let Some(format) = subscription.live() else { continue };
            counters.due += 1;
            let Some(seq) = subscription.rewriter.outgoing(packet.seq) else {
                counters.late += 1;
                continue;
            };
            let Some(redundant) = subscription.redundancy.of(seq) else {
                counters.late += 1;
                continue;
            };
            *wants_redundancy |= subscription.redundancy.is_on() && format.red.is_some();
            let egress = &connections[subscription.connection].egress;
            let shape = Shape { format, redundant, seq };
            if let Some(octets) = send(subscription, shape, &packet, egress, departures) {
                subscription.sent.packets = subscription.sent.packets.wrapping_add(1);
                subscription.sent.octets = subscription.sent.octets.wrapping_add(octets);
                counters.forwarded += 1;
            } else {
                counters.unsendable += 1;
            }
        }
    }
}

/// Which of so many subscriptions is served first: another one with each packet, evenly in the long run and far from the
/// one before, so that being last in a big room is nobody's lot for long.
fn first_served(seq: ExtSeq, subscriptions: usize) -> usize {
    const GOLDEN: u32 = 0x9E37_79B9; // 2^32 / φ: multiples of it spread evenly (Knuth, TAOCP 3 §6.4)
    ((u64::from((seq.0 as u32).wrapping_mul(GOLDEN)) * subscriptions as u64) >> 32) as usize
}

/// How a packet goes out to one subscriber.
#[derive(Clone, Copy)]
struct Shape {
    format: Format,
    /// In RED, where the packet has it and the format too.
    redundant: bool,
    seq: ExtSeq,
}

/// Writes, seals and queues one packet; returns its payload's length. The bytes depend on nothing but the packet and the
/// shape, which follows from the number, so a repeat of a number is a repeat of its bytes.
#[inline]
fn send(
    subscription: &Subscription,
    shape: Shape,
    packet: &Packet<'_>,
    egress: &Egress,
    departures: &mut Departures,
) -> Option<u32> {
    let Shape { format, redundant, seq } = shape;
    let (outbound, path) = (egress.outbound.as_ref()?, egress.path?);
    let (payload_type, payload) = match format.red {
        Some(red) if redundant && packet.primary > 0 => (red, packet.payload),
        _ => (format.opus, &packet.payload[packet.primary..]),
    };
    let header = RtpHeader {
        payload_type,
        marker: packet.marker,
        seq: seq.seq(),
        timestamp: subscription.rewriter.timestamp(packet.timestamp),
        ssrc: subscription.ssrc,
    };
    let extension = subscription.extension();
    let header_len = FIXED_LEN + extension.map_or(0, |extension| extension.size());
    let len = header_len + payload.len();
    let buffer = departures.begin(len + outbound.rtp_overhead());
    header.write(buffer, extension)?;
    buffer[header_len..len].copy_from_slice(payload);
    if payload_type != format.opus && packet.opus != format.opus {
        red::rename_blocks(&mut buffer[header_len..len], format.opus);
    }
    let sealed = outbound.seal_rtp(buffer, len, seq).ok()?;
    departures.commit(path, sealed);
    Some(payload.len() as u32)
}

impl ReceiveSection {
    /// Where in a packet's payload Opus begins: above 0 in RED. `None` when the payload is neither.
    fn primary(&self, view: &RtpView<'_>) -> Option<usize> {
        match view.header.payload_type {
            other if Some(other) == self.red => {
                let primary = Red::parse(view.payload).ok()?.primary;
                Some(view.payload.len() - primary.payload.len())
            }
            other if other == self.opus => Some(0),
            _ => None,
        }
    }
}
