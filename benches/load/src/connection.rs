//! One peer connection of a bot, without a socket: ICE, DTLS, SRTP, the reports that a server waits for, and repair.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use banter_sfu::rtp::red::Red;
use banter_sfu::rtp::rtcp::{Compound, CompoundWriter, RtcpItem};
use banter_sfu::rtp::srtp::{DtlsRole, Inbound, MAX_RTP_OVERHEAD, Outbound, SrtpError};
use banter_sfu::rtp::{ExtSeq, Extension, RtpHeader, RtpView, SeqNo};
use banter_sfu::transport::{
    IceCredentials, IceRole, Identity, LocalAddresses, Output, Path, RemoteParameters, Transport,
    TransportEvent,
};
use banter_sfu::{DatagramKind, Ssrc, datagram_kind, transport};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::incoming::{Head, Incoming, Place};
use crate::sdp::{self, Format, Local, Remote, Section};
use crate::stamp::Stamp;
use crate::tally::Heard;

const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Report blocks of one packet (RFC 3550 §6.4.1).
const MAX_BLOCKS: usize = 31;
/// A packet on the wire is never longer.
pub const MAX_PACKET: usize = 1500;
/// Packets that can be sent again: a second of talk.
const HISTORY: usize = 50;

/// What a datagram turned out to be, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// And who has sent it, in the numbers of the run.
    Sound(Heard, u32),
    Duplicate,
    Other,
}

/// Where a connection is.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Where the server can come to.
    pub announced: Option<SocketAddr>,
    /// The same to its own ICE agent.
    pub local: SocketAddr,
}

/// How a connection does what it does.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub format: Format,
    pub is_sampled: bool,
}

#[derive(Debug)]
pub struct Connection {
    ends: Ends,
    manner: Manner,
    transport: Transport,
    fingerprint: String,
    version: u64,
    srtp: Option<(Inbound, Outbound)>,
    red: u8,
    streams: BTreeMap<Ssrc, Incoming>,
    reporter: Ssrc,
    report_at: Instant,
    is_lost: bool,
    scratch: Box<[u8; MAX_PACKET]>,
    /// What was sent last, sealed.
    history: VecDeque<(SeqNo, Vec<u8>)>,
    /// What the server asks for.
    asked: Vec<SeqNo>,
    /// Streams of which something is missing.
    lacking: Vec<Ssrc>,
}

