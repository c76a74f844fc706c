//! One participant of a room, as a value: LiveKit's signalling over one connection (`/rtc/v1`) and str0m's WebRTC.
//!
//! It publishes one microphone, or hears whatever is published. The caller finds a way for the datagrams: it names the local
//! candidates before the session begins, and carries what [`Output::Transmit`] says.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{AddTrackRequest, DisconnectReason, SessionDescription, TrackSource, TrackType};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, IceConnectionState, Input, Rtc, RtcError};

use banter_sfu::{DatagramKind, datagram_kind};

/// The client's own name of its microphone.
const MICROPHONE: &str = "microphone";
/// 20 ms at 48 kHz.
const TICKS: u32 = 960;
/// What is under way of ICE's checks. More than any agent asks at a time.
const MAX_CHECKS: usize = 64;

/// What a participant is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Speaks,
    Listens,
}

/// What a session wants from the world.
#[derive(Debug)]
pub enum Output {
    /// Send this by signalling.
    Signal(Box<Request>),
    Transmit(Transmit),
    Event(Event),
    /// Nothing more until then; call [`Session::handle_timeout`] at that time.
    Timeout(Instant),
}

/// A datagram for the server, and the candidate that it leaves from.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// The server's description has no candidate that could be used.
    NotNamed,
    /// One of ICE's checks has been answered after this time.
    CheckAnswered(Duration),
    /// Datagrams pass in both directions.
    PathFound,
    /// The keys are agreed.
    Connected,
    /// The payload of a packet.
    Heard(Arc<[u8]>),
    /// The server ends the session, or the connection is lost.
    Ended(String),
}

/// A session after its join. Call [`Self::poll_output`] after everything else until it returns [`Output::Timeout`].
#[derive(Debug)]
pub struct Session {
    rtc: Rtc,
    part: Part,
    is_nowhere: bool,
    /// The microphone's section.
    mid: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    /// The server wants another offer after the one that is under way.
    offers_again: bool,
    offers: u32,
    packets: u32,
    payload_len: usize,
    overhead: usize,
    checks: BTreeMap<[u8; 12], Instant>,
    signals: VecDeque<Request>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session that is found at `candidates` only. It announces its track, and offers.
    pub fn new(part: Part, candidates: Vec<Candidate>, now: Instant) -> Self {
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            .set_reordering_size_audio(0)
            .build(now);
        let is_nowhere = candidates.is_empty();
        for candidate in candidates {
            rtc.add_local_candidate(candidate);
        }
        let mut session = Self {
            rtc,
            part,
            is_nowhere,
            mid: None,
            pending: None,
            offers_again: false,
            offers: 0,
            packets: 0,
            payload_len: 0,
            overhead: 0,
            checks: BTreeMap::new(),
            signals: VecDeque::new(),
            events: VecDeque::new(),
        };
        if part == Part::Speaks {
            session.signals.push_back(Request::AddTrack(AddTrackRequest {
                cid: MICROPHONE.into(),
                name: MICROPHONE.into(),
                r#type: TrackType::Audio.into(),
                source: TrackSource::Microphone.into(),
                disable_red: true,
                ..AddTrackRequest::default()
            }));
        }
        session.offer();
        session
    }

    /// A further address at which this session is found.
    pub fn add_candidate(&mut self, candidate: Candidate) {
        self.is_nowhere = false;
        self.rtc.add_local_candidate(candidate);
    }

    /// Whether the session has no candidates.
    pub fn is_nowhere(&self) -> bool {
        self.is_nowhere
    }

