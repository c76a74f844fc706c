//! One peer connection of a bot, without a socket: ICE, DTLS, SRTP and the reports that a server waits for.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use banter_sfu::rtp::rtcp::CompoundWriter;
use banter_sfu::rtp::srtp::{DtlsRole, Inbound, MAX_RTP_OVERHEAD, Outbound, SrtpError};
use banter_sfu::rtp::{ExtSeq, Extension, ReceiveStats, RtpHeader, RtpView};
use banter_sfu::transport::{
    IceCredentials, IceRole, Identity, LocalAddresses, Output, Path, RemoteParameters, Transport,
    TransportEvent,
};
use banter_sfu::{DatagramKind, Ssrc, datagram_kind, transport};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::sdp::{self, Local, Remote, Section};
use crate::stamp::Stamp;

const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Report blocks of one packet (RFC 3550 §6.4.1).
const MAX_BLOCKS: usize = 31;
/// A packet on the wire is never longer.
pub const MAX_PACKET: usize = 1500;

/// What a datagram turned out to be, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Sound {
        stamp: Stamp,
        /// A later one of its stream came before.
        is_late: bool,
    },
    Duplicate,
    Other,
}

#[derive(Debug)]
pub struct Connection {
    pub address: SocketAddr,
    transport: Transport,
    fingerprint: String,
    version: u64,
    srtp: Option<(Inbound, Outbound)>,
    streams: Vec<Stream>,
    reporter: Ssrc,
    report_at: Instant,
    is_lost: bool,
    scratch: Box<[u8; MAX_PACKET]>,
}

#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    stats: ReceiveStats,
    highest: u32,
}

impl Connection {
    pub fn new(
        identity: &Identity,
        role: IceRole,
        address: SocketAddr,
        rng: &mut StdRng,
        now: Instant,
    ) -> Self {
        let local = LocalAddresses::udp([address]);
        Self {
            address,
            transport: Transport::new(identity, role, IceCredentials::random(rng), local, now),
            fingerprint: identity.fingerprint().to_owned(),
            version: 0,
            srtp: None,
            streams: Vec::new(),
            reporter: Ssrc(rng.random()),
            report_at: now,
            is_lost: false,
            scratch: Box::new([0; MAX_PACKET]),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.srtp.is_some() && !self.is_lost
    }

    pub fn offer(&mut self, sections: &[Section]) -> String {
        self.version += 1;
        sdp::offer(self.local(), sections)
    }

    /// Takes the answer to the latest offer.
    pub fn accept(&mut self, answer: &str, now: Instant) -> anyhow::Result<()> {
        let remote = Remote::read(answer)?;
        let role = if remote.setup == "active" { DtlsRole::Server } else { DtlsRole::Client };
        self.set_remote(remote, role, now)
    }

    /// Answers an offer, data channels included: some servers wait for theirs before they send sound.
    pub fn answer(&mut self, offer: &str, now: Instant) -> anyhow::Result<String> {
        let remote = Remote::read(offer)?;
        self.version += 1;
        let answer = sdp::answer(self.local(), &remote);
        self.transport.enable_data();
        self.set_remote(remote, DtlsRole::Client, now)?;
        Ok(answer)
    }

    pub fn add_candidate(&mut self, candidate: &str) {
        self.transport.add_remote_candidate(candidate);
    }

    /// Takes a datagram that came from `from`; its bytes are decrypted in place.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &mut [u8], now: Instant) -> Arrival {
        let path = Path::udp(self.address, from);
        match datagram_kind(bytes) {
            Some(DatagramKind::Stun) => {
                self.transport.handle_datagram(transport::DatagramKind::Stun, path, bytes, now)
            }
            Some(DatagramKind::Dtls) => {
                self.transport.handle_datagram(transport::DatagramKind::Dtls, path, bytes, now)
            }
            Some(DatagramKind::Rtp) => return self.handle_rtp(bytes, now),
            Some(DatagramKind::Rtcp) | None => {}
        }
        Arrival::Other
    }

    fn handle_rtp(&mut self, bytes: &mut [u8], now: Instant) -> Arrival {
        let Some((inbound, _)) = &mut self.srtp else { return Arrival::Other };
        let opened = match inbound.open_rtp(bytes) {
            Ok(opened) => opened,
            Err(SrtpError::Replayed) => return Arrival::Duplicate,
            Err(_) => return Arrival::Other,
        };
        let Ok(view) = RtpView::parse(&bytes[..opened.len]) else { return Arrival::Other };
        let Some(stamp) = Stamp::read(view.payload) else { return Arrival::Other };
        let ssrc = view.header.ssrc;
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let at = known.unwrap_or_else(|| {
            self.streams.push(Stream { ssrc, stats: ReceiveStats::new(48_000), highest: 0 });
            self.streams.len() - 1
        });
        let stream = &mut self.streams[at];
        stream.stats.handle_packet(opened.index, view.header.timestamp, now);
        let is_late = stamp.number < stream.highest;
        stream.highest = stream.highest.max(stamp.number);
        Arrival::Sound { stamp, is_late }
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
            self.send_reports(now, send);
        }
        at.min(self.report_at)
    }

    /// Ends the connection; the next [`Self::poll`] says so to the server.
    pub fn close(&mut self) {
        self.transport.close();
        self.srtp = None;
    }

    fn send_reports(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, &[u8])) {
        let (Some((_, outbound)), Some(path)) = (&mut self.srtp, self.transport.path()) else { return };
        let streams = self.streams.iter_mut();
        let blocks: Vec<_> = streams.filter_map(|stream| stream.stats.report(stream.ssrc, now)).collect();
        for blocks in blocks.chunks(MAX_BLOCKS) {
            let mut writer = CompoundWriter::new(&mut self.scratch[..]);
            writer.receiver_report(self.reporter, blocks).expect("room for a report");
            writer.cname(self.reporter, "bot").expect("room for a name");
            let len = writer.len();
            let len = outbound.seal_rtcp(&mut self.scratch[..], len).expect("room for a tag");
            send(path.remote, &self.scratch[..len]);
        }
    }

    fn set_remote(&mut self, remote: Remote, role: DtlsRole, now: Instant) -> anyhow::Result<()> {
        ensure!(
            !remote.ufrag.is_empty() && !remote.fingerprints.is_empty(),
            "a description without a transport"
        );
        let Remote { ufrag, pwd, fingerprints, candidates, .. } = remote;
        self.transport.set_remote(RemoteParameters { ufrag, pwd, fingerprints, role }, now);
        candidates.iter().for_each(|candidate| self.transport.add_remote_candidate(candidate));
        Ok(())
    }

    fn local(&self) -> Local<'_> {
        Local {
            credentials: self.transport.local_credentials(),
            fingerprint: &self.fingerprint,
            address: self.address,
            version: self.version,
        }
    }
}
