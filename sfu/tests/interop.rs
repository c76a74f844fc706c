//! Our transport and session descriptions against a WebRTC stack that is not ours: a whole `str0m::Rtc`, as the
//! client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use banter_sfu::rtp::srtp::{DtlsRole, SrtpKeys};
use banter_sfu::rtp::{ExtSeq, RtpHeader, RtpTime, RtpView};
use banter_sfu::sdp::{Incoming, LocalDescription, Negotiation, Outgoing, RemoteTransport, Setup};
use banter_sfu::sim::{Datagram, Link, Net, Node, World};
use banter_sfu::transport::{
    ChannelId, ChannelSpec, DatagramKind, IceCredentials, IceRole, Identity, LocalAddresses, Output, Path,
    Reliability, RemoteParameters, Transport, TransportEvent,
};
use banter_sfu::{PayloadType, Ssrc, TrackKey};
use rand::SeedableRng;
use rand::rngs::StdRng;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction, MediaKind, MediaTime};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Rtc};

const OURS: usize = 0;
const THEIRS: usize = 1;
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_client_that_offers_connects_speaks_and_listens() {
    let mut call = Call::new(Net::seeded(1), IceRole::Controlled, Negotiation::answerer());
    call.client_offers();
    call.connect();
    call.echo_messages();
    call.hear_from_client();
    call.be_heard_by_client();
}

#[test]
fn a_client_that_answers_connects_and_listens() {
    let mut call = Call::new(Net::seeded(2), IceRole::Controlling, Negotiation::offerer());
    call.server_offers();
    call.connect();
    // We are the DTLS server, so our streams are the odd ones.
    let spec =
        ChannelSpec { label: "_lossy".to_owned(), ordered: false, reliability: Reliability::Retransmits(0) };
    call.world.act(OURS, |node, _| node.ours().transport.open_channel(ChannelId(1), spec));
    call.echo_messages();
    call.be_heard_by_client();
}

#[test]
fn a_client_behind_a_lossy_link_connects() {
    for seed in 0..5 {
        let net = Net::seeded(seed).with_link(Link::wifi().loss(0.1));
        let mut call = Call::new(net, IceRole::Controlled, Negotiation::answerer());
        call.client_offers();
        call.connect();
        call.echo_messages();
    }
}

#[test]
fn a_client_that_takes_back_channels_agreed_beforehand_can_open_others() {
    let mut call = Call::new(Net::seeded(3), IceRole::Controlled, Negotiation::answerer());
    call.client_offers();
    call.connect();
    // LiveKit's newest clients have these from the start, and close them when the server does not know them.
    let negotiated = call.world.act(THEIRS, |node, now| {
        let rtc = &mut node.theirs().rtc;
        let mut api = rtc.direct_api();
        let ids = [100, 101, 102].map(|stream| {
            api.create_data_channel(str0m::channel::ChannelConfig {
                label: format!("negotiated-{stream}"),
                negotiated: Some(stream),
                ..Default::default()
            })
        });
        rtc.handle_input(Input::Timeout(now)).expect("time passes");
        ids
    });
    call.world.run_for(Duration::from_millis(500));
    call.world.act(THEIRS, |node, _| {
        for channel in negotiated {
            node.theirs().rtc.channel(channel).expect("open").write(true, b"anybody?").expect("room");
        }
    });
    call.world.run_for(Duration::from_millis(500));
    call.world.act(THEIRS, |node, now| {
        let rtc = &mut node.theirs().rtc;
        for channel in negotiated {
            rtc.direct_api().close_data_channel(channel);
        }
        rtc.handle_input(Input::Timeout(now)).expect("time passes");
    });
    call.world.run_for(Duration::from_secs(2));
    assert!(call.ours().messages.is_empty(), "nobody announced those channels");
    call.world.act(THEIRS, |node, now| {
        let rtc = &mut node.theirs().rtc;
        rtc.direct_api().create_data_channel(str0m::channel::ChannelConfig {
            label: "afterwards".to_owned(),
            ..Default::default()
        });
        rtc.handle_input(Input::Timeout(now)).expect("time passes");
    });
    let opened = |world: &World<Side>| {
        world.node(OURS).as_ours().channels.iter().any(|spec| spec.label == "afterwards")
    };
    assert!(call.world.run_until(PATIENCE, opened));
    call.echo_messages();
}

/// Our end: what the server has for one peer connection.
#[derive(Debug)]
struct Ours {
    address: SocketAddr,
    transport: Transport,
    keys: Option<SrtpKeys>,
    channels: Vec<ChannelSpec>,
    messages: Vec<Vec<u8>>,
    /// RTP payloads that were authentic.
    heard: Vec<Vec<u8>>,
    to_send: Vec<Vec<u8>>,
}

