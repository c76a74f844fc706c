//! A TURN client as far as its messages go: it signs requests, learns what it is told to, and asks again.

use std::time::{Instant, SystemTime};

use crate::turn::credentials::Credentials;
use crate::turn::stun::{
    AttributeType, Class, IntegrityKind, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};
use crate::turn::{Client, Outcome, Server};

/// What a client does not know before it is told.
#[derive(Clone, Debug)]
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
}

/// One client, at one 5-tuple.
#[derive(Clone, Debug)]
pub struct TurnClient {
    pub at: Client,
    pub credentials: Credentials,
    /// How it signs: as browsers do, or as RFC 8489 would like it to.
    pub integrity: IntegrityKind,
    challenge: Option<Challenge>,
    transactions: u64,
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub Vec<u8>);

impl Answer {
    /// # Panics
    /// When the answer is no STUN message.
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("an answer is a message")
    }

    /// The number in ERROR-CODE; `None` for a success.
    pub fn error(&self) -> Option<u16> {
        let message = self.message();
        match (message.class(), message.value(AttributeType::ERROR_CODE)) {
            (Class::Error, Some(&[_, _, class, number, ..])) => {
                Some(u16::from(class) * 100 + u16::from(number))
            }
            _ => None,
        }
    }
}

impl TurnClient {
    pub fn new(at: Client, credentials: Credentials) -> Self {
        Self { at, credentials, integrity: IntegrityKind::Sha1, challenge: None, transactions: 0 }
    }

    /// A request with these attributes: signed once the client has been challenged, until then without a name.
    pub fn request(&mut self, method: Method, attributes: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let writer = attributes(Writer::new(&mut out, Class::Request, method, self.next_id()));
        match &self.challenge {
            None => writer.fingerprint(),
            Some(challenge) => {
                let writer = self.name(writer, challenge);
                writer.integrity(&self.key(challenge), self.integrity).fingerprint()
            }
        };
        out
    }

    /// Sends bytes and returns what comes back to this client at once.
    pub fn ask(
        &mut self,
        server: &mut Server,
        bytes: &[u8],
        now: Instant,
        wall: SystemTime,
    ) -> Option<Answer> {
        match server.handle(self.at, bytes, now, wall) {
            Outcome::Reply(reply) => Some(Answer(reply.to_vec())),
            Outcome::Nothing | Outcome::Relay { .. } | Outcome::Close => None,
        }
    }

    /// Asks, and asks again if it is challenged or its nonce has become stale. The last answer is returned.
    pub fn exchange(
        &mut self,
        server: &mut Server,
        method: Method,
        attributes: impl Fn(Writer<'_>) -> Writer<'_>,
        now: Instant,
        wall: SystemTime,
    ) -> Option<Answer> {
        let knew_nothing = self.challenge.is_none();
        let request = self.request(method, &attributes);
        let answer = self.ask(server, &request, now, wall)?;
        if !(answer.error() == Some(438) || knew_nothing && answer.error() == Some(401)) {
            return Some(answer);
        }
        self.learn(&answer);
        let request = self.request(method, &attributes);
        self.ask(server, &request, now, wall)
    }

    /// Takes realm and nonce out of a challenge.
    pub fn learn(&mut self, answer: &Answer) {
        let message = answer.message();
        let realm = message.text(AttributeType::REALM);
        if let (Some(realm), Some(nonce)) = (realm, message.value(AttributeType::NONCE)) {
            self.challenge = Some(Challenge { realm: realm.to_owned(), nonce: nonce.to_vec() });
        }
    }

    /// What the server's answers to signed requests are signed with.
    ///
    /// # Panics
    /// Before it was challenged.
    pub fn answer_key(&self) -> Key {
        self.key(self.challenge.as_ref().expect("a client that was challenged"))
    }

    fn name<'b>(&self, writer: Writer<'b>, challenge: &Challenge) -> Writer<'b> {
        let writer = writer
            .attribute(AttributeType::USERNAME, self.credentials.username.as_bytes())
            .attribute(AttributeType::REALM, challenge.realm.as_bytes())
            .attribute(AttributeType::NONCE, &challenge.nonce);
        match self.integrity {
            IntegrityKind::Sha1 => writer,
            IntegrityKind::Sha256 => writer
                .attribute(AttributeType::PASSWORD_ALGORITHMS, &[0, 1, 0, 0, 0, 2, 0, 0])
                .attribute(AttributeType::PASSWORD_ALGORITHM, &PasswordAlgorithm::Sha256.to_bytes()),
        }
    }

    fn key(&self, challenge: &Challenge) -> Key {
        let algorithm = match self.integrity {
            IntegrityKind::Sha1 => PasswordAlgorithm::Md5,
            IntegrityKind::Sha256 => PasswordAlgorithm::Sha256,
        };
        let Credentials { username, password } = &self.credentials;
        Key::long_term(algorithm, username, &challenge.realm, password)
    }

    fn next_id(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0xC1; 12];
        id[4..].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }
}
