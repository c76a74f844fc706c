//! A TURN client (RFC 8656) as a value: bytes, time and a generator go in; messages for the server and datagrams for ICE come
//! out.
//!
//! Each peer has a channel, which is its permission as well (§12). Nothing is refreshed: it is for connections that last a few
//! minutes at most, less than the shortest lifetime (five minutes, §9).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use banter_sfu::turn::credentials::Credentials;
use banter_sfu::turn::stun::{
    AttributeType, Class, Family, IntegrityKind, Key, Message, Method, PasswordAlgorithm, TransactionId,
    Writer,
};
use rand::RngExt;
use rand::rngs::StdRng;

/// Until a request is sent again over UDP; twice as long each time (RFC 8489 §6.2.1).
const RTO: Duration = Duration::from_millis(250);
/// When a request without an answer is given up.
const PATIENCE: Duration = Duration::from_secs(8);
/// The first number of a channel; others follow (RFC 8656 §12).
const FIRST_CHANNEL: u16 = 0x4000;
/// Datagrams that wait for their channel. ICE repeats what is dropped.
const MAX_WAITING: usize = 4;
/// IANA's number of UDP, which every allocation relays (RFC 8656 §18.7).
const UDP: u8 = 17;

/// One allocation, or the wish for it.
#[derive(Debug)]
pub struct Client {
    credentials: Credentials,
    /// Of the relayed address.
    family: Family,
    /// Messages travel in a stream: they are padded, and never repeated.
    in_stream: bool,
    rng: StdRng,
    challenge: Option<Challenge>,
    transactions: Vec<Transaction>,
    peers: Vec<Peer>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Whatever is sent to `relayed` comes here from now on.
    Allocated { relayed: SocketAddr },
    /// There is no allocation, and there will be none: the server's error code.
    Refused { code: u16 },
    /// The server has not answered.
    Silent,
}

#[derive(Clone, Debug)]
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
}

#[derive(Debug)]
struct Transaction {
    id: TransactionId,
    request: Request,
    bytes: Vec<u8>,
    since: Instant,
    sent: Instant,
    rto: Duration,
    /// It has been sent again with what a challenge told.
    is_second: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Allocate,
    /// For the peer with this index.
    Bind(usize),
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    channel: u16,
    state: Binding,
}

#[derive(Debug)]
enum Binding {
    Asked {
        waiting: Vec<Vec<u8>>,
    },
    Bound,
    /// The server does not relay there.
    Refused,
}

impl Client {
    /// Asks for an allocation of this family. `in_stream` is TURN over TCP or TLS.
    pub fn new(credentials: Credentials, family: Family, in_stream: bool, rng: StdRng, now: Instant) -> Self {
        let mut client = Self {
            credentials,
            family,
            in_stream,
            rng,
            challenge: None,
            transactions: Vec::new(),
            peers: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        client.ask(Request::Allocate, false, now);
        client
    }

    /// Sends a datagram from the relayed address.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8], now: Instant) {
        let index = match self.peers.iter().position(|peer| peer.address == to) {
            Some(index) => index,
            None => {
                let channel = FIRST_CHANNEL + self.peers.len() as u16;
                self.peers.push(Peer { address: to, channel, state: Binding::Asked { waiting: Vec::new() } });
                self.ask(Request::Bind(self.peers.len() - 1), false, now);
                self.peers.len() - 1
            }
        };
        let Peer { channel, state, .. } = &mut self.peers[index];
        match state {
            Binding::Bound => {
                let message = channel_data(*channel, datagram, self.in_stream);
                self.transmits.push_back(message);
            }
            Binding::Asked { waiting } if waiting.len() < MAX_WAITING => waiting.push(datagram.to_vec()),
            Binding::Asked { .. } | Binding::Refused => {}
        }
    }

