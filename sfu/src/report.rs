//! RTCP in and out (RFC 3550 §6), and the speaker list.

use std::time::{Duration, Instant, SystemTime};

use tracing::trace;

use crate::net::{Event, Speaker};
use crate::room::Publication;
use crate::room::publication::Owner;
use crate::room::speakers::{INTERVAL, quantize};
use crate::rtp::rtcp::{
    Compound, CompoundWriter, NtpTime, ReportBlock, RtcpItem, RtcpWriteError, SenderInfo,
};
use crate::sfu::{Sfu, Timer};
use crate::{RoomKey, Ssrc, TrackKey};

/// How often a publisher hears what has arrived.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Every so many reports a subscriber hears what has been sent: LiveKit's three seconds.
const SENDER_REPORT_EVERY: u64 = 3;
/// A compound packet fits every path, and so much is left for SRTCP.
const COMPOUND_LEN: usize = 1_100;
const BUFFER_LEN: usize = 1_200;
/// Report blocks in one packet (RFC 3550 §6.4.1); nobody publishes that many tracks.
const MAX_BLOCKS: usize = 31;
/// Our canonical name as a receiver; as a sender we bear the publisher's.
const CNAME: &str = "banter";

impl Sfu {
    /// Takes an SRTCP packet from a connection's validated peer.
    pub(crate) fn handle_rtcp(&mut self, index: usize, bytes: &mut [u8], now: Instant) {
        let Some(inbound) = &mut self.connections[index].inbound else { return };
        let len = match inbound.open_rtcp(bytes) {
            Ok(len) => len,
            Err(error) => {
                self.counters.unauthentic += 1;
                trace!(connection = index, %error, "RTCP packet not opened");
                return;
            }
        };
        for item in Compound::new(&bytes[..len]) {
            match item {
                RtcpItem::SenderReport { sender, info, reports } => {
                    self.sender_reported(index, sender, info, now);
                    self.receiver_reported(index, reports, now);
                }
                RtcpItem::ReceiverReport { reports, .. } => self.receiver_reported(index, reports, now),
                RtcpItem::Nack { media, lost, .. } => {
                    self.repair(index, media, lost.flat_map(crate::rtp::rtcp::NackPair::lost), now);
                }
                // A stream's end is signalled.
                RtcpItem::Bye { .. } | RtcpItem::Unknown { .. } => {}
            }
        }
    }

    fn sender_reported(&mut self, index: usize, sender: Ssrc, info: SenderInfo, now: Instant) {
        let Some(publication) = self.connections[index].publication_of(sender) else { return };
        let source = self.publications[publication].source.as_mut();
        if let Some(source) = source.filter(|source| source.ssrc == sender) {
            source.stats.handle_sender_report(info.ntp, now);
            source.report = Some((info.rtp, now));
        }
    }

    /// The peer knows the streams that it reports on.
    fn receiver_reported(&mut self, index: usize, reports: impl Iterator<Item = ReportBlock>, now: Instant) {
        let wall = self.ntp_at(now);
        for report in reports {
            let connection = &self.connections[index];
            let Some(&track) = connection.sending.get(&report.ssrc) else { continue };
            let participant = connection.participant;
            self.participants[participant].reported.insert(track);
            if let Some(subscription) = self.subscription_mut(track, participant) {
                subscription.note(&report, report.round_trip(wall));
            }
        }
    }

    /// Tells a connection's peer what has arrived from it and, less often, what has been sent to it.
    pub(crate) fn report(&mut self, index: usize, now: Instant) {
        let connection = &mut self.connections[index];
        connection.report_at = now + REPORT_INTERVAL;
        connection.reports += 1;
        let sender_reports = connection.reports % SENDER_REPORT_EVERY == 1;
        self.send_receiver_report(index, now);
        if sender_reports {
            self.send_sender_reports(index, now);
        }
    }

    fn send_sender_reports(&mut self, index: usize, now: Instant) {
        let sending = std::mem::take(&mut self.connections[index].sending);
        let mut buffer = [0; BUFFER_LEN];
        let mut filled = 0;
        let participant = self.connections[index].participant;
        for (&ssrc, &track) in &sending {
            let Some((info, cname)) = self.sender_report(participant, track, now) else { continue };
            match write_sender_report(&mut buffer[filled..COMPOUND_LEN], ssrc, &info, &cname) {
                Ok(len) => filled += len,
                Err(_) => {
                    self.send_rtcp(index, &mut buffer, filled);
                    filled =
                        write_sender_report(&mut buffer[..COMPOUND_LEN], ssrc, &info, &cname).unwrap_or(0);
                }
            }
        }
        self.send_rtcp(index, &mut buffer, filled);
        self.connections[index].sending = sending;
    }