    /// Takes a message of the server's, the join response excepted.
    pub fn handle_signal(&mut self, message: Response, now: Instant) -> Result<(), RtcError> {
        match message {
            Response::Answer(answer) => {
                let answer = SdpAnswer::from_sdp_string(&answer.sdp)?;
                self.accept(answer)?;
                self.rtc.handle_input(Input::Timeout(now))?;
            }
            Response::MediaSectionsRequirement(_) if self.pending.is_some() => self.offers_again = true,
            Response::MediaSectionsRequirement(_) => self.offer(),
            Response::Leave(leave) => {
                let reason = DisconnectReason::try_from(leave.reason).unwrap_or_default();
                self.events.push_back(Event::Ended(reason.as_str_name().to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a datagram that has arrived at the candidate `at`. What is no datagram of WebRTC's is ignored.
    pub fn handle_datagram(
        &mut self,
        protocol: Protocol,
        from: SocketAddr,
        at: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), RtcError> {
        self.note_answer(bytes, now);
        let Ok(receive) = Receive::new(protocol, from, at, bytes) else { return Ok(()) };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) { self.rtc.handle_input(input) } else { Ok(()) }
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), RtcError> {
        self.rtc.handle_input(Input::Timeout(now))
    }

    /// Sends a packet of the microphone. False while there is no way for it.
    pub fn speak(&mut self, payload: Vec<u8>, now: Instant) -> Result<bool, RtcError> {
        let (Some(mid), Some(pt)) = (self.mid, self.payload_type()) else { return Ok(false) };
        self.payload_len = payload.len();
        self.packets += 1;
        let (number, time) = (u64::from(self.packets).into(), self.packets.wrapping_mul(TICKS));
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(mid, None) else { return Ok(false) };
        stream.write_rtp(RtpWrite::new(pt, number, time, now, payload));
        self.rtc.handle_input(Input::Timeout(now))?;
        Ok(true)
    }

    /// Bytes around a payload in a datagram, as far as the last one shows.
    pub fn overhead(&self) -> usize {
        self.overhead
    }

    pub fn poll_output(&mut self, now: Instant) -> Result<Output, RtcError> {
        if let Some(request) = self.signals.pop_front() {
            return Ok(Output::Signal(Box::new(request)));
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Output::Event(event));
            }
            match self.rtc.poll_output()? {
                str0m::Output::Timeout(at) => return Ok(Output::Timeout(at)),
                str0m::Output::Transmit(transmit) => {
                    let bytes: Vec<u8> = transmit.contents.into();
                    self.note_departure(&bytes, now);
                    return Ok(Output::Transmit(Transmit {
                        from: transmit.source,
                        to: transmit.destination,
                        bytes,
                    }));
                }
                str0m::Output::Event(event) => self.take_event(event),
            }
        }
    }

    /// A microphone is offered once; whoever listens offers a further section each time.
    fn offer(&mut self) {
        let mut changes = self.rtc.sdp_api();
        match self.part {
            Part::Speaks if self.mid.is_some() => return,
            Part::Speaks => {
                let mid = changes.add_media(
                    MediaKind::Audio,
                    Direction::SendOnly,
                    None,
                    Some(MICROPHONE.to_owned()),
                    None,
                );
                self.mid = Some(mid);
            }
            Part::Listens => {
                changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
            }
        }
        let Some((offer, pending)) = changes.apply() else { return };
        self.pending = Some(pending);
        self.offers += 1;
        self.signals.push_back(Request::Offer(SessionDescription {
            r#type: "offer".into(),
            sdp: offer.to_sdp_string(),
            id: self.offers,
            ..SessionDescription::default()
        }));
    }

    fn accept(&mut self, answer: SdpAnswer) -> Result<(), RtcError> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let is_named = answer.to_sdp_string().contains("a=candidate:");
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        if !is_named {
            self.events.push_back(Event::NotNamed);
        }
        if std::mem::take(&mut self.offers_again) {
            self.offer();
        }
        Ok(())
    }

    fn payload_type(&self) -> Option<Pt> {
        self.rtc.codec_config().params().first().map(str0m::format::PayloadParams::pt)
    }

    fn take_event(&mut self, event: str0m::Event) {
        let event = match event {
            str0m::Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) => Event::PathFound,
            str0m::Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                Event::Ended("the path is lost".to_owned())
            }
            str0m::Event::Connected => Event::Connected,
            str0m::Event::RtpPacket(packet) => Event::Heard(packet.payload),
            str0m::Event::Closed => Event::Ended("the server closed the connection".to_owned()),
            _ => return,
        };
        self.events.push_back(event);
    }

    /// Remembers when a check was sent, and how large packets are.
    fn note_departure(&mut self, bytes: &[u8], now: Instant) {
        match datagram_kind(bytes) {
            Some(DatagramKind::Stun)
                if bytes.starts_with(&[0x00, 0x01]) && self.checks.len() < MAX_CHECKS =>
            {
                self.checks.extend(transaction(bytes).map(|id| (id, now)));
            }
            Some(DatagramKind::Rtp) => self.overhead = bytes.len().saturating_sub(self.payload_len),
            _ => {}
        }
    }

    fn note_answer(&mut self, bytes: &[u8], now: Instant) {
        if !bytes.starts_with(&[0x01, 0x01]) {
            return;
        }
        if let Some(sent) = transaction(bytes).and_then(|id| self.checks.remove(&id)) {
            self.events.push_back(Event::CheckAnswered(now - sent));
        }
    }
}

/// Where the server takes datagrams, or streams for ICE (RFC 6544 §4.5), out of its description and in its order.
pub fn named(sdp: &str, protocol: Protocol) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for line in sdp.lines().filter_map(|line| line.strip_prefix("a=")) {
        let Ok(candidate) = Candidate::from_sdp_string(line) else { continue };
        let is_taken = protocol != Protocol::Tcp || candidate.tcptype() == Some(TcpType::Passive);
        if candidate.proto() == protocol && is_taken && !addresses.contains(&candidate.addr()) {
            addresses.push(candidate.addr());
        }
    }
    addresses
}

/// The id of a STUN transaction (RFC 8489 §5).
fn transaction(bytes: &[u8]) -> Option<[u8; 12]> {
    bytes.get(8..20)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_addresses_are_found_in_its_description() {
        let sdp = "v=0\r\n\
            a=candidate:1 1 UDP 2130706431 192.0.2.1 50000 typ host\r\n\
            a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host\r\n\
            a=candidate:2 1 TCP 2105458943 192.0.2.1 7881 typ host tcptype passive\r\n\
            a=candidate:3 1 TCP 2105458942 192.0.2.1 9 typ host tcptype active\r\n\
            a=candidate:nonsense\r\n";
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(named(sdp, Protocol::Udp), [address("192.0.2.1:50000")]);
        assert_eq!(named(sdp, Protocol::Tcp), [address("192.0.2.1:7881")]);
        assert!(named("", Protocol::Udp).is_empty());
    }
}
