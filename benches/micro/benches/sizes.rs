//! What datagrams of differing sizes cost: the kernel cuts a message into pieces of one size, of which only the last may be
//! shorter. CPU of the sending thread per datagram, delivery to the receivers included, for some speakers' packets to each of
//! many listeners; numbers are comparable within one run only.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::disallowed_methods, reason = "real sockets are driven by the real clock")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banter_bench_micro::burst::own_cpu_time;
use banter_bench_micro::stage::LOCALHOST;
use banter_sfu::Outbox;
use banter_sfu::net::MediaSocket;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const LISTENERS: usize = 50;
const ROUNDS: usize = 1_000;
/// Of one packet besides Opus: headers and tag.
const OVERHEAD: usize = 28;
/// Sizes of speech at 32 kbit/s and variable rate.
const OPUS: std::ops::Range<usize> = 50..120;

/// What is done about the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// All are equal: the best that there could be.
    Equal,
    Nothing,
    LongestFirst,
    /// Padded to a multiple of so many bytes, and longest first.
    Padded(usize),
}

const REMEDIES: [Remedy; 5] =
    [Remedy::Equal, Remedy::Nothing, Remedy::LongestFirst, Remedy::Padded(16), Remedy::Padded(32)];

fn main() -> Result<()> {
    println!("{:>8} {:<14} {:>8} {:>12} {:>12}", "speakers", "remedy", "µs", "cut by it", "bytes");
    for speakers in [2, 4, 8] {
        let mut spent = [Duration::ZERO; REMEDIES.len()];
        let mut counters = [(0, 0, 0); REMEDIES.len()];
        // In turn and more than once, so that what else the machine does falls on all.
        for turn in 0..4 {
            for (at, &remedy) in REMEDIES.iter().enumerate() {
                let (time, sent, cut, bytes) = measure(speakers, remedy, turn)?;
                spent[at] += time;
                counters[at] = (counters[at].0 + sent, counters[at].1 + cut, counters[at].2 + bytes);
            }
        }
        for ((remedy, time), (sent, cut, bytes)) in REMEDIES.iter().zip(spent).zip(counters) {
            let (micros, cut) = (time.as_secs_f64() * 1e6 / sent as f64, 100 * cut / sent);
            let name = format!("{remedy:?}");
            println!("{speakers:>8} {name:<14} {micros:>8.2} {cut:>10} % {:>12}", bytes / sent);
        }
    }
    Ok(())
}

fn measure(speakers: usize, remedy: Remedy, seed: u64) -> Result<(Duration, u64, u64, u64)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut socket = MediaSocket::bind(LOCALHOST, 0..=0)?;
    let listeners: Vec<_> =
        (0..LISTENERS).map(|_| UdpSocket::bind((LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> = listeners.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
    let mut spent = Duration::ZERO;
    let mut outbox = Outbox::default();
    let mut buffer = [0; 2048];
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    for _ in 0..ROUNDS / 4 {
        outbox.clear();
        let mut sizes: Vec<usize> = (0..speakers).map(|_| size(remedy, &mut rng)).collect();
        if matches!(remedy, Remedy::LongestFirst | Remedy::Padded(_)) {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
        }
        for size in sizes {
            for &address in &addresses {
                outbox.push(address, Some(LOCALHOST), &[0x5A; 256][..size]);
            }
        }
        let begun = own_cpu_time();
        socket.send(&outbox, Instant::now());
        spent += own_cpu_time() - begun;
        for listener in &listeners {
            while listener.recv(&mut buffer).is_ok() {}
        }
    }
    let counters = socket.counters();
    ensure!(counters.failed + counters.dropped == 0);
    Ok((spent, counters.sent, counters.segmented, counters.sent_bytes))
}

fn size(remedy: Remedy, rng: &mut StdRng) -> usize {
    let opus = rng.random_range(OPUS);
    OVERHEAD
        + match remedy {
            Remedy::Equal => OPUS.start.midpoint(OPUS.end),
            Remedy::Nothing | Remedy::LongestFirst => opus,
            Remedy::Padded(multiple) => opus.next_multiple_of(multiple),
        }
}
