//! Everything on one port, told apart by what connections and datagrams begin with.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use banter_sfu::turn::stun::{Class, Message, Method, TransactionId, Writer};
use livekit_protocol::signal_response;
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::places::{Call, token};
use crate::program;
use crate::server::{PATIENCE, Server, text};
use crate::tls::client::{believing_anything, person, shake};

/// As TURN clients, and some SDKs, ask where they are (RFC 8489 §2).
const PROTOCOLS: [&[u8]; 2] = [b"stun.turn", b"http/1.1"];

#[tokio::test]
async fn http_https_and_turn_by_all_transports_have_one_port() {
    let server = Server::on_one_port(&["--dev", "--rtc-workers", "3"]).await;
    let ports = server.ports();
    for name in ["http", "rtc_tcp", "turn", "turn_tls"] {
        assert_eq!(ports[name], server.port, "{name}: {ports}");
    }
    assert_eq!(ports["rtc_udp"], json!([server.port]));
    let box_line = format!("{0}/tcp {0}/udp web app", server.port);
    assert!(server.printed("└").await.contains(&box_line), "{}", server.output());

    for _ in 0..2 {
        server.stranger().get("/readyz").await.ok(200);
        person(&server, believing_anything(), None).get("/readyz").await.ok(200);
        is_turn(&mut connect(&server).await).await;
        is_turn(&mut shake(server.port, "localhost", believing_anything()).await.expect("TLS")).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(("127.0.0.1", server.port)).await.expect("an address");
        socket.send(&binding()).await.expect("it is sent");
        let mut answer = [0; 1500];
        let len = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("in time").expect("an answer");
        assert_eq!(Message::parse(&answer[..len]).expect("STUN").class(), Class::Success);
    }
}

#[tokio::test]
async fn the_protocol_inside_of_tls_may_be_named() {
    let server = Server::on_one_port(&["--dev"]).await;
    for protocol in PROTOCOLS {
        let mut config = believing_anything();
        config.alpn_protocols = vec![protocol.to_vec()];
        let mut stream = shake(server.port, "localhost", config).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        if protocol == b"stun.turn" {
            is_turn(&mut stream).await;
        } else {
            is_http(&mut stream).await;
        }
    }
    // Who names none may speak either.
    is_http(&mut shake(server.port, "localhost", believing_anything()).await.expect("TLS")).await;
}

#[tokio::test]
async fn a_stream_for_a_session_finds_it_and_any_other_is_closed() {
    let server = Server::on_one_port(&["--dev", "--rtc-workers", "3"]).await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let mut call = Call::join(&token(&ada, &id).await).await.expect("a place");
    let relays = |message| match message {
        signal_response::Message::Join(join) => Some(join.ice_servers),
        _ => None,
    };
    let relays = call.until(relays).await.expect("a join response");
    // None by UDP: clients would take media that comes from there for TURN's.
    assert_eq!(relays[0].urls, [format!("turn:127.0.0.1:{}?transport=tcp", server.port)]);
    let offer = |message| match message {
        signal_response::Message::Offer(offer) => Some(offer.sdp),
        _ => None,
    };
    let sdp = call.until(offer).await.expect("an offer");
    let value = |name: &str| {
        let line = sdp.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {sdp}")).to_owned()
    };
    let candidates: Vec<&str> = sdp.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    let port = format!(" {} typ host", server.port);
    assert!(candidates.iter().all(|line| line.contains(&port)), "{candidates:?}");
    assert!(candidates.iter().any(|line| line.contains("tcptype passive")), "{candidates:?}");

    let check = check(&value("a=ice-ufrag:"), &value("a=ice-pwd:"));
    let mut stream = connect(&server).await;
    // It is not answered before the client has given its own name by signalling, but it is taken.
    stream.write_all(&framed(&check)).await.expect("open");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = ada.get("/api/media").await.ok(200);
        let streams = &status["streams"];
        if (&streams["accepted"], &streams["received"]) == (&json!(1), &json!(1)) {
            break;
        }
        assert!(Instant::now() < deadline, "no worker has the stream: {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let mut strange = connect(&server).await;
    strange.write_all(&framed(&self::check("?nobody", "none"))).await.expect("open");
    is_closed(&mut strange).await;
}

#[tokio::test]
async fn junk_is_closed_slowness_ends_and_nobody_else_notices() {
    let server = Server::on_one_port(&["--dev"]).await;
    let mut slow = connect(&server).await;
    slow.write_all(&[0]).await.expect("open");
    for junk in [&[0; 10][..], &[7; 300], b"\x00\x01\x00\x00\x21\x12\xA4\x43\x00\x00"] {
        let mut stream = connect(&server).await;
        stream.write_all(junk).await.expect("open");
        is_closed(&mut stream).await;
    }
    let mut inside = shake(server.port, "localhost", believing_anything()).await.expect("TLS");
    inside.write_all(&framed(&binding())).await.expect("open");
    is_closed(&mut inside).await;
    server.stranger().get("/readyz").await.ok(200);
    is_closed(&mut slow).await;
}

#[test]
fn a_single_port_and_ports_of_their_own_are_refused_together() {
    for other in ["--port", "--rtc-port-range", "--rtc-tcp-port", "--turn-port", "--turn-tls-port"] {
        let said = program::run(&["serve", "--data-dir", "/nowhere", "--single-port", "443", other, "444"])
            .failed(2);
        assert!(said.contains("--single-port") && said.contains(other), "{said}");
    }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port)).await.expect("the port is open")
}

fn binding() -> Vec<u8> {
    let mut request = Vec::new();
    Writer::new(&mut request, Class::Request, Method::Binding, TransactionId([9; 12])).fingerprint();
    request
}

/// Asks in pieces: what comes late belongs to the first message too.
async fn is_turn(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let request = binding();
    for piece in request.chunks(7) {
        stream.write_all(piece).await.expect("open");
        stream.flush().await.expect("open");
    }
    let mut answer = vec![0; 20];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    let rest = usize::from(u16::from_be_bytes([answer[2], answer[3]]));
    answer.resize(20 + rest, 0);
    stream.read_exact(&mut answer[20..]).await.expect("a whole message");
    assert_eq!(Message::parse(&answer).expect("STUN").class(), Class::Success);
}

async fn is_http(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .expect("open");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer.starts_with(&format!("HTTP/1.1 {}", StatusCode::OK.as_u16())), "{answer}");
}

async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    // Both ways of closing will do.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed in time");
    assert!(rest.is_empty(), "nothing is said, and not {rest:?}");
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// A check of ICE (RFC 8445 §7.1.1): USERNAME, PRIORITY, ICE-CONTROLLED, MESSAGE-INTEGRITY.
fn check(ufrag: &str, pwd: &str) -> Vec<u8> {
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let body = [
        attribute(0x0006, format!("{ufrag}:mine").as_bytes()),
        attribute(0x0024, &[0x6E, 0, 0, 1]),
        attribute(0x8029, &[3; 8]),
    ]
    .concat();
    let len = (body.len() + 24) as u16;
    let header = [&[0, 1][..], &len.to_be_bytes(), &[0x21, 0x12, 0xA4, 0x42], &[5; 12]].concat();
    let message = [header, body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pwd.as_bytes());
    let integrity = attribute(0x0008, hmac::sign(&key, &message).as_ref());
    [message, integrity].concat()
}