/// Their end: a whole client.
#[derive(Debug)]
struct Theirs {
    address: SocketAddr,
    rtc: Rtc,
    connected: bool,
    channels: Vec<str0m::channel::ChannelId>,
    messages: Vec<Vec<u8>>,
    heard: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Side {
    Ours(Box<Ours>),
    Theirs(Box<Theirs>),
}

impl Side {
    fn ours(&mut self) -> &mut Ours {
        match self {
            Self::Ours(ours) => ours,
            Self::Theirs(_) => panic!("not ours"),
        }
    }

    fn theirs(&mut self) -> &mut Theirs {
        match self {
            Self::Theirs(theirs) => theirs,
            Self::Ours(_) => panic!("not theirs"),
        }
    }

    fn as_ours(&self) -> &Ours {
        match self {
            Self::Ours(ours) => ours,
            Self::Theirs(_) => panic!("not ours"),
        }
    }

    fn as_theirs(&self) -> &Theirs {
        match self {
            Self::Theirs(theirs) => theirs,
            Self::Ours(_) => panic!("not theirs"),
        }
    }
}

impl Node for Side {
    fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Ours(ours) => vec![ours.address],
            Self::Theirs(theirs) => vec![theirs.address],
        }
    }

    fn handle_datagram(&mut self, datagram: Datagram, now: Instant) {
        match self {
            Self::Ours(ours) => ours.handle_datagram(datagram, now),
            Self::Theirs(theirs) => theirs.handle_datagram(&datagram, now),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Ours(ours) => ours.transport.handle_timeout(now),
            Self::Theirs(theirs) => theirs.rtc.handle_input(Input::Timeout(now)).expect("time passes"),
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        match self {
            Self::Ours(ours) => ours.poll(now, out),
            Self::Theirs(theirs) => theirs.poll(out),
        }
    }
}

impl Ours {
    fn handle_datagram(&mut self, mut datagram: Datagram, now: Instant) {
        let kind = match datagram.bytes[0] {
            0..=3 => DatagramKind::Stun,
            20..=63 => DatagramKind::Dtls,
            _ => return self.handle_rtp(&mut datagram.bytes),
        };
        let path = Path::udp(datagram.to, datagram.from);
        self.transport.handle_datagram(kind, path, &datagram.bytes, now);
    }

    fn handle_rtp(&mut self, packet: &mut [u8]) {
        let is_rtcp = (192..=223).contains(&packet[1]);
        if let Some(keys) = &self.keys
            && !is_rtcp
        {
            let opened = keys.inbound().open_rtp(packet).expect("the keys are the same at both ends");
            self.heard.push(RtpView::parse(&packet[..opened.len]).expect("RTP").payload.to_vec());
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        loop {
            match self.transport.poll_output(now) {
                Output::Transmit(transmit) => {
                    out.push(Datagram {
                        from: transmit.path.local,
                        to: transmit.path.remote,
                        bytes: transmit.bytes,
                    });
                }
                Output::Event(event) => self.handle_event(event),
                Output::Timeout(at) => {
                    if let Some(path) = self.transport.path() {
                        let datagram = |bytes| Datagram { from: path.local, to: path.remote, bytes };
                        out.extend(self.to_send.drain(..).map(datagram));
                    }
                    return at;
                }
            }
        }
    }

    fn handle_event(&mut self, event: TransportEvent) {
        match event {
            TransportEvent::Connected(keys) => self.keys = Some(keys),
            TransportEvent::ChannelOpen { spec, .. } => self.channels.push(spec),
            TransportEvent::Data { channel, binary, bytes } => {
                self.messages.push(bytes.to_vec());
                let mut echo = b"echo of ".to_vec();
                echo.extend_from_slice(&bytes);
                self.transport.send(channel, binary, &echo).expect("room for an echo");
            }
            TransportEvent::Failed(cause) => panic!("{cause:?}"),
            _ => {}
        }
    }
}

impl Theirs {
    fn handle_datagram(&mut self, datagram: &Datagram, now: Instant) {
        let receive = Receive::new(Protocol::Udp, datagram.from, datagram.to, &datagram.bytes);
        self.rtc
            .handle_input(Input::Receive(now, receive.expect("a datagram of ours")))
            .expect("the client lives");
    }