    /// Takes one message of the server. A datagram from a peer comes back, with the peer's address.
    pub fn handle_message<'a>(&mut self, bytes: &'a [u8], now: Instant) -> Option<(SocketAddr, &'a [u8])> {
        match bytes.first()? {
            0x40..=0x4F => self.take_channel_data(bytes),
            _ => {
                let message = Message::parse(bytes).ok()?;
                match (message.class(), message.method()) {
                    (Class::Indication, Method::Data) => {
                        let from = message.xor_address(AttributeType::XOR_PEER_ADDRESS).flatten()?;
                        return Some((from, message.value(AttributeType::DATA)?));
                    }
                    (Class::Success | Class::Error, _) => self.take_answer(&message, now),
                    (Class::Request | Class::Indication, _) => {}
                }
                None
            }
        }
    }

    /// Sends again what has not been answered. Call at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.transactions.iter().any(|transaction| now >= transaction.since + PATIENCE) {
            let (silent, left) = std::mem::take(&mut self.transactions)
                .into_iter()
                .partition(|transaction| now >= transaction.since + PATIENCE);
            self.transactions = left;
            self.give_up(silent);
        }
        if self.in_stream {
            return;
        }
        for transaction in &mut self.transactions {
            if now >= transaction.sent + transaction.rto {
                transaction.sent = now;
                transaction.rto *= 2;
                self.transmits.push_back(transaction.bytes.clone());
            }
        }
    }

    /// When [`Self::handle_timeout`] is to be called; `None` while nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |transaction: &Transaction| match self.in_stream {
            true => transaction.since + PATIENCE,
            false => (transaction.sent + transaction.rto).min(transaction.since + PATIENCE),
        };
        self.transactions.iter().map(due).min()
    }

    /// The next message for the server, without the framing of a stream but padded for one. Call after everything else until
    /// it returns `None`.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn ask(&mut self, request: Request, is_second: bool, now: Instant) {
        let id = TransactionId(self.rng.random());
        let bytes = self.encode(request, id);
        self.transmits.push_back(bytes.clone());
        self.transactions.push(Transaction {
            id,
            request,
            bytes,
            since: now,
            sent: now,
            rto: RTO,
            is_second,
        });
    }

    /// Without a challenge nobody knows what to sign with.
    fn encode(&self, request: Request, id: TransactionId) -> Vec<u8> {
        let mut out = Vec::new();
        let writer = match request {
            Request::Allocate => Writer::new(&mut out, Class::Request, Method::Allocate, id)
                .attribute(AttributeType::REQUESTED_TRANSPORT, &[UDP, 0, 0, 0])
                .attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[self.family.to_byte(), 0, 0, 0]),
            Request::Bind(peer) => {
                let Peer { address, channel, .. } = &self.peers[peer];
                let [high, low] = channel.to_be_bytes();
                Writer::new(&mut out, Class::Request, Method::ChannelBind, id)
                    .attribute(AttributeType::CHANNEL_NUMBER, &[high, low, 0, 0])
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, *address)
            }
        };
        let Some(Challenge { realm, nonce }) = &self.challenge else {
            writer.fingerprint();
            return out;
        };
        let Credentials { username, password } = &self.credentials;
        let key = Key::long_term(PasswordAlgorithm::Md5, username, realm, password);
        writer
            .attribute(AttributeType::USERNAME, username.as_bytes())
            .attribute(AttributeType::REALM, realm.as_bytes())
            .attribute(AttributeType::NONCE, nonce)
            .integrity(&key, IntegrityKind::Sha1)
            .fingerprint();
        out
    }

    fn take_channel_data<'a>(&self, bytes: &'a [u8]) -> Option<(SocketAddr, &'a [u8])> {
        let (&[high, low, len_high, len_low], rest) = bytes.split_first_chunk::<4>()?;
        let channel = u16::from_be_bytes([high, low]);
        let peer = self.peers.iter().find(|peer| peer.channel == channel)?;
        Some((peer.address, rest.get(..usize::from(u16::from_be_bytes([len_high, len_low])))?))
    }

    fn take_answer(&mut self, message: &Message<'_>, now: Instant) {
        let id = message.transaction_id();
        let Some(index) = self.transactions.iter().position(|transaction| transaction.id == id) else {
            return;
        };
        let Transaction { request, is_second, .. } = self.transactions.swap_remove(index);
        let code = error_code(message);
        // Unauthenticated, or a stale nonce (RFC 8489 §9.2.5): once more with what the server says.
        if let (Some(401 | 438), false) = (code, is_second) {
            let realm = message.text(AttributeType::REALM);
            if let (Some(realm), Some(nonce)) = (realm, message.value(AttributeType::NONCE)) {
                self.challenge = Some(Challenge { realm: realm.to_owned(), nonce: nonce.to_vec() });
                return self.ask(request, true, now);
            }
        }
        match (request, code) {
            (Request::Allocate, None) => {
                let relayed = message.xor_address(AttributeType::XOR_RELAYED_ADDRESS).flatten();
                let refused = Event::Refused { code: 0 };
                self.events.push_back(relayed.map_or(refused, |relayed| Event::Allocated { relayed }));
            }
            (Request::Allocate, Some(code)) => self.events.push_back(Event::Refused { code }),
            (Request::Bind(peer), None) => self.bound(peer),
            (Request::Bind(peer), Some(_)) => self.peers[peer].state = Binding::Refused,
        }
    }

    fn bound(&mut self, peer: usize) {
        let Peer { channel, state, .. } = &mut self.peers[peer];
        if let Binding::Asked { waiting } = std::mem::replace(state, Binding::Bound) {
            let wrap = |datagram: Vec<u8>| channel_data(*channel, &datagram, self.in_stream);
            self.transmits.extend(waiting.into_iter().map(wrap));
        }
    }

    fn give_up(&mut self, silent: Vec<Transaction>) {
        for transaction in silent {
            match transaction.request {
                Request::Allocate => self.events.push_back(Event::Silent),
                Request::Bind(peer) => self.peers[peer].state = Binding::Refused,
            }
        }
    }
}

/// RFC 8656 §12.4; in a stream padded to a multiple of four (§12.5).
fn channel_data(channel: u16, datagram: &[u8], in_stream: bool) -> Vec<u8> {
    let len = u16::try_from(datagram.len()).expect("a datagram is shorter than 64 KiB");
    let mut bytes = Vec::with_capacity(4 + datagram.len() + 3);
    bytes.extend(channel.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes.extend(datagram);
    if in_stream {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn error_code(message: &Message<'_>) -> Option<u16> {
    match (message.class(), message.value(AttributeType::ERROR_CODE)) {
        (Class::Error, Some(&[_, _, class, number, ..])) => Some(u16::from(class) * 100 + u16::from(number)),
        (Class::Error, _) => Some(500),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
