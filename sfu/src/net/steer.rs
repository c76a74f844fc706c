//! Keeps the kernel's choice of sockets up to date, where workers share a port: a thread of its own, because putting a program
//! into the kernel takes longer than a media thread may.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::debug;

use super::batch::{MediaSocket, Steering};

/// Changes within this time go into one program. Until then datagrams are handed over.
const GATHERING_TIME: Duration = Duration::from_millis(50);

/// Where a peer's datagrams are to arrive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Place { peer: SocketAddr, worker: usize },
    Forget { peer: SocketAddr, worker: usize },
}

/// Follows changes until nobody can send any more.
pub(super) fn start(socket: &MediaSocket) -> io::Result<(mpsc::Sender<Change>, JoinHandle<()>)> {
    let steering = socket.steering()?;
    let (sender, changes) = mpsc::channel();
    let thread =
        thread::Builder::new().name("media-steer".to_owned()).spawn(move || follow(&steering, &changes))?;
    Ok((sender, thread))
}

fn follow(steering: &Steering, changes: &Receiver<Change>) {
    let mut workers = BTreeMap::new();
    while let Ok(first) = changes.recv() {
        note(&mut workers, first);
        thread::sleep(GATHERING_TIME);
        for change in changes.try_iter() {
            note(&mut workers, change);
        }
        if let Err(error) = steering.set(&workers) {
            debug!(%error, "the kernel does not put datagrams on the right socket; they are handed over");
        }
    }
}

fn note(workers: &mut BTreeMap<SocketAddr, usize>, change: Change) {
    match change {
        Change::Place { peer, worker } => {
            workers.insert(peer, worker);
        }
        // Somebody else may be there by now.
        Change::Forget { peer, worker } if workers.get(&peer) == Some(&worker) => {
            workers.remove(&peer);
        }
        Change::Forget { .. } => {}
    }
}