    fn poll(&mut self, out: &mut Vec<Datagram>) -> Instant {
        loop {
            match self.rtc.poll_output().expect("the client lives") {
                str0m::Output::Transmit(transmit) => out.push(Datagram {
                    from: transmit.source,
                    to: transmit.destination,
                    bytes: transmit.contents.to_vec(),
                }),
                str0m::Output::Event(Event::Connected) => self.connected = true,
                str0m::Output::Event(Event::ChannelOpen(channel, _)) => self.channels.push(channel),
                str0m::Output::Event(Event::ChannelData(data)) => self.messages.push(data.data),
                str0m::Output::Event(Event::MediaData(data)) => self.heard.push(data.data.to_vec()),
                str0m::Output::Event(_) => {}
                str0m::Output::Timeout(at) => return at,
            }
        }
    }
}

/// Both ends, and the description of ours.
struct Call {
    world: World<Side>,
    negotiation: Negotiation,
    local: LocalDescription,
    /// What we send with, once agreed.
    sending: Option<PayloadType>,
    client_sending: Option<str0m::media::Mid>,
}

const SERVER_ADDRESS: &str = "10.0.0.1:50000";
const CLIENT_ADDRESS: &str = "10.0.0.2:40000";
const OUR_SSRC: Ssrc = Ssrc(0x0BAD_CAFE);

impl Call {
    fn new(net: Net, role: IceRole, negotiation: Negotiation) -> Self {
        let mut world = World::new(net);
        let now = world.now();
        let identity = Identity::generate().expect("an identity");
        let credentials = IceCredentials::random(&mut StdRng::seed_from_u64(1));
        let address: SocketAddr = SERVER_ADDRESS.parse().expect("an address");
        let local = LocalDescription {
            ice_ufrag: credentials.ufrag.clone(),
            ice_pwd: credentials.pwd.clone(),
            fingerprint: identity.fingerprint().to_owned(),
            candidates: LocalAddresses::udp([address]),
        };
        world.add(Side::Ours(Box::new(Ours {
            address,
            transport: Transport::new(&identity, role, credentials, LocalAddresses::udp([address]), now),
            keys: None,
            channels: Vec::new(),
            messages: Vec::new(),
            heard: Vec::new(),
            to_send: Vec::new(),
        })));
        let address: SocketAddr = CLIENT_ADDRESS.parse().expect("an address");
        let mut rtc = Rtc::builder().build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        world.add(Side::Theirs(Box::new(Theirs {
            address,
            rtc,
            connected: false,
            channels: Vec::new(),
            messages: Vec::new(),
            heard: Vec::new(),
        })));
        Self { world, negotiation, local, sending: None, client_sending: None }
    }

    fn ours(&self) -> &Ours {
        self.world.node(OURS).as_ours()
    }

    fn theirs(&self) -> &Theirs {
        self.world.node(THEIRS).as_theirs()
    }

    /// One section to send on, one to receive on, and a data channel.
    fn client_offers(&mut self) {
        let (mid, (offer, pending)) = self.world.act(THEIRS, |node, _| {
            let mut changes = node.theirs().rtc.sdp_api();
            changes.add_channel("_reliable".to_owned());
            let mic = Some("mic".to_owned());
            let mid = changes.add_media(MediaKind::Audio, Direction::SendOnly, None, mic, None);
            changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
            (mid, changes.apply().expect("changes"))
        });
        self.client_sending = Some(mid);
        let incoming = Incoming {
            track: TrackKey(1),
            cid: "mic".to_owned(),
            red: false,
            stereo: false,
            dtx: false,
            max_bitrate: None,
        };
        let answered = self
            .negotiation
            .handle_offer(&offer.to_sdp_string(), &self.local, &[incoming], &[outgoing()])
            .expect("an acceptable offer");
        let answer = SdpAnswer::from_sdp_string(&answered.sdp).expect("an answer that str0m can read");
        self.world.act(THEIRS, |node, _| {
            node.theirs().rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
        });
        self.sending = answered.sending.first().map(|section| section.opus);
        self.set_remote(answered.remote);
    }

    fn server_offers(&mut self) {
        let offered = self.negotiation.create_offer(&self.local, &[outgoing()]).expect("an offer");
        let offer = SdpOffer::from_sdp_string(&offered.sdp).expect("an offer that str0m can read");
        let answer = self.world.act(THEIRS, |node, _| {
            node.theirs().rtc.sdp_api().accept_offer(offer).expect("an acceptable offer")
        });
        let accepted = self.negotiation.handle_answer(&answer.to_sdp_string()).expect("an acceptable answer");
        self.sending = accepted.sending.first().map(|section| section.opus);
        self.set_remote(accepted.remote);
    }

