//! Whose is what arrives here? Where workers share a port, the system spreads datagrams over their sockets by the two ends of
//! the path, so most of them arrive at a worker that they are not for.
//!
//! A STUN request names its worker. For all else each worker knows which addresses are the others': its neighbours announce
//! what ICE has found out, before they answer the peer. What is for a neighbour goes to it in batches.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use super::handle::{Command, WorkerLink};
use super::steer::Change;
use crate::connection::{Claim, Remote};
use crate::outbox::Frames;
use crate::transport::{IceCredentials, Path, Protocol, stun_local_ufrag};
use crate::{Mirrored, Sfu, demux};

/// Empty messages that are kept for reuse: as many as may be under way.
const MAX_SPARE: usize = 64;

/// All workers, as each of them sees the others.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub(super) links: Arc<[WorkerLink]>,
    /// The UDP port of each.
    pub(super) ports: Arc<[u16]>,
    /// All have one port.
    pub(super) share_port: bool,
    /// Who keeps the kernel informed, if it can be.
    pub(super) steering: Option<mpsc::Sender<Change>>,
}

/// What a worker has found out, as its neighbours are told.
#[derive(Debug)]
pub struct Announcement {
    worker: usize,
    remote: Remote,
    claim: Claim,
}

/// What has arrived on one worker and is for others.
#[derive(Debug)]
pub(super) struct Handover {
    number: usize,
    neighbours: Neighbours,
    /// Addresses of other workers' peers.
    owner_by_remote: HashMap<Remote, usize>,
    /// For the core of each.
    arrivals: Vec<Frames>,
    /// Memory for what is told of rooms on several workers.
    spare: Vec<Mirrored>,
}

impl Handover {
    pub(super) fn new(number: usize, neighbours: Neighbours) -> Self {
        let arrivals = neighbours.links.iter().map(|_| Frames::default()).collect();
        Self { number, neighbours, owner_by_remote: HashMap::new(), arrivals, spare: Vec::new() }
    }

    /// The other worker that a datagram is for; `None` if that is this one, or nobody's.
    #[inline]
    pub(super) fn neighbour(&self, path: Path, datagram: &[u8]) -> Option<usize> {
        let owner = match (self.neighbours.share_port, path.protocol) {
            (true, Protocol::Udp | Protocol::Relayed(_)) => self.owner(path, datagram),
            (false, Protocol::Relayed(_)) => {
                self.neighbours.ports.iter().position(|&port| port == path.local.port())
            }
            (false, Protocol::Udp) | (_, Protocol::Tcp) => None,
        };
        owner.filter(|&owner| owner != self.number)
    }

    fn owner(&self, path: Path, datagram: &[u8]) -> Option<usize> {
        let named = || match demux::kind(datagram) {
            Some(demux::Kind::Stun) => {
                IceCredentials::worker_of(stun_local_ufrag(datagram)?).map(usize::from)
            }
            _ => None,
        };
        let is_one = |owner: &usize| *owner < self.neighbours.links.len();
        named().filter(is_one).or_else(|| self.owner_by_remote.get(&path.into()).copied())
    }

    /// Keeps a datagram for the core of another worker.
    pub(super) fn push(&mut self, neighbour: usize, path: Path, datagram: &[u8]) {
        self.arrivals[neighbour].push(path, datagram);
    }

    /// Hands over what has gathered.
    pub(super) fn flush(&mut self) {
        for (link, arrivals) in self.neighbours.links.iter().zip(&mut self.arrivals) {
            if !arrivals.is_empty() {
                link.send(Command::Arrivals { datagrams: std::mem::take(arrivals) });
            }
        }
    }

    /// Tells the others what has happened here in rooms that they share: one message to each.
    pub(super) fn mirror(&mut self, own: &mut Sfu) {
        for (worker, told) in own.mirrored() {
            let told = std::mem::replace(told, self.spare.pop().unwrap_or_default());
            self.neighbours.links[worker].send(Command::Mirrored { from: self.number, told });
        }
    }

    /// Returns the memory of what another worker has told, so that it need not allocate anew.
    pub(super) fn give_back(&self, worker: usize, mut told: Mirrored) {
        told.clear();
        self.neighbours.links[worker].leave(Command::Spent { told });
    }

