//! DTLS-SRTP with OpenSSL's client, which unlike a browser can be told which protection profiles to offer and shows the
//! keying material that it ends up with.
//!
//! OpenSSL speaks no ICE, so that part is played by a second transport of ours, in memory; its own DTLS is not listened
//! to. Needs the program `openssl`.

#![expect(clippy::disallowed_methods, reason = "the other end is a program that lives in real time")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use banter_sfu::rtp::ExtSeq;
use banter_sfu::rtp::srtp::{DtlsRole, SrtpKeys, SrtpProfile};
use banter_sfu::transport::{
    DatagramKind, FailCause, IceCredentials, IceRole, Identity, LocalAddresses, Output, Path,
    RemoteParameters, Transport, TransportEvent,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// Where the two transports believe that they are.
const SERVER: &str = "10.0.0.1:50000";
const CLIENT: &str = "10.0.0.2:40000";

#[test]
fn every_profile_that_a_client_may_insist_on_is_taken() {
    for (offered, agreed) in [
        ("SRTP_AEAD_AES_256_GCM", SrtpProfile::AeadAes256Gcm),
        ("SRTP_AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
        ("SRTP_AES128_CM_SHA1_80", SrtpProfile::Aes128CmHmacSha1_80),
    ] {
        let client = Client::new();
        let mut call = Call::new(&client);
        call.begin(&client, &["-use_srtp", offered], agreed.keying_material_len());
        let theirs =
            SrtpKeys::from_dtls(agreed, &call.clients_material(), DtlsRole::Client).expect("whole keys");
        let ours = call.keys.as_ref().expect("the server is connected when the client is");
        assert_eq!(ours.profile(), agreed);
        assert_one_opens_what_the_other_seals(ours, &theirs);
    }
}

#[test]
fn the_strongest_of_what_a_client_offers_is_taken() {
    let client = Client::new();
    let mut call = Call::new(&client);
    let offered = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM";
    call.begin(&client, &["-use_srtp", offered], 88);
    call.run_until(|call| call.keys.is_some());
    assert_eq!(call.keys.as_ref().map(SrtpKeys::profile), Some(SrtpProfile::AeadAes256Gcm));
}

#[test]
fn a_client_without_srtp_is_refused() {
    let client = Client::new();
    let mut call = Call::new(&client);
    call.begin(&client, &[], 60);
    call.run_until(|call| call.failure.is_some());
    assert_eq!(call.failure, Some(FailCause::Dtls));
    assert!(call.keys.is_none());
}

#[test]
fn a_client_with_another_certificate_than_signalled_is_refused() {
    let (client, impostor) = (Client::new(), Client::new());
    let mut call = Call::new(&client);
    call.begin(&impostor, &["-use_srtp", "SRTP_AEAD_AES_256_GCM"], 88);
    call.run_until(|call| call.failure.is_some());
    assert_eq!(call.failure, Some(FailCause::FingerprintMismatch));
    assert!(call.keys.is_none());
}

fn assert_one_opens_what_the_other_seals(ours: &SrtpKeys, theirs: &SrtpKeys) {
    for (from, to) in [(ours, theirs), (theirs, ours)] {
        let packet = b"\x80\x6f\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07hello";
        let mut buffer = [0; 64];
        buffer[..packet.len()].copy_from_slice(packet);
        let len = from.outbound().seal_rtp(&mut buffer, packet.len(), ExtSeq(1)).expect("room");
        let opened = to.inbound().open_rtp(&mut buffer[..len]).expect("the same keys");
        assert_eq!(&buffer[..opened.len], packet);
    }
}

/// A certificate and its key, in files.
struct Client {
    files: TempDir,
}

impl Client {
    fn new() -> Self {
        let files = tempfile::tempdir().expect("a folder for the certificate");
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-subj", "/CN=client", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(files.path())
            .output()
            .expect("the program openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { files }
    }

    /// SHA-384 of the certificate, for a change.
    fn fingerprint(&self) -> (String, Vec<u8>) {
        let printed = Command::new("openssl")
            .args(["x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha384"])
            .current_dir(self.files.path())
            .output()
            .expect("the program openssl is installed");
        let printed = String::from_utf8(printed.stdout).expect("text");
        let (_, digest) = printed.trim().split_once('=').expect("a fingerprint");
        ("sha-384".to_owned(), hex(&digest.replace(':', "")))
    }
}

/// A transport of ours, reached by OpenSSL over a socket.
struct Call {
    server: Transport,
    ice: Transport,
    socket: UdpSocket,
    /// Where OpenSSL sends from.
    client: Option<SocketAddr>,
    process: Option<Process>,
    keys: Option<SrtpKeys>,
    failure: Option<FailCause>,
}

/// The client program, ended with the test.
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Call {
    fn new(client: &Client) -> Self {
        let now = Instant::now();
        let identity = Identity::generate().expect("an identity");
        let mut rng = StdRng::seed_from_u64(1);
        let mut transport = |role, at| {
            Transport::new(
                &identity,
                role,
                IceCredentials::random(&mut rng),
                LocalAddresses::udp([address(at)]),
                now,
            )
        };
        let mut server = transport(IceRole::Controlled, SERVER);
        let mut ice = transport(IceRole::Controlling, CLIENT);
        let describe = |of: &Transport, fingerprints, role| {
            let IceCredentials { ufrag, pwd } = of.local_credentials().clone();
            RemoteParameters { ufrag, pwd, fingerprints, role }
        };
        server.set_remote(describe(&ice, vec![client.fingerprint()], DtlsRole::Server), now);
        ice.set_remote(describe(&server, Vec::new(), DtlsRole::Client), now);
        ice.add_remote_candidate("candidate:1 1 udp 2130706431 10.0.0.1 50000 typ host");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a loopback socket");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket option");
        Self { server, ice, socket, client: None, process: None, keys: None, failure: None }
    }

    /// Finds a path and starts the client on it.
    fn begin(&mut self, client: &Client, srtp: &[&str], material_len: usize) {
        self.run_until(|call| call.server.path().is_some());
        let address = self.socket.local_addr().expect("bound");
        self.process = Some(start(client.files.path(), address, srtp, material_len));
    }

    /// What the client says that it exported.
    fn clients_material(&mut self) -> Vec<u8> {
        let mut material = None;
        self.run_until(|call| {
            let process = call.process.as_ref().expect("begun");
            let exported = |line: String| line.trim().strip_prefix("Keying material: ").map(hex);
            material = material.take().or_else(|| process.lines.try_iter().find_map(exported));
            material.is_some() && call.keys.is_some()
        });
        material.expect("waited for")
    }

    fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "nothing came of it: {:?}", self.failure);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = Instant::now();
        let mut datagram = [0; 2048];
        // Times out when the client has nothing to say.
        if let Ok((len, from)) = self.socket.recv_from(&mut datagram) {
            self.client = Some(from);
            let path = Path::udp(address(SERVER), address(CLIENT));
            self.server.handle_datagram(DatagramKind::Dtls, path, &datagram[..len], now);
        }
        self.server.handle_timeout(now);
        self.ice.handle_timeout(now);
        let mut checks = VecDeque::new();
        loop {
            self.poll_server(now, &mut checks);
            poll_ice(&mut self.ice, now, &mut checks);
            let Some((path, bytes)) = checks.pop_front() else { return };
            let to = if path.local == address(SERVER) { &mut self.server } else { &mut self.ice };
            to.handle_datagram(DatagramKind::Stun, path, &bytes, now);
        }
    }

    fn poll_server(&mut self, now: Instant, checks: &mut VecDeque<(Path, Vec<u8>)>) {
        loop {
            match self.server.poll_output(now) {
                Output::Transmit(transmit) if transmit.bytes[0] < 4 => {
                    checks.push_back((Path::udp(transmit.path.remote, transmit.path.local), transmit.bytes));
                }
                Output::Transmit(transmit) => {
                    let client = self.client.expect("only who speaks is answered");
                    self.socket.send_to(&transmit.bytes, client).expect("loopback takes it");
                }
                Output::Event(TransportEvent::Connected(keys)) => self.keys = Some(keys),
                Output::Event(TransportEvent::Failed(cause)) => self.failure = Some(cause),
                Output::Event(_) => {}
                Output::Timeout(_) => return,
            }
        }
    }
}

fn poll_ice(ice: &mut Transport, now: Instant, checks: &mut VecDeque<(Path, Vec<u8>)>) {
    loop {
        match ice.poll_output(now) {
            Output::Transmit(transmit) if transmit.bytes[0] < 4 => {
                checks.push_back((Path::udp(transmit.path.remote, transmit.path.local), transmit.bytes));
            }
            Output::Transmit(_) | Output::Event(_) => {}
            Output::Timeout(_) => return,
        }
    }
}

fn start(files: &FilePath, server: SocketAddr, srtp: &[&str], material_len: usize) -> Process {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-dtls1_2",
            "-connect",
            &server.to_string(),
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
        ])
        .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", &material_len.to_string()])
        .args(srtp)
        .current_dir(files)
        // Kept open: at its end the client would leave.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program openssl is installed");
    let stdout = child.stdout.take().expect("piped");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Process { child, lines }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}