    fn set_remote(&mut self, remote: RemoteTransport) {
        self.world.act(OURS, |node, now| {
            let transport = &mut node.ours().transport;
            let role = match remote.setup {
                Setup::Passive => DtlsRole::Client,
                Setup::Active | Setup::ActPass => DtlsRole::Server,
            };
            transport.set_remote(
                RemoteParameters {
                    ufrag: remote.ice_ufrag,
                    pwd: remote.ice_pwd,
                    fingerprints: remote.fingerprints,
                    role,
                },
                now,
            );
            if remote.has_data_section {
                transport.enable_data();
            }
            for candidate in &remote.candidates {
                transport.add_remote_candidate(candidate);
            }
        });
    }

    fn connect(&mut self) {
        let connected = |world: &World<Side>| {
            world.node(OURS).as_ours().keys.is_some() && world.node(THEIRS).as_theirs().connected
        };
        assert!(self.world.run_until(PATIENCE, connected), "not connected");
    }

    /// The client says something on its newest channel, and we say it back.
    fn echo_messages(&mut self) {
        let open = |world: &World<Side>| {
            !world.node(OURS).as_ours().channels.is_empty()
                && !world.node(THEIRS).as_theirs().channels.is_empty()
        };
        assert!(self.world.run_until(PATIENCE, open), "no channel");
        let &channel = self.theirs().channels.last().expect("an open channel");
        self.world.act(THEIRS, |node, _| {
            node.theirs().rtc.channel(channel).expect("open").write(true, b"hello").expect("room");
        });
        let echoed = |world: &World<Side>| {
            world.node(THEIRS).as_theirs().messages.iter().any(|bytes| bytes == b"echo of hello")
        };
        assert!(self.world.run_until(PATIENCE, echoed), "no echo");
        assert!(self.ours().messages.iter().any(|bytes| bytes == b"hello"));
    }

    fn hear_from_client(&mut self) {
        let mid = self.client_sending.expect("a section that the client sends on");
        let spoken = b"\xFCan Opus packet, as far as anybody here knows";
        self.world.act(THEIRS, |node, now| {
            let rtc = &mut node.theirs().rtc;
            let writer = rtc.writer(mid).expect("a section to send on");
            let pt = writer.payload_params().next().expect("a payload type").pt();
            writer.write(pt, now, MediaTime::from_millis(0), spoken.to_vec()).expect("room");
            rtc.handle_input(Input::Timeout(now)).expect("time passes");
        });
        let heard =
            |world: &World<Side>| world.node(OURS).as_ours().heard.iter().any(|payload| payload == spoken);
        assert!(self.world.run_until(PATIENCE, heard), "not heard");
    }

    fn be_heard_by_client(&mut self) {
        let payload_type = self.sending.expect("a section to send on");
        let spoken: Vec<Vec<u8>> = (0..10).map(|n| format!("\u{7F}packet {n}").into_bytes()).collect();
        let packets = spoken.iter().zip(0u16..).map(|(payload, n)| {
            let header = RtpHeader {
                payload_type,
                marker: n == 0,
                seq: ExtSeq(1000 + u64::from(n)).seq(),
                timestamp: RtpTime(960 * u32::from(n)),
                ssrc: OUR_SSRC,
            };
            let mut packet = vec![0; 200];
            let header_len = header.write(&mut packet, None).expect("room");
            packet[header_len..header_len + payload.len()].copy_from_slice(payload);
            (packet, header_len + payload.len(), ExtSeq(1000 + u64::from(n)))
        });
        let outbound = self.ours().keys.as_ref().expect("connected").outbound();
        let sealed: Vec<Vec<u8>> = packets
            .map(|(mut packet, len, index)| {
                let len = outbound.seal_rtp(&mut packet, len, index).expect("room");
                packet.truncate(len);
                packet
            })
            .collect();
        self.world.act(OURS, |node, _| node.ours().to_send = sealed);
        let heard = |world: &World<Side>| world.node(THEIRS).as_theirs().heard.len() >= spoken.len() - 1;
        assert!(self.world.run_until(PATIENCE, heard), "not heard");
        let heard = &self.theirs().heard;
        assert_eq!(heard[..], spoken[..heard.len()]);
    }
}

fn outgoing() -> Outgoing {
    Outgoing {
        track: TrackKey(2),
        ssrc: OUR_SSRC,
        stream_id: "PA_x|TR_y".to_owned(),
        track_id: "TR_y".to_owned(),
        red: false,
        stereo: false,
    }
}
