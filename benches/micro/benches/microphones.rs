//! What a room costs in which every microphone is open: with everybody forwarded, and with the loudest few.
//!
//! User space only, in virtual time: what the core does with a second of such a conversation, against the thread's CPU time.
//! Each copy costs a send besides (`--bench sockets`).
#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::time::Duration;

use anyhow::{Result, ensure};
use banter_bench_micro::Assembly;
use banter_bench_micro::burst::own_cpu_time;
use banter_sfu::LoudestSpeakers;

/// Packets of each microphone that are measured; without the rule a second of them is millions of copies.
const ROUNDS: u32 = 25;
/// People who talk at once; the others are heard to breathe.
const TALKING: usize = 4;

fn main() -> Result<()> {
    println!(
        "{:>7} {:>8} {:>14} {:>14} {:>16}",
        "people", "rule", "packets in/s", "copies out/s", "CPU-s/s of talk"
    );
    let loudest = LoudestSpeakers { places: 6, above: 30 };
    for people in [100, 300, 1000] {
        for (name, rule) in [("off", LoudestSpeakers::OFF), ("on", loudest)] {
            let mut assembly = Assembly::of(people, rule)?;
            // Those who talk have got their places.
            for _ in 0..ROUNDS {
                let mut packets = assembly.packets(TALKING);
                assembly.take(&mut packets);
            }
            let before = assembly.counters();
            let mut spent = Duration::ZERO;
            for _ in 0..ROUNDS {
                let mut packets = assembly.packets(TALKING);
                let begun = own_cpu_time();
                assembly.take(&mut packets);
                spent += own_cpu_time() - begun;
            }
            let after = assembly.counters();
            ensure!(after.forwarded > before.forwarded, "nobody hears anybody");
            let per_second = |count: u64| count * 50 / u64::from(ROUNDS);
            println!(
                "{people:>7} {name:>8} {:>14} {:>14} {:>16.3}",
                per_second(after.received - before.received),
                per_second(after.forwarded - before.forwarded),
                spent.as_secs_f64() * 50.0 / f64::from(ROUNDS)
            );
        }
    }
    Ok(())
}