    pub(super) fn reuse(&mut self, told: Mirrored) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(told);
        }
    }

    /// Tells the others what this worker's core has found out about its peers.
    pub(super) fn announce(&mut self, claims: impl Iterator<Item = (Remote, Claim)>) {
        for (remote, claim) in claims {
            match claim {
                // It stays with whoever has it, until it is nominated here.
                Claim::Validated if self.owner_by_remote.contains_key(&remote) => continue,
                Claim::Validated | Claim::Released => {}
                Claim::Nominated => {
                    self.owner_by_remote.remove(&remote);
                }
            }
            let others = self.neighbours.links.iter().enumerate().filter(|(other, _)| *other != self.number);
            for (_, link) in others {
                link.send(Command::Claim(Announcement { worker: self.number, remote, claim }));
            }
            self.steer(remote, claim);
        }
    }

    /// Has the kernel put what comes from a peer on the right socket at once.
    fn steer(&self, remote: Remote, claim: Claim) {
        let (Some(steering), Protocol::Udp) = (&self.neighbours.steering, remote.protocol) else { return };
        let (peer, worker) = (remote.address, self.number);
        // Without the thread all goes on, by handing over.
        let _ = match claim {
            Claim::Validated => return,
            Claim::Nominated => steering.send(Change::Place { peer, worker }),
            Claim::Released => steering.send(Change::Forget { peer, worker }),
        };
    }

    /// Takes in what another worker has announced.
    pub(super) fn note(&mut self, announcement: Announcement, own: &Sfu) {
        let Announcement { worker, remote, claim } = announcement;
        match claim {
            Claim::Validated if own.has_peer_at(remote) => {}
            Claim::Validated => {
                self.owner_by_remote.entry(remote).or_insert(worker);
            }
            Claim::Nominated => {
                self.owner_by_remote.insert(remote, worker);
            }
            Claim::Released if self.owner_by_remote.get(&remote) == Some(&worker) => {
                self.owner_by_remote.remove(&remote);
            }
            Claim::Released => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the links are real ones, and so the clock")]

    use std::sync::mpsc::Receiver;
    use std::time::{Instant, SystemTime};

    use mio::{Poll, Token, Waker};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::net::gauges::Gauges;
    use crate::transport::Identity;
    use crate::turn::stun::{
        AttributeType, Class, IntegrityKind, Key, Method, PasswordAlgorithm, TransactionId, Writer,
    };
    use crate::{Config, LoudestSpeakers};

    const WORKERS: usize = 3;
    const PRIORITY: AttributeType = AttributeType(0x0024);

    /// Workers with nothing but what they know of each other.
    struct Neighbourhood {
        handovers: Vec<Handover>,
        inboxes: Vec<Receiver<Command>>,
        sfu: Sfu,
        _poll: Poll,
    }

    impl Neighbourhood {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
            let (links, inboxes): (Vec<_>, Vec<_>) = (0..WORKERS)
                .map(|_| {
                    let (commands, inbox) = mpsc::channel();
                    (
                        WorkerLink {
                            commands,
                            waker: waker.clone(),
                            gauges: Arc::new(Gauges::default()),
                            placed: Arc::default(),
                        },
                        inbox,
                    )
                })
                .unzip();
            let neighbours = Neighbours {
                links: links.into(),
                ports: [443; WORKERS].into(),
                share_port: true,
                steering: None,
            };
            let config = Config {
                worker: 0,
                addresses: Vec::new(),
                external: Vec::new(),
                port: 443,
                shares_port: true,
                tcp_ports: Vec::new(),
                loudest: LoudestSpeakers::OFF,
            };
            let identity = Identity::generate().unwrap();
            let rng = StdRng::seed_from_u64(1);
            Self {
                handovers: (0..WORKERS).map(|number| Handover::new(number, neighbours.clone())).collect(),
                inboxes,
                sfu: Sfu::new(config, identity, rng, Instant::now(), SystemTime::now()),
                _poll: poll,
            }
        }

        /// A worker's core has found something out, and its neighbours hear of it.
        fn claim(&mut self, worker: usize, remote: Remote, claim: Claim) {
            self.handovers[worker].announce([(remote, claim)].into_iter());
            for (inbox, handover) in self.inboxes.iter().zip(&mut self.handovers) {
                for command in inbox.try_iter() {
                    let Command::Claim(announcement) = command else { panic!("{command:?}") };
                    handover.note(announcement, &self.sfu);
                }
            }
        }

        /// Where each worker takes a media packet to: itself is `None`.
        fn takes(&self, remote: Remote) -> [Option<usize>; WORKERS] {
            let path =
                Path { protocol: remote.protocol, local: address("192.0.2.1:443"), remote: remote.address };
            [0, 1, 2].map(|worker| self.handovers[worker].neighbour(path, &[0x80, 111, 0, 0]))
        }
    }

    fn address(text: &str) -> std::net::SocketAddr {
        text.parse().unwrap()
    }

    fn peer() -> Remote {
        Remote { protocol: Protocol::Udp, address: address("198.51.100.7:40000") }
    }

    #[test]
    fn what_comes_from_a_peer_goes_to_its_worker() {
        let mut all = Neighbourhood::new();
        assert_eq!(all.takes(peer()), [None; 3]);
        all.claim(1, peer(), Claim::Validated);
        assert_eq!(all.takes(peer()), [Some(1), None, Some(1)]);
        all.claim(1, peer(), Claim::Released);
        assert_eq!(all.takes(peer()), [None; 3]);
        assert!(all.handovers.iter().all(|handover| handover.owner_by_remote.is_empty()));
    }

    #[test]
    fn who_merely_knows_his_own_credentials_takes_nobodys_address() {
        let mut all = Neighbourhood::new();
        all.claim(1, peer(), Claim::Nominated);
        all.claim(2, peer(), Claim::Validated);
        assert_eq!(all.takes(peer()), [Some(1), None, Some(1)]);
        all.claim(2, peer(), Claim::Released);
        assert_eq!(all.takes(peer()), [Some(1), None, Some(1)], "it was never his to release");
        all.claim(2, peer(), Claim::Nominated);
        assert_eq!(all.takes(peer()), [Some(2), Some(2), None]);
    }

    #[test]
    fn a_check_goes_to_the_worker_that_its_name_begins_with() {
        let all = Neighbourhood::new();
        let check = |worker: u8| {
            let ufrag = IceCredentials::of_worker(worker, &mut StdRng::seed_from_u64(2)).ufrag;
            let mut message = Vec::new();
            Writer::new(&mut message, Class::Request, Method::Binding, TransactionId([7; 12]))
                .attribute(AttributeType::USERNAME, format!("{ufrag}:peer").as_bytes())
                .attribute(PRIORITY, &[0x6E, 0, 0, 1])
                .integrity(&Key::long_term(PasswordAlgorithm::Md5, "", "", ""), IntegrityKind::Sha1)
                .fingerprint();
            message
        };
        let path = Path::udp(address("192.0.2.1:443"), peer().address);
        let taken = |worker: u8| all.handovers[0].neighbour(path, &check(worker));
        assert_eq!([0, 1, 2, 60].map(taken), [None, Some(1), Some(2), None]);
    }
}
