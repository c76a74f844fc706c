//! CPU per forwarded packet where workers share one port, beside workers with ports of their own.
//!
//! Thread CPU time as the kernel counts it, of all media threads: on loopback it includes the work of delivering to the
//! receivers, on all sides alike. Numbers are comparable within one run only.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(
    unsafe_code,
    reason = "the kernel is misled on purpose, by a socket option that the standard library lacks"
)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use banter_bench_micro::stage::{Layout, Stage};
use socket2::{Domain, Protocol, Socket, Type};

/// Copies made per measurement.
const COPIES: u64 = 200_000;
const WORKERS: usize = 2;
const TURNS: u64 = 8;

fn main() -> Result<()> {
    println!(
        "{:>9} {:>8} {:>8} {:>16} {:>16}",
        "listeners", "at once", "own µs", "one port µs", "handed over µs"
    );
    for (listeners, at_once) in [(10, 1), (10, 4), (50, 1), (50, 4)] {
        let stage = |layout| Stage::set(layout, WORKERS, listeners, at_once);
        let mut stages = [stage(Layout::PortsOfTheirOwn)?, stage(Layout::OnePort)?, stage(Layout::OnePort)?];
        // By then the kernel has been told where the peers belong; on the third, what comes last counts: everything arrives at
        // the worker that it is not for.
        thread::sleep(Duration::from_secs(1));
        let _misleader = mislead(stages[2].server())?;
        let began = stages.each_ref().map(Stage::handed_over);
        let mut spent = [Duration::ZERO; 3];
        // In turn and more than once, so that what else the machine does falls on all.
        for _ in 0..TURNS {
            for (stage, spent) in stages.iter_mut().zip(&mut spent) {
                *spent += stage.through_workers(COPIES / TURNS)?;
            }
        }
        let handed: Vec<u64> =
            stages.iter().zip(began).map(|(stage, began)| stage.handed_over() - began).collect();
        ensure!(
            handed[1] < COPIES / 1000 && handed[2] >= COPIES / listeners as u64,
            "handed over: {handed:?}"
        );
        let [own, one, misled] = spent.map(|time| time.as_secs_f64() * 1e6 / COPIES as f64);
        println!(
            "{listeners:>9} {at_once:>8} {own:>8.2} {one:>9.2} ({:>4.2}) {misled:>9.2} ({:>4.2})",
            one / own,
            misled / own
        );
        stages.into_iter().for_each(Stage::strike);
    }
    Ok(())
}

/// Has everything that comes to a port arrive on the second of its sockets, as if the kernel could not be told otherwise.
fn mislead(port: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(port), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.bind(&port.into())?;
    let mut program = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 1 }];
    let program = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    // SAFETY: the pointer and length are those of a program's header, which points to instructions that outlive the call;
    // the call copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    ensure!(result == 0, io::Error::last_os_error());
    Ok(socket)
}
