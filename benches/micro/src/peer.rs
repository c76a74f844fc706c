//! A client reduced to what it takes to connect: ICE, DTLS and a session description.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result};
use banter_sfu::rtp::srtp::{DtlsRole, MAX_RTP_OVERHEAD, Outbound, SrtpKeys};
use banter_sfu::rtp::{ExtSeq, Extension, RtpHeader, RtpTime};
use banter_sfu::transport::{
    DatagramKind, IceCredentials, IceRole, Identity, LocalAddresses, Output, Path, RemoteParameters,
    Transport, TransportEvent,
};
use banter_sfu::{PayloadType, Ssrc};
use rand::rngs::StdRng;

pub const OPUS: PayloadType = PayloadType(111);
pub const SPEAKER_SSRC: Ssrc = Ssrc(1001);
/// The header extension of RFC 6464.
pub const AUDIO_LEVEL_ID: u8 = 1;
/// Decibels below overload of somebody who speaks.
const LOUD: u8 = 30;

/// The media section that a peer offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Speaking,
    Listening,
}

/// One end of a connection, without a socket.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    credentials: IceCredentials,
    fingerprint: String,
    transport: Transport,
    keys: Option<SrtpKeys>,
}

impl Peer {
    pub fn new(identity: &Identity, address: SocketAddr, rng: &mut StdRng, now: Instant) -> Self {
        let credentials = IceCredentials::random(rng);
        Self {
            address,
            fingerprint: identity.fingerprint().to_owned(),
            transport: Transport::new(
                identity,
                IceRole::Controlling,
                credentials.clone(),
                LocalAddresses::udp([address]),
                now,
            ),
            credentials,
            keys: None,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn offer(&self, sections: &[Section]) -> String {
        let mids: String = (0..sections.len()).map(|mid| format!(" {mid}")).collect();
        let media: String =
            sections.iter().enumerate().map(|(mid, section)| self.section(mid, *section)).collect();
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE{mids}\r\n{media}")
    }

    fn section(&self, mid: usize, section: Section) -> String {
        let Self { credentials: IceCredentials { ufrag, pwd }, fingerprint, .. } = self;
        let media = match section {
            Section::Speaking => format!(
                "a=sendonly\r\na=msid:- microphone\r\na=extmap:{AUDIO_LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
                 a=ssrc:{} cname:speaker\r\n",
                SPEAKER_SSRC.0
            ),
            Section::Listening => "a=recvonly\r\n".to_owned(),
        };
        format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n\
             a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
             a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n{media}"
        )
    }

    /// Takes the answer to [`Peer::offer`].
    pub fn accept(&mut self, answer: &str, now: Instant) -> Result<()> {
        let value = |name: &str| {
            let line = answer
                .lines()
                .find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'));
            line.with_context(|| format!("the answer has no {name}"))
        };
        let digest = value("fingerprint")?.strip_prefix("sha-256 ").context("another hash than SHA-256")?;
        let digest = digest.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
        let remote = RemoteParameters {
            ufrag: value("ice-ufrag")?.to_owned(),
            pwd: value("ice-pwd")?.to_owned(),
            fingerprints: vec![("sha-256".to_owned(), digest)],
            role: DtlsRole::Client,
        };
        self.transport.set_remote(remote, now);
        for line in answer.lines().filter_map(|line| line.strip_prefix("a=")) {
            if line.starts_with("candidate:") {
                self.transport.add_remote_candidate(line);
            }
        }
        Ok(())
    }

    /// Takes a datagram of the connection's set-up; media is left unread.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let kind = match bytes.first() {
            Some(0..=3) => DatagramKind::Stun,
            Some(20..=63) => DatagramKind::Dtls,
            _ => return,
        };
        self.transport.handle_datagram(kind, Path::udp(self.address, from), bytes, now);
    }

    /// Lets time pass, hands out what is to be sent, and says when to call again.
    pub fn poll(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, &[u8])) -> Instant {
        self.transport.handle_timeout(now);
        loop {
            match self.transport.poll_output(now) {
                Output::Transmit(transmit) => send(transmit.path.remote, &transmit.bytes),
                Output::Event(TransportEvent::Connected(keys)) => self.keys = Some(keys),
                Output::Event(_) => {}
                Output::Timeout(at) => return at,
            }
        }
    }

    /// The keys of the connection, once it is up.
    pub fn keys(&self) -> Option<&SrtpKeys> {
        self.keys.as_ref()
    }
}

/// A speaker's packet as it is on the wire: sealed, with an audio level and `payload_len` bytes of payload.
pub fn opus_packet(outbound: &Outbound, index: ExtSeq, payload_len: usize) -> Vec<u8> {
    opus_packet_of_level(outbound, index, payload_len, LOUD)
}

/// The same, so many decibels below overload: said to be a voice if it is loud.
pub(crate) fn opus_packet_of_level(
    outbound: &Outbound,
    index: ExtSeq,
    payload_len: usize,
    below_overload: u8,
) -> Vec<u8> {
    let header = RtpHeader {
        payload_type: OPUS,
        marker: false,
        seq: index.seq(),
        timestamp: RtpTime((index.0 * 960) as u32),
        ssrc: SPEAKER_SSRC,
    };
    let mut packet = vec![0x5A; 20 + payload_len + MAX_RTP_OVERHEAD];
    let level =
        Extension { id: AUDIO_LEVEL_ID, value: &[u8::from(below_overload < 40) << 7 | below_overload] };
    let header_len = header.write(&mut packet, Some(level)).expect("room for the header");
    let len = outbound.seal_rtp(&mut packet, header_len + payload_len, index).expect("room for the tag");
    packet.truncate(len);
    packet
}
