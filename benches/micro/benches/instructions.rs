//! Instructions and allocations per step of the media path, counted by valgrind: the same on a busy machine as on a quiet one.
//!
//! Run without arguments it runs itself once per case under `valgrind --tool=callgrind`, which counts while a function
//! called `measured_*` runs, and notes the calls of `malloc` and its kin, those of C included. Valgrind's processor has
//! AES-NI and AVX2 but not AVX-512, so AES-GCM takes fewer instructions in reality.
//!
//! With the argument `guard` it looks at one case only and fails if that is over the budget: `make guard`.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::disallowed_methods, reason = "real sockets are driven by the real clock")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banter_bench_micro::{Hall, opus_packet};
use banter_sfu::net::MediaSocket;
use banter_sfu::rtp::ExtSeq;
use banter_sfu::rtp::srtp::{DtlsRole, Inbound, Outbound, SrtpKeys, SrtpProfile};
use banter_sfu::{Outbox, datagram_kind};

const PAYLOAD_LEN: usize = 100;
const ROUNDS: usize = 200;
/// What the design allows per forwarded packet, and where it is to be kept.
const BUDGET: u64 = 1_800;
const GUARDED: &str = "forward to 100";

struct Case {
    name: &'static str,
    /// Packets that one round yields.
    packets: u64,
    /// The budget of the design applies.
    budgeted: bool,
    run: fn(rounds: usize) -> Result<()>,
}

const CASES: [Case; 14] = [
    Case::step("demux", demux),
    Case::step("seal aead-aes-256-gcm", |rounds| seal(SrtpProfile::AeadAes256Gcm, rounds)),
    Case::step("seal aead-aes-128-gcm", |rounds| seal(SrtpProfile::AeadAes128Gcm, rounds)),
    Case::step("seal aes-128-cm-sha1-80", |rounds| seal(SrtpProfile::Aes128CmHmacSha1_80, rounds)),
    Case::step("open aead-aes-256-gcm", |rounds| open(SrtpProfile::AeadAes256Gcm, rounds)),
    Case::step("open aead-aes-128-gcm", |rounds| open(SrtpProfile::AeadAes128Gcm, rounds)),
    Case::step("open aes-128-cm-sha1-80", |rounds| open(SrtpProfile::Aes128CmHmacSha1_80, rounds)),
    Case::forwarding("forward to 1", 1, |rounds| forward(1, rounds)),
    Case::forwarding("forward to 10", 10, |rounds| forward(10, rounds)),
    Case::forwarding("forward to 100", 100, |rounds| forward(100, rounds)),
    Case::step("hold back from 100", |rounds| hold_back(100, rounds)),
    Case::sending("send 10", 10, |rounds| send(10, 1, rounds)),
    Case::sending("send 100", 100, |rounds| send(100, 1, rounds)),
    Case::sending("send 4 to each of 100", 400, |rounds| send(100, 4, rounds)),
];

impl Case {
    const fn step(name: &'static str, run: fn(usize) -> Result<()>) -> Self {
        Self { name, packets: 1, budgeted: false, run }
    }

    const fn sending(name: &'static str, packets: u64, run: fn(usize) -> Result<()>) -> Self {
        Self { name, packets, budgeted: false, run }
    }

    const fn forwarding(name: &'static str, packets: u64, run: fn(usize) -> Result<()>) -> Self {
        Self { name, packets, budgeted: true, run }
    }
}

fn main() -> Result<()> {
    if let Ok(name) = std::env::var("BANTER_BENCH_CASE") {
        let case = CASES.iter().find(|case| case.name == name).context("an unknown case")?;
        return (case.run)(ROUNDS);
    }
    if std::env::args().any(|argument| argument == "guard") {
        return guard();
    }
    println!("{:<24} {:>14} {:>14}", "per packet", "instructions", "allocations");
    for case in &CASES {
        let counted = count(case)?;
        let verdict = match case.budgeted {
            true if counted.keeps_budget() => "within budget",
            true => "over budget",
            false => "",
        };
        let (instructions, allocations) = counted.per_packet();
        println!("{:<24} {instructions:>14} {allocations:>14.2}  {verdict}", case.name);
    }
    Ok(())
}

/// Ends with a line like that of `cargo test`, which scripts/run-tests.sh counts.
fn guard() -> Result<()> {
    let case = CASES.iter().find(|case| case.name == GUARDED).context("the case to guard is gone")?;
    let counted = count(case)?;
    let (instructions, allocations) = counted.per_packet();
    let (verdict, passed, failed) = if counted.keeps_budget() { ("ok", 1, 0) } else { ("FAILED", 0, 1) };
    println!("{GUARDED}: {instructions} instructions, {allocations:.2} allocations a packet");
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    ensure!(
        counted.keeps_budget(),
        "a forwarded packet may cost {BUDGET} instructions and no allocation; see what costs the rest with `make bench`, \
         and in which function with callgrind_annotate"
    );
    Ok(())
}

/// What happened in all the measured rounds of a case.
struct Counted {
    packets: u64,
    instructions: u64,
    allocations: u64,
}

impl Counted {
    fn keeps_budget(&self) -> bool {
        self.per_packet().0 <= BUDGET && self.allocations == 0
    }

    /// Instructions and allocations.
    fn per_packet(&self) -> (u64, f64) {
        (self.instructions / self.packets, self.allocations as f64 / self.packets as f64)
    }
}