impl Connection {
    pub fn new(
        identity: &Identity,
        role: IceRole,
        ends: Ends,
        manner: Manner,
        rng: &mut StdRng,
        now: Instant,
    ) -> Self {
        let local = LocalAddresses::udp([ends.local]);
        Self {
            ends,
            manner,
            transport: Transport::new(identity, role, IceCredentials::random(rng), local, now),
            fingerprint: identity.fingerprint().to_owned(),
            version: 0,
            srtp: None,
            red: sdp::RED,
            streams: BTreeMap::new(),
            reporter: Ssrc(rng.random()),
            report_at: now,
            is_lost: false,
            scratch: Box::new([0; MAX_PACKET]),
            history: VecDeque::new(),
            asked: Vec::new(),
            lacking: Vec::new(),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.srtp.is_some() && !self.is_lost
    }

    pub fn offer(&mut self, sections: &[Section]) -> String {
        self.version += 1;
        sdp::offer(self.local(), sections)
    }

    /// Takes the answer to the latest offer, and hands out the candidates in it.
    pub fn accept(&mut self, answer: &str, now: Instant) -> anyhow::Result<Vec<String>> {
        let remote = Remote::read(answer)?;
        let role = if remote.setup == "active" { DtlsRole::Server } else { DtlsRole::Client };
        self.set_remote(remote, role, now)
    }

    /// Answers an offer, data channels included: some servers wait for theirs before they send sound. Hands out the
    /// candidates in the offer besides.
    pub fn answer(&mut self, offer: &str, now: Instant) -> anyhow::Result<(String, Vec<String>)> {
        let remote = Remote::read(offer)?;
        self.version += 1;
        let answer = sdp::answer(self.local(), &remote);
        self.red = remote.red.unwrap_or(self.red);
        self.transport.enable_data();
        let candidates = self.set_remote(remote, DtlsRole::Client, now)?;
        Ok((answer, candidates))
    }

    pub fn add_candidate(&mut self, candidate: &str) {
        self.transport.add_remote_candidate(candidate);
    }

    /// Takes a datagram that came from `from`, at a time that the harness's clock calls `at`; its bytes are decrypted in place.
    pub fn handle_datagram(
        &mut self,
        from: SocketAddr,
        bytes: &mut [u8],
        now: Instant,
        at: Duration,
    ) -> Arrival {
        let path = Path::udp(self.ends.local, from);
        match datagram_kind(bytes) {
            Some(DatagramKind::Rtp) => return self.handle_rtp(bytes, now, at),
            Some(DatagramKind::Rtcp) => self.handle_rtcp(bytes),
            Some(DatagramKind::Stun) => {
                self.transport.handle_datagram(transport::DatagramKind::Stun, path, bytes, now)
            }
            Some(DatagramKind::Dtls) => {
                self.transport.handle_datagram(transport::DatagramKind::Dtls, path, bytes, now)
            }
            None => {}
        }
        Arrival::Other
    }

    /// Whether there is something to send at once.
    pub fn is_urgent(&self) -> bool {
        !self.lacking.is_empty()
    }

    fn handle_rtp(&mut self, bytes: &mut [u8], now: Instant, at: Duration) -> Arrival {
        let (Some((inbound, _)), Some(head)) = (&mut self.srtp, Head::read(bytes)) else {
            return Arrival::Other;
        };
        let len = bytes.len();
        let is_red = head.payload_type == self.red;
        let stream = self.streams.entry(head.ssrc).or_insert_with(Incoming::new);
        let (mut read, mut recovered) = (None, 0);
        let must_read = self.manner.is_sampled || stream.must_read(head, is_red, at);
        let mut place = None;
        if must_read {
            let opened = match inbound.open_rtp(bytes) {
                Ok(opened) => opened,
                Err(SrtpError::Replayed) => return Arrival::Duplicate,
                Err(_) => return Arrival::Other,
            };
            let Ok(view) = RtpView::parse(&bytes[..opened.len]) else { return Arrival::Other };
            let red = is_red.then(|| Red::parse(view.payload).ok()).flatten();
            let Some(stamp) = Stamp::read(red.map_or(view.payload, |red| red.primary.payload)) else {
                return Arrival::Other;
            };
            read = Some((stamp.publisher, stamp.number, at.saturating_sub(stamp.sent())));
            stream.note_stamp(head.timestamp, stamp);
            let index = stream.index(head.seq);
            place = Some(stream.note_packet(head, now));
            let earlier = red.into_iter().flat_map(|red| red.recover(index, head.timestamp));
            recovered = earlier.filter(|frame| stream.recover(frame.index, now)).count() as u64;
        }
        let place = place.unwrap_or_else(|| stream.note_packet(head, now));
        let (is_behind, missing) = match place {
            Place::Ahead { missing } => (false, missing),
            Place::Behind => (true, 0),
            Place::Repeated => return Arrival::Duplicate,
        };
        if self.manner.format.nack && stream.is_lacking(now) && !self.lacking.contains(&head.ssrc) {
            self.lacking.push(head.ssrc);
        }
        let (Some(due), Some(publisher)) = (stream.due(head.timestamp), stream.publisher()) else {
            return Arrival::Other;
        };
        Arrival::Sound(Heard { due, bytes: len, is_behind, missing, recovered, read }, publisher)
    }

    /// Of what a server reports only requests for repeats matter.
    fn handle_rtcp(&mut self, bytes: &mut [u8]) {
        let Some((inbound, _)) = &mut self.srtp else { return };
        if self.history.is_empty() {
            return;
        }
        let Ok(len) = inbound.open_rtcp(bytes) else { return };
        for item in Compound::new(&bytes[..len]) {
            if let RtcpItem::Nack { lost, .. } = item {
                self.asked.extend(lost.flat_map(banter_sfu::rtp::rtcp::NackPair::lost));
            }
        }
    }

    /// Seals a packet and hands it to `send`; false while there is no connection.
    pub fn send_rtp(
        &mut self,
        header: &RtpHeader,
        index: ExtSeq,
        extension: Extension<'_>,
        payload: &[u8],
        mut send: impl FnMut(SocketAddr, &[u8]),
    ) -> bool {
        let (Some((_, outbound)), Some(path)) = (&self.srtp, self.transport.path()) else { return false };
        let packet = &mut self.scratch[..];
        let header_len = header.write(packet, Some(extension)).expect("room for a header");
        let len = header_len + payload.len();
        debug_assert!(len + MAX_RTP_OVERHEAD <= MAX_PACKET, "a frame of Opus is short");
        packet[header_len..len].copy_from_slice(payload);
        let len = outbound.seal_rtp(packet, len, index).expect("room for a tag");
        send(path.remote, &packet[..len]);
        if self.manner.format.nack {
            self.history.push_back((header.seq, packet[..len].to_vec()));
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        true
    }

    /// Lets time pass, hands out what is to be sent, and says when to call again.
    pub fn poll(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, &[u8])) -> Instant {
        self.transport.handle_timeout(now);
        let at = loop {
            match self.transport.poll_output(now) {
                Output::Transmit(transmit) => send(transmit.path.remote, &transmit.bytes),
                Output::Event(TransportEvent::Connected(keys)) => {
                    self.srtp = Some((keys.inbound(), keys.outbound()));
                    self.report_at = now + REPORT_INTERVAL;
                }
                Output::Event(
                    TransportEvent::IceFailed | TransportEvent::Failed(_) | TransportEvent::Closed,
                ) => {
                    self.is_lost = true;
                }
                Output::Event(_) => {}
                Output::Timeout(at) => break at,
            }
        };
        if !self.is_connected() {
            return at;
        }
        if self.report_at <= now {
            self.report_at = now + REPORT_INTERVAL;
            self.send_reports(now, &mut send);
        }
        self.repair(now, &mut send);
        at.min(self.report_at)
    }

    /// Ends the connection; the next [`Self::poll`] says so to the server.
    pub fn close(&mut self) {
        self.transport.close();
        self.srtp = None;
    }

    /// Sends again what is asked for, and asks for what is missing.
    fn repair(&mut self, now: Instant, send: &mut impl FnMut(SocketAddr, &[u8])) {
        let (Some((_, outbound)), Some(path)) = (&mut self.srtp, self.transport.path()) else { return };
        for seq in self.asked.drain(..) {
            if let Some((_, packet)) = self.history.iter().find(|(sent, _)| *sent == seq) {
                send(path.remote, packet);
            }
        }
        for ssrc in std::mem::take(&mut self.lacking) {
            let Some(stream) = self.streams.get_mut(&ssrc) else { continue };
            let wanted = stream.take_wanted(now);
            if wanted.is_empty() {
                continue;
            }
            let mut writer = CompoundWriter::new(&mut self.scratch[..]);
            writer.receiver_report(self.reporter, &[]).expect("room for a report");
            writer.nack(self.reporter, ssrc, wanted.iter().copied()).expect("room for 32 numbers");
            let len = writer.len();
            let len = outbound.seal_rtcp(&mut self.scratch[..], len).expect("room for a tag");
            send(path.remote, &self.scratch[..len]);
        }
    }

    fn send_reports(&mut self, now: Instant, send: &mut impl FnMut(SocketAddr, &[u8])) {
        let (Some((_, outbound)), Some(path)) = (&mut self.srtp, self.transport.path()) else { return };
        let streams = self.streams.iter_mut();
        let blocks: Vec<_> = streams.filter_map(|(ssrc, stream)| stream.report(*ssrc, now)).collect();
        for blocks in blocks.chunks(MAX_BLOCKS) {
            let mut writer = CompoundWriter::new(&mut self.scratch[..]);
            writer.receiver_report(self.reporter, blocks).expect("room for a report");
            writer.cname(self.reporter, "bot").expect("room for a name");
            let len = writer.len();
            let len = outbound.seal_rtcp(&mut self.scratch[..], len).expect("room for a tag");
            send(path.remote, &self.scratch[..len]);
        }
    }

    fn set_remote(&mut self, remote: Remote, role: DtlsRole, now: Instant) -> anyhow::Result<Vec<String>> {
        ensure!(
            !remote.ufrag.is_empty() && !remote.fingerprints.is_empty(),
            "a description without a transport"
        );
        let Remote { ufrag, pwd, fingerprints, candidates, .. } = remote;
        self.transport.set_remote(RemoteParameters { ufrag, pwd, fingerprints, role }, now);
        Ok(candidates)
    }

    fn local(&self) -> Local<'_> {
        Local {
            credentials: self.transport.local_credentials(),
            fingerprint: &self.fingerprint,
            address: self.ends.announced,
            version: self.version,
            format: self.manner.format,
        }
    }
}
