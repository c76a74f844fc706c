//! One peer connection of a client in a simulation.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::Datagram;
use super::description::{Local, MID, OPUS, RED, Remote};
use super::hearing::{Utterance, decode_red};
use crate::Ssrc;
use crate::rtp::rtcp::{Compound, CompoundWriter, RtcpItem};
use crate::rtp::srtp::{DtlsRole, Inbound, Outbound};
use crate::rtp::{ExtSeq, Extension, ReceiveStats, RtpHeader, RtpView, SeqNo};
use crate::transport::{
    ChannelId, ChannelSpec, DatagramKind, FailCause, IceCredentials, IceRole, Identity, LocalAddresses,
    Output, Path, RemoteParameters, Transport, TransportEvent,
};

/// How often reports and requests for repeats go out.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const REPAIR_INTERVAL: Duration = Duration::from_millis(50);
/// How often one packet is asked for.
const REPAIR_ATTEMPTS: u8 = 5;
/// Sent packets kept for whoever asks for them again.
const HISTORY: usize = 256;
/// Report blocks of one packet (RFC 3550 §6.4.1).
const MAX_BLOCKS: usize = 31;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    /// Ask for what is lost.
    pub(super) repairs: bool,
    /// Understand RED, and say so.
    pub(super) red: bool,
    pub(super) heard: Vec<Heard>,
    /// Packets of no announced SSRC, and those that are no utterance.
    pub(super) unexpected: u64,
    /// Sender and receiver reports received.
    pub(super) reports: u64,
    /// Messages received on data channels, with the channel's label.
    pub(super) data: Vec<(String, Vec<u8>)>,
    channels: BTreeMap<ChannelId, String>,
    transport: Transport,
    fingerprint: String,
    version: u64,
    srtp: Option<(Inbound, Outbound)>,
    failure: Option<FailCause>,
    /// The other side's ICE name, by its latest description.
    remote_ufrag: String,
    streams: BTreeMap<Ssrc, Stream>,
    history: VecDeque<(Ssrc, SeqNo, Vec<u8>)>,
    outgoing: Vec<Vec<u8>>,
    reporter: Ssrc,
    report_at: Instant,
    repair_at: Option<Instant>,
}

/// A packet that arrived.
#[derive(Debug)]
pub(super) struct Heard {
    /// The track that the description gives for it.
    pub(super) track: String,
    pub(super) utterance: Utterance,
    pub(super) header: RtpHeader,
    pub(super) index: ExtSeq,
    /// The utterances that came with it, oldest first.
    pub(super) copies: Vec<Utterance>,
    /// It named the section that it belongs to.
    pub(super) is_introduced: bool,
}

/// A track that arrives.
#[derive(Debug)]
struct Stream {
    track: String,
    mid: String,
    stats: ReceiveStats,
    highest: Option<ExtSeq>,
    /// Packets that have not arrived, and how often they were asked for.
    missing: BTreeMap<ExtSeq, u8>,
}

impl Connection {
    pub(super) fn new(
        identity: &Identity,
        role: IceRole,
        address: SocketAddr,
        rng: &mut StdRng,
        now: Instant,
    ) -> Self {
        Self {
            address,
            repairs: true,
            red: false,
            heard: Vec::new(),
            unexpected: 0,
            reports: 0,
            data: Vec::new(),
            channels: BTreeMap::new(),
            transport: Transport::new(
                identity,
                role,
                IceCredentials::random(rng),
                LocalAddresses::udp([address]),
                now,
            ),
            fingerprint: identity.fingerprint().to_owned(),
            version: 1,
            srtp: None,
            failure: None,
            remote_ufrag: String::new(),
            streams: BTreeMap::new(),
            history: VecDeque::new(),
            outgoing: Vec::new(),
            reporter: Ssrc(rng.random()),
            report_at: now,
            repair_at: None,
        }
    }