    fn send_receiver_report(&mut self, index: usize, now: Instant) {
        let participant = &self.participants[self.connections[index].participant];
        if participant.publisher != index {
            return;
        }
        let mut blocks: Vec<ReportBlock> = Vec::new();
        for &publication in participant.publications.iter().take(MAX_BLOCKS) {
            let source = self.publications[publication].source.as_mut();
            blocks.extend(source.and_then(|source| source.stats.report(source.ssrc, now)));
        }
        if blocks.is_empty() {
            return;
        }
        let mut buffer = [0; BUFFER_LEN];
        let reporter = self.connections[index].reporter;
        let mut writer = CompoundWriter::new(&mut buffer[..COMPOUND_LEN]);
        let written = writer.receiver_report(reporter, &blocks).and_then(|()| writer.cname(reporter, CNAME));
        let len = writer.len();
        if written.is_ok() {
            self.send_rtcp(index, &mut buffer, len);
        }
    }

    /// What has been sent to one subscriber of a track: the publisher's clock, moved to the subscriber's numbering, at
    /// our wall time. And the canonical name, under which the subscriber groups streams.
    fn sender_report(
        &self,
        subscriber: usize,
        track: TrackKey,
        now: Instant,
    ) -> Option<(SenderInfo, String)> {
        let publication = &self.publications[*self.publication_by_track.get(&track)?];
        let subscription = publication.subscriptions.of(subscriber)?;
        let source = publication.source.as_ref()?;
        if subscription.live().is_none() || subscription.sent.packets == 0 {
            return None;
        }
        let info = SenderInfo {
            ntp: self.ntp_at(now),
            rtp: subscription.rewriter.timestamp(source.reported_time_at(now)),
            packets: subscription.sent.packets,
            octets: subscription.sent.octets,
        };
        Some((info, self.stream_id(publication)))
    }

    fn ntp_at(&self, now: Instant) -> NtpTime {
        let since_epoch = self.clock.wall_at(now).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        NtpTime::from_unix(since_epoch)
    }

    /// The stream that others see a publication in: `<PA_sid>|<TR_sid>`.
    pub(crate) fn stream_id(&self, publication: &Publication) -> String {
        let owner = match &publication.owner {
            Owner::Here(owner) => &self.participants[*owner].label,
            Owner::Elsewhere(elsewhere) => &elsewhere.label,
        };
        format!("{owner}|{}", publication.spec.label)
    }

    fn send_rtcp(&mut self, index: usize, buffer: &mut [u8], len: usize) {
        let egress = &mut self.connections[index].egress;
        let (Some(outbound), Some(path)) = (&mut egress.outbound, egress.path) else { return };
        if len == 0 {
            return;
        }
        if let Ok(sealed) = outbound.seal_rtcp(buffer, len) {
            self.departures.push(path, &buffer[..sealed]);
        }
    }

    /// Somebody sends audio: judge the room's speakers from now on.
    pub(crate) fn watch_speakers(&mut self, key: RoomKey, now: Instant) {
        if let Some(room) = self.rooms.get_mut(&key)
            && !room.judging
        {
            room.judging = true;
            self.wheel.schedule(now + INTERVAL, Timer::Speakers(key));
        }
    }

    /// Tells whose loudness has changed; rests when the room has fallen silent.
    pub(crate) fn judge_speakers(&mut self, key: RoomKey, now: Instant) {
        let Some(room) = self.rooms.get_mut(&key) else { return };
        room.judging = false;
        let is_large = self.config.loudest.applies_to(room.size());
        let mut changes = Vec::new();
        let mut audible = false;
        for &index in &room.participants {
            let participant = &mut self.participants[index];
            let mut level = 0f32;
            for &publication in &participant.publications {
                let publication = &mut self.publications[publication];
                audible |= publication.meter.is_fed(now);
                let heard = publication.meter.judge(now);
                let is_heard = !is_large || room.loudest.has(publication.spec.track, now);
                if publication.spec.microphone && !publication.spec.muted && is_heard {
                    level = level.max(heard.map_or(0.0, quantize));
                }
            }
            if level != participant.level {
                participant.level = level;
                changes.push(Speaker { participant: participant.key, level, active: level > 0.0 });
            }
        }
        if !changes.is_empty() {
            self.events.push_back((key, Event::Speakers { room: key, changes }));
        }
        if audible {
            self.watch_speakers(key, now);
        }
    }
}

fn write_sender_report(
    out: &mut [u8],
    ssrc: Ssrc,
    info: &SenderInfo,
    cname: &str,
) -> Result<usize, RtcpWriteError> {
    let mut writer = CompoundWriter::new(out);
    writer.sender_report(ssrc, info, &[])?;
    writer.cname(ssrc, cname)?;
    Ok(writer.len())
}