fn count(case: &Case) -> Result<Counted> {
    let profile = std::env::temp_dir().join(format!("banter-bench-{}.callgrind", std::process::id()));
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*measured_*",
            "--compress-strings=no",
        ])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .env("BANTER_BENCH_CASE", case.name)
        .output()
        .context("running valgrind, which scripts/setup.sh test installs")?;
    let report = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} under valgrind: {report}", case.name);
    let (_, collected) = report.split_once("Collected : ").context("valgrind says what it collected")?;
    let digits = collected.split_whitespace().next().unwrap_or_default();
    let calls = std::fs::read_to_string(&profile)?;
    std::fs::remove_file(&profile)?;
    let packets = ROUNDS as u64 * case.packets;
    Ok(Counted { packets, instructions: digits.parse()?, allocations: allocations(&calls) })
}

/// Sums the calls of allocating functions in a profile, where `calls=N …` follows the name of what is called.
fn allocations(profile: &str) -> u64 {
    const ALLOCATING: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];
    let mut callee = "";
    let mut sum = 0;
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            callee = name;
        } else if let Some(calls) = line.strip_prefix("calls=")
            && ALLOCATING.contains(&callee)
        {
            sum += calls.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

fn demux(rounds: usize) -> Result<()> {
    let packet = opus_packet(&keys(SrtpProfile::AeadAes256Gcm)?.outbound(), ExtSeq(1), PAYLOAD_LEN);
    for _ in 0..rounds {
        ensure!(measured_demux(&packet));
    }
    Ok(())
}

#[inline(never)]
fn measured_demux(packet: &[u8]) -> bool {
    datagram_kind(std::hint::black_box(packet)).is_some()
}

fn seal(profile: SrtpProfile, rounds: usize) -> Result<()> {
    let outbound = keys(profile)?.outbound();
    let mut buffer = opus_packet(&outbound, ExtSeq(1), PAYLOAD_LEN);
    let len = buffer.len() - outbound.rtp_overhead();
    for _ in 0..rounds {
        ensure!(measured_seal(&outbound, &mut buffer, len) > len);
    }
    Ok(())
}

#[inline(never)]
fn measured_seal(outbound: &Outbound, buffer: &mut [u8], len: usize) -> usize {
    outbound.seal_rtp(buffer, len, ExtSeq(1)).unwrap_or(0)
}

fn open(profile: SrtpProfile, rounds: usize) -> Result<()> {
    let keys = keys(profile)?;
    let (outbound, mut inbound) = (keys.outbound(), keys.inbound());
    let mut packets: Vec<_> =
        (0..rounds as u64).map(|n| opus_packet(&outbound, ExtSeq(n), PAYLOAD_LEN)).collect();
    for packet in &mut packets {
        ensure!(measured_open(&mut inbound, packet));
    }
    Ok(())
}

#[inline(never)]
fn measured_open(inbound: &mut Inbound, packet: &mut [u8]) -> bool {
    inbound.open_rtp(packet).is_ok()
}

fn forward(listeners: usize, rounds: usize) -> Result<()> {
    let mut hall = Hall::with_listeners(listeners)?;
    let mut packets: Vec<_> = (0..rounds).map(|_| hall.packet(PAYLOAD_LEN)).collect();
    for packet in &mut packets {
        ensure!(measured_forward(&mut hall, packet) == listeners);
    }
    Ok(())
}

/// What an open microphone costs in a large room.
fn hold_back(listeners: usize, rounds: usize) -> Result<()> {
    let mut hall = Hall::with_listeners(listeners)?;
    hall.wait(Duration::from_secs(5));
    let mut packets: Vec<_> = (0..rounds).map(|_| hall.silent_packet(PAYLOAD_LEN)).collect();
    for packet in &mut packets {
        ensure!(measured_forward(&mut hall, packet) == 0);
    }
    Ok(())
}

#[inline(never)]
fn measured_forward(hall: &mut Hall, packet: &mut [u8]) -> usize {
    hall.forward(packet)
}

/// The driver's part of user space: what leads up to `sendmmsg`.
fn send(receivers: usize, at_once: usize, rounds: usize) -> Result<()> {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut socket = MediaSocket::bind(localhost, 0..=0)?;
    let receivers: Vec<_> =
        (0..receivers).map(|_| UdpSocket::bind((localhost, 0))).collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> = receivers.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
    let mut outbox = Outbox::default();
    for address in std::iter::repeat_n(addresses, at_once).flatten() {
        outbox.push(address, Some(localhost), &[0x5A; 12 + PAYLOAD_LEN + 16]);
    }
    let now = Instant::now();
    socket.send(&outbox, now);
    for _ in 0..rounds {
        measured_send(&mut socket, &outbox, now);
    }
    ensure!(socket.counters().failed + socket.counters().dropped == 0);
    Ok(())
}

#[inline(never)]
fn measured_send(socket: &mut MediaSocket, outbox: &Outbox, now: Instant) {
    socket.send(outbox, now);
}

/// Both directions alike, so that one end can open what it sealed.
fn keys(profile: SrtpProfile) -> Result<SrtpKeys> {
    let (key_len, salt_len) = match profile {
        SrtpProfile::AeadAes256Gcm => (32, 12),
        SrtpProfile::AeadAes128Gcm => (16, 12),
        SrtpProfile::Aes128CmHmacSha1_80 => (16, 14),
    };
    let material = [vec![7; 2 * key_len], vec![9; 2 * salt_len]].concat();
    Ok(SrtpKeys::from_dtls(profile, &material, DtlsRole::Server)?)
}