    pub(super) fn local(&self) -> Local<'_> {
        Local {
            credentials: self.transport.local_credentials(),
            fingerprint: &self.fingerprint,
            red: self.red,
        }
    }

    pub(super) fn claim_fingerprint(&mut self, fingerprint: &str) {
        fingerprint.clone_into(&mut self.fingerprint);
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(super) fn is_connected(&self) -> bool {
        self.srtp.is_some() && self.failure.is_none()
    }

    pub(super) fn failure(&self) -> Option<FailCause> {
        self.failure
    }

    /// Packets of a track that were numbered and did not arrive.
    pub(super) fn lost(&self, track: &str) -> i64 {
        let of_track = self.streams.values().filter(|stream| stream.track == track);
        of_track.map(|stream| stream.stats.lost()).sum()
    }

    /// Sends on the channel with this label; false if there is none open or it takes nothing.
    pub(super) fn send_data(&mut self, label: &str, message: &[u8]) -> bool {
        let open = self.channels.iter().find(|(_, known)| *known == label);
        let Some((&channel, _)) = open else { return false };
        self.transport.send(channel, true, message).is_ok()
    }

    pub(super) fn open_channel(&mut self, stream: u16, spec: ChannelSpec) {
        self.transport.open_channel(ChannelId(stream), spec);
    }

    pub(super) fn restart_ice(&mut self, rng: &mut StdRng, now: Instant) {
        self.transport.restart_ice(IceCredentials::random(rng), now);
    }

    /// Whether the other side begins ICE anew by this description.
    pub(super) fn is_restarted_by(&self, remote: &Remote) -> bool {
        !self.remote_ufrag.is_empty() && self.remote_ufrag != remote.ufrag
    }

    pub(super) fn close(&mut self) {
        self.transport.close();
        self.srtp = None;
    }

    pub(super) fn set_remote(&mut self, remote: &Remote, role: DtlsRole, now: Instant) {
        let parameters = RemoteParameters {
            ufrag: remote.ufrag.clone(),
            pwd: remote.pwd.clone(),
            fingerprints: remote.fingerprints.clone(),
            role,
        };
        self.remote_ufrag.clone_from(&remote.ufrag);
        self.transport.set_remote(parameters, now);
        self.transport.enable_data();
        for candidate in &remote.candidates {
            self.transport.add_remote_candidate(candidate);
        }
        for section in &remote.sections {
            if section.direction != "sendonly" || section.is_rejected {
                continue;
            }
            let track = section.track.clone().expect("a section that sends names its track");
            for &ssrc in &section.ssrcs {
                // What is announced once may still be on its way when it is announced no more, so nothing is forgotten.
                let stream = self.streams.entry(ssrc).or_insert_with(|| Stream::new(&track, &section.mid));
                stream.track.clone_from(&track);
                stream.mid.clone_from(&section.mid);
            }
        }
    }

    pub(super) fn handle_datagram(&mut self, mut datagram: Datagram, now: Instant) {
        let path = Path::udp(datagram.to, datagram.from);
        match datagram.bytes.first() {
            Some(0..=3) => self.transport.handle_datagram(DatagramKind::Stun, path, &datagram.bytes, now),
            Some(20..=63) => self.transport.handle_datagram(DatagramKind::Dtls, path, &datagram.bytes, now),
            _ => match datagram.bytes.get(1) {
                Some(192..=223) => self.handle_rtcp(&mut datagram.bytes, now),
                _ => self.handle_rtp(&mut datagram.bytes, now),
            },
        }
    }

    fn handle_rtp(&mut self, packet: &mut [u8], now: Instant) {
        let Some((inbound, _)) = &mut self.srtp else { return };
        // What the network repeats, SRTP refuses; what cannot be opened was not for us.
        let Ok(opened) = inbound.open_rtp(packet) else { return };
        let view = RtpView::parse(&packet[..opened.len]).expect("authentic packets are well-formed");
        let blocks = match view.header.payload_type.0 {
            OPUS => Utterance::decode(view.payload).map(|utterance| vec![utterance]),
            RED if self.red => decode_red(view.payload),
            _ => None,
        };
        let (Some(stream), Some(mut blocks)) = (self.streams.get_mut(&view.header.ssrc), blocks) else {
            self.unexpected += 1;
            return;
        };
        let mid = view.extensions.get(MID);
        let is_elsewhere = mid.is_some_and(|mid| mid != stream.mid.as_bytes());
        self.unexpected += u64::from(is_elsewhere);
        stream.stats.handle_packet(opened.index, view.header.timestamp, now);
        stream.note_arrival(opened.index);
        if self.repairs && !stream.missing.is_empty() {
            self.repair_at.get_or_insert(now);
        }
        let utterance = blocks.pop().expect("RED has a primary block");
        self.heard.push(Heard {
            track: stream.track.clone(),
            utterance,
            header: view.header,
            index: opened.index,
            copies: blocks,
            is_introduced: mid.is_some(),
        });
    }

    fn handle_rtcp(&mut self, packet: &mut [u8], now: Instant) {
        let Some((inbound, _)) = &mut self.srtp else { return };
        let Ok(len) = inbound.open_rtcp(packet) else { return };
        for item in Compound::new(&packet[..len]) {
            match item {
                RtcpItem::SenderReport { sender, info, .. } => {
                    self.reports += 1;
                    if let Some(stream) = self.streams.get_mut(&sender) {
                        stream.stats.handle_sender_report(info.ntp, now);
                    }
                }
                RtcpItem::ReceiverReport { .. } => self.reports += 1,
                RtcpItem::Nack { media, lost, .. } => {
                    for seq in lost.flat_map(crate::rtp::rtcp::NackPair::lost) {
                        let kept = self.history.iter().find(|(ssrc, kept, _)| (*ssrc, *kept) == (media, seq));
                        self.outgoing.extend(kept.map(|(_, _, packet)| packet.clone()));
                    }
                }
                RtcpItem::Bye { .. } | RtcpItem::Unknown { .. } => {}
            }
        }
    }

    pub(super) fn send_rtp(
        &mut self,
        header: &RtpHeader,
        index: ExtSeq,
        extension: Extension<'_>,
        payload: &[u8],
    ) {
        let Some((_, outbound)) = &self.srtp else { return };
        let mut packet = vec![0; 64 + payload.len()];
        let header_len = header.write(&mut packet, Some(extension)).expect("room for a header");
        let len = header_len + payload.len();
        packet[header_len..len].copy_from_slice(payload);
        let len = outbound.seal_rtp(&mut packet, len, index).expect("room for a tag");
        packet.truncate(len);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back((header.ssrc, header.seq, packet.clone()));
        self.outgoing.push(packet);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        if self.is_connected() && self.report_at <= now {
            self.report_at = now + REPORT_INTERVAL;
            self.send_reports(now);
        }
        if self.repair_at.is_some_and(|at| at <= now) {
            self.repair_at = Some(now + REPAIR_INTERVAL).filter(|_| self.send_nacks());
        }
    }

    fn send_reports(&mut self, now: Instant) {
        let streams = self.streams.iter_mut();
        let blocks: Vec<_> = streams.filter_map(|(&ssrc, stream)| stream.stats.report(ssrc, now)).collect();
        for blocks in blocks.chunks(MAX_BLOCKS) {
            let reporter = self.reporter;
            self.send_rtcp(|writer| writer.receiver_report(reporter, blocks).expect("room for a report"));
        }
    }

    /// Asks for what is missing; false when nothing is any more.
    fn send_nacks(&mut self) -> bool {
        let mut asked = Vec::new();
        for (&ssrc, stream) in &mut self.streams {
            stream.missing.retain(|_, attempts| {
                *attempts += 1;
                *attempts <= REPAIR_ATTEMPTS
            });
            if !stream.missing.is_empty() {
                asked.push((ssrc, stream.missing.keys().map(|index| index.seq()).collect::<Vec<_>>()));
            }
        }
        for (ssrc, lost) in &asked {
            let reporter = self.reporter;
            self.send_rtcp(|writer| {
                // A compound packet begins with a report (RFC 3550 §6.1).
                writer.receiver_report(reporter, &[]).expect("room for a report");
                writer.nack(reporter, *ssrc, lost.iter().copied().take(100)).expect("room for a request");
            });
        }
        !asked.is_empty()
    }

    fn send_rtcp(&mut self, write: impl FnOnce(&mut CompoundWriter<'_>)) {
        let Some((_, outbound)) = &mut self.srtp else { return };
        let mut packet = vec![0; 1200];
        let mut writer = CompoundWriter::new(&mut packet);
        write(&mut writer);
        let len = writer.len();
        let len = outbound.seal_rtcp(&mut packet, len).expect("room for a tag");
        packet.truncate(len);
        self.outgoing.push(packet);
    }

    pub(super) fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        let timeout = loop {
            match self.transport.poll_output(now) {
                Output::Transmit(transmit) => {
                    out.push(Datagram {
                        from: transmit.path.local,
                        to: transmit.path.remote,
                        bytes: transmit.bytes,
                    });
                }
                Output::Event(TransportEvent::Connected(keys)) => {
                    self.srtp = Some((keys.inbound(), keys.outbound()));
                    self.report_at = now + REPORT_INTERVAL;
                }
                Output::Event(TransportEvent::Failed(cause)) => self.failure = Some(cause),
                Output::Event(TransportEvent::ChannelOpen { channel, spec }) => {
                    self.channels.insert(channel, spec.label);
                }
                Output::Event(TransportEvent::Data { channel, bytes, .. }) => {
                    let label = self.channels.get(&channel).expect("channels open before messages come");
                    self.data.push((label.clone(), bytes.into()));
                }
                Output::Event(TransportEvent::ChannelClosed { channel }) => {
                    self.channels.remove(&channel);
                }
                Output::Event(_) => {}
                Output::Timeout(at) => break at,
            }
        };
        if let Some(Path { local, remote, .. }) = self.transport.path() {
            out.extend(self.outgoing.drain(..).map(|bytes| Datagram { from: local, to: remote, bytes }));
        }
        let reports = self.is_connected().then_some(self.report_at);
        [Some(timeout), reports, self.repair_at].into_iter().flatten().min().unwrap_or(timeout)
    }
}

impl Stream {
    fn new(track: &str, mid: &str) -> Self {
        Self {
            track: track.to_owned(),
            mid: mid.to_owned(),
            stats: ReceiveStats::new(48_000),
            highest: None,
            missing: BTreeMap::new(),
        }
    }

    fn note_arrival(&mut self, index: ExtSeq) {
        let highest = *self.highest.get_or_insert(index);
        if index > highest {
            self.missing.extend((highest.0 + 1..index.0).map(|missing| (ExtSeq(missing), 0)));
            self.highest = Some(index);
        }
        self.missing.remove(&index);
    }
}
