//! CPU per forwarded packet through a worker and its real socket, beside `sendmmsg` of the same packets by itself.
//!
//! Thread CPU time as the kernel counts it: on loopback it includes the work of delivering to the receivers, on both
//! sides alike. Numbers are comparable within one run only.
#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::Result;
use banter_bench_micro::burst::{Burst, own_cpu_time};
use banter_bench_micro::stage::{LOCALHOST, Layout, PAYLOAD_LEN, Stage};

/// Copies made per measurement.
const COPIES: u64 = 200_000;
/// What the design allows.
const BUDGET: f64 = 1.2;

fn main() -> Result<()> {
    println!("{:>9} {:>8} {:>10} {:>12} {:>6}", "listeners", "at once", "worker µs", "sendmmsg µs", "ratio");
    for (listeners, at_once) in [(10, 1), (10, 4), (50, 1), (50, 4), (100, 1)] {
        let mut stage = Stage::set(Layout::PortsOfTheirOwn, 1, listeners, at_once)?;
        // In turn and more than once, so that what else the machine does falls on both.
        let (mut worker, mut bare) = (Duration::ZERO, Duration::ZERO);
        let turns = 4;
        for _ in 0..turns {
            worker += stage.through_workers(COPIES / turns)?;
            bare += by_bare_sendmmsg(&mut stage, at_once, COPIES / turns)?;
        }
        let per_packet = |time: Duration| time.as_secs_f64() * 1e6 / COPIES as f64;
        let ratio = worker.as_secs_f64() / bare.as_secs_f64();
        let verdict = if ratio > BUDGET { "over budget" } else { "within budget" };
        println!(
            "{listeners:>9} {at_once:>8} {:>10.2} {:>12.2} {ratio:>6.2}  {verdict}",
            per_packet(worker),
            per_packet(bare)
        );
        stage.strike();
    }
    Ok(())
}

/// What this thread spends on the same packets to the same sockets with nothing but the system call.
fn by_bare_sendmmsg(stage: &mut Stage, at_once: u64, copies: u64) -> Result<Duration> {
    let socket = UdpSocket::bind((LOCALHOST, 0))?;
    let listeners: Vec<_> = (0..at_once).flat_map(|_| stage.listeners()).collect();
    let packet = vec![0x5A; 12 + PAYLOAD_LEN + 16];
    let mut burst = Burst::new(&listeners, &packet);
    let mut spent = Duration::ZERO;
    for _ in 0..copies / listeners.len() as u64 {
        let begun = own_cpu_time();
        burst.send(&socket)?;
        spent += own_cpu_time() - begun;
        stage.drain();
    }
    Ok(spent)
}
