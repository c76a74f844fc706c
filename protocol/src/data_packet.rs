//! LiveKit's data packets as a relay sees them: read without being decoded, and stamped without being encoded again, so
//! that fields and variants of newer clients pass unharmed.
//!
//! In protobuf the last value of a scalar field counts, so a stamp is appended: whatever a sender claims to be, what
//! follows overrules it.

use std::str;

/// A data packet, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPacket<'a> {
    bytes: &'a [u8],
    /// Who the packet says it is from.
    pub identity: &'a str,
    /// For whom it is; empty means for everyone.
    pub destination_identities: Vec<&'a str>,
    /// For whom it is, in older clients' way; empty means for everyone.
    pub destination_sids: Vec<&'a str>,
    /// Number of a reliable packet, counted by its sender; 0 means that it has none.
    pub sequence: u32,
    pub content: Content<'a>,
}

/// What is in a data packet, as far as a relay has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing.
    Empty,
    /// An application's message. The nonce tells repeats of it; empty means that there is none.
    User {
        nonce: &'a [u8],
    },
    /// Who is speaking: servers once said so by data packet. No client may.
    Speakers,
    Transcription,
    Metrics,
    Chat,
    /// A method was called, and its participant is about to run it.
    CallTaken {
        call: &'a str,
    },
    /// What came of a call: a whole `RpcResponse`.
    CallAnswered {
        call: &'a str,
        response: &'a [u8],
    },
    StreamHeader {
        is_text: bool,
    },
    /// Everything that is passed on as it is.
    Other,
}

/// By which channel a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Reliable = 0,
    Lossy = 1,
}

/// What a relay says of a packet's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    pub delivery: Delivery,
    pub sid: &'a str,
    pub sender: Sender<'a>,
}

/// Whose a packet appears to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender<'a> {
    /// Empty for somebody who is hidden.
    Identity(&'a str),
    /// Somebody else's, in whose name the sender may speak: the packet's own claim stands, marked as generated.
    Claimed,
}

/// The bytes are no data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a data packet")]
pub struct Malformed;

// Field numbers of livekit_models.proto.
const KIND: u32 = 1;
const USER: u32 = 2;
const SPEAKER: u32 = 3;
const IDENTITY: u32 = 4;
const DESTINATION_IDENTITIES: u32 = 5;
const TRANSCRIPTION: u32 = 7;
const METRICS: u32 = 8;
const CHAT: u32 = 9;
const RPC_ACK: u32 = 11;
const RPC_RESPONSE: u32 = 12;
const STREAM_HEADER: u32 = 13;
const SEQUENCE: u32 = 16;
const SID: u32 = 17;
const USER_SID: u32 = 1;
const USER_DESTINATION_SIDS: u32 = 3;
const USER_IDENTITY: u32 = 5;
const USER_DESTINATION_IDENTITIES: u32 = 6;
const USER_NONCE: u32 = 11;
const CHAT_GENERATED: u32 = 6;
const RPC_REQUEST_ID: u32 = 1;
const HEADER_TEXT: u32 = 9;
const HEADER_BYTES: u32 = 10;
const TEXT_GENERATED: u32 = 5;

impl<'a> DataPacket<'a> {
    /// Reads what a relay needs to know. Contents are looked into only where that is necessary.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut packet = Self {
            bytes,
            identity: "",
            destination_identities: Vec::new(),
            destination_sids: Vec::new(),
            sequence: 0,
            content: Content::Empty,
        };
        let mut user_destinations = Vec::new();
        for field in Fields::of(bytes) {
            let Field { number, value, .. } = field?;
            match number {
                KIND => drop(value.number()?),
                SID => drop(value.text()?),
                IDENTITY => packet.identity = value.text()?,
                DESTINATION_IDENTITIES => packet.destination_identities.push(value.text()?),
                // Other implementations cut it to 32 bits as well.
                SEQUENCE => packet.sequence = value.number()? as u32,
                USER => packet.content = packet.read_user(value.bytes()?, &mut user_destinations)?,
                SPEAKER => packet.content = Content::Speakers,
                TRANSCRIPTION => packet.content = Content::Transcription,
                METRICS => packet.content = Content::Metrics,
                CHAT => packet.content = Content::Chat,
                RPC_ACK => packet.content = Content::CallTaken { call: read_call(value.bytes()?)? },
                RPC_RESPONSE => {
                    let response = value.bytes()?;
                    packet.content = Content::CallAnswered { call: read_call(response)?, response };
                }
                STREAM_HEADER => packet.content = read_header(value.bytes()?)?,
                _ => packet.content = Content::Other,
            }
        }
        if packet.destination_identities.is_empty() {
            packet.destination_identities = user_destinations;
        }
        Ok(packet)
    }

    /// The packet with its sender's names and its channel written behind what it claims.
    pub fn stamped(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let Stamp { delivery, sid, sender } = *stamp;
        let mut names = Vec::new();
        let (path, inner): (&[u32], _) = match (self.content, sender) {
            (Content::User { .. }, Sender::Identity(identity)) => {
                write_bytes(&mut names, USER_SID, sid.as_bytes());
                write_bytes(&mut names, USER_IDENTITY, identity.as_bytes());
                (&[USER], names.as_slice())
            }
            (Content::Chat, Sender::Claimed) => {
                write_number(&mut names, CHAT_GENERATED, 1);
                (&[CHAT], names.as_slice())
            }
            (Content::StreamHeader { is_text: true }, Sender::Claimed) => {
                write_number(&mut names, TEXT_GENERATED, 1);
                (&[STREAM_HEADER, HEADER_TEXT], names.as_slice())
            }
            _ => (&[], &[]),
        };
        let mut bytes = with_inner(self.bytes, path, inner);
        write_number(&mut bytes, KIND, delivery as u64);
        if let Sender::Identity(identity) = sender {
            write_bytes(&mut bytes, IDENTITY, identity.as_bytes());
        }
        write_bytes(&mut bytes, SID, sid.as_bytes());
        bytes
    }

    fn read_user(
        &mut self,
        user: &'a [u8],
        destinations: &mut Vec<&'a str>,
    ) -> Result<Content<'a>, Malformed> {
        let mut nonce: &[u8] = &[];
        for field in Fields::of(user) {
            let Field { number, value, .. } = field?;
            match number {
                USER_DESTINATION_SIDS => self.destination_sids.push(value.text()?),
                USER_DESTINATION_IDENTITIES => destinations.push(value.text()?),
                USER_NONCE => nonce = value.bytes()?,
                _ => {}
            }
        }
        Ok(Content::User { nonce })
    }
}

/// The id of the call that an acknowledgement or a response is about.
fn read_call(answer: &[u8]) -> Result<&str, Malformed> {
    let mut call = "";
    for field in Fields::of(answer) {
        let Field { number, value, .. } = field?;
        if number == RPC_REQUEST_ID {
            call = value.text()?;
        }
    }
    Ok(call)
}

fn read_header(header: &[u8]) -> Result<Content<'_>, Malformed> {
    let mut is_text = false;
    for field in Fields::of(header) {
        match field?.number {
            HEADER_TEXT => is_text = true,
            HEADER_BYTES => is_text = false,
            _ => {}
        }
    }
    Ok(Content::StreamHeader { is_text })
}

/// The message with `extra` at the end of the last submessage found by `path`, or at its own end if the path is empty.
fn with_inner(message: &[u8], path: &[u32], extra: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + extra.len() + 64);
    let Some((&number, path)) = path.split_first() else {
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(extra);
        return bytes;
    };
    let last = Fields::of(message).flatten().filter(|field| field.number == number).last();
    let (before, inner, after) = match last {
        Some(Field { start, end, value: Value::Bytes(inner), .. }) => {
            (&message[..start], inner, &message[end..])
        }
        _ => (message, &[][..], &[][..]),
    };
    bytes.extend_from_slice(before);
    write_bytes(&mut bytes, number, &with_inner(inner, path, extra));
    bytes.extend_from_slice(after);
    bytes
}

/// The fields of one protobuf message, in order. Ends after the first error.
struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

struct Field<'a> {
    number: u32,
    value: Value<'a>,
    /// Where it lies in its message.
    start: usize,
    end: usize,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    fn read(&mut self) -> Result<Field<'a>, Malformed> {
        let start = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0).ok_or(Malformed)?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_huge| Malformed)?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups, which proto3 does not have.
            _ => return Err(Malformed),
        };
        Ok(Field { number, value, start, end: self.at })
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let &[byte] = self.take(1)?.first_chunk().ok_or(Malformed)?;
            let bits = u64::from(byte & 0x7F);
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // The tenth byte has room for one bit only.
                return if shift < 63 || bits <= 1 { Ok(value) } else { Err(Malformed) };
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.message[self.at..].get(..len).ok_or(Malformed)?;
        self.at += len;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.len() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.at = self.message.len();
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    fn number(self) -> Result<u64, Malformed> {
        if let Self::Number(number) = self { Ok(number) } else { Err(Malformed) }
    }

    fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed) }
    }

    fn text(self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_binary| Malformed)
    }
}

fn write_number(out: &mut Vec<u8>, field: u32, value: u64) {
    write_varint(out, u64::from(field) << 3);
    write_varint(out, value);
}

fn write_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    write_varint(out, u64::from(field) << 3 | 2);
    write_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
#[expect(deprecated, reason = "older clients read the deprecated fields")]
mod tests {
    use livekit_protocol::data_packet::Value as Content_;
    use livekit_protocol::data_stream::{Header, TextHeader, header::ContentHeader};
    use livekit_protocol::{self as proto, ChatMessage, RpcAck, RpcResponse, UserPacket, rpc_response};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    const STAMP: Stamp<'_> =
        Stamp { delivery: Delivery::Lossy, sid: "PA_alice", sender: Sender::Identity("alice") };

    #[test]
    fn a_users_packet_is_read_and_its_sender_overruled_everywhere() {
        let user = UserPacket {
            payload: b"hello".into(),
            topic: Some("greeting".into()),
            participant_identity: "mallory".into(),
            participant_sid: "PA_mallory".into(),
            destination_sids: vec!["PA_bob".into()],
            nonce: vec![7; 16],
            ..UserPacket::default()
        };
        let sent = packet(Content_::User(user));
        let bytes = sent.encode_to_vec();
        let read = DataPacket::parse(&bytes).expect("it is well formed");
        assert_eq!(read.destination_identities, ["bob", "carol"]);
        assert_eq!(read.destination_sids, ["PA_bob"]);
        assert_eq!((read.sequence, read.identity), (70_000, "mallory"));
        assert_eq!(read.content, Content::User { nonce: &[7; 16] });

        let relayed = proto::DataPacket::decode(read.stamped(&STAMP).as_slice()).expect("still well formed");
        assert_eq!(
            (relayed.participant_identity.as_str(), relayed.participant_sid.as_str()),
            ("alice", "PA_alice")
        );
        assert_eq!((relayed.kind(), relayed.sequence), (proto::data_packet::Kind::Lossy, 70_000));
        let Some(Content_::User(user)) = relayed.value else { panic!("{relayed:?}") };
        assert_eq!(
            (user.participant_identity.as_str(), user.participant_sid.as_str()),
            ("alice", "PA_alice")
        );
        assert_eq!((user.payload.as_slice(), user.topic.as_deref()), (&b"hello"[..], Some("greeting")));
    }

    #[test]
    fn destinations_inside_a_users_packet_count_if_there_are_no_others() {
        let user = UserPacket { destination_identities: vec!["dave".into()], ..UserPacket::default() };
        let mut sent = packet(Content_::User(user));
        let bytes = sent.encode_to_vec();
        assert_eq!(DataPacket::parse(&bytes).expect("well formed").destination_identities, ["bob", "carol"]);
        sent.destination_identities.clear();
        let bytes = sent.encode_to_vec();
        assert_eq!(DataPacket::parse(&bytes).expect("well formed").destination_identities, ["dave"]);
    }

    #[test]
    fn answers_to_a_call_name_it() {
        let ack = packet(Content_::RpcAck(RpcAck { request_id: "c1".into() })).encode_to_vec();
        assert_eq!(DataPacket::parse(&ack).expect("well formed").content, Content::CallTaken { call: "c1" });
        let response =
            RpcResponse { request_id: "c1".into(), value: Some(rpc_response::Value::Payload("pong".into())) };
        let bytes = packet(Content_::RpcResponse(response.clone())).encode_to_vec();
        assert_eq!(
            DataPacket::parse(&bytes).expect("well formed").content,
            Content::CallAnswered { call: "c1", response: &response.encode_to_vec() }
        );
    }

    #[test]
    fn a_claim_that_stands_is_marked_as_generated() {
        let claimed = Stamp { sender: Sender::Claimed, ..STAMP };
        let relayed = relay(&packet(Content_::ChatMessage(ChatMessage::default())), &claimed);
        assert_eq!(
            (relayed.participant_identity.as_str(), relayed.participant_sid.as_str()),
            ("mallory", "PA_alice")
        );
        assert!(matches!(relayed.value, Some(Content_::ChatMessage(chat)) if chat.generated));

        let text = ContentHeader::TextHeader(TextHeader { version: 3, ..TextHeader::default() });
        let header = Header { topic: "t".into(), content_header: Some(text), ..Header::default() };
        let relayed = relay(&packet(Content_::StreamHeader(header)), &claimed);
        let Some(Content_::StreamHeader(header)) = relayed.value else { panic!("{relayed:?}") };
        assert_eq!(header.topic, "t");
        let Some(ContentHeader::TextHeader(text)) = header.content_header else { panic!("no text header") };
        assert!(text.generated && text.version == 3);
    }

    #[test]
    fn a_hidden_senders_packet_names_nobody() {
        let hidden = Stamp { sender: Sender::Identity(""), ..STAMP };
        let relayed = relay(&packet(Content_::RpcAck(RpcAck::default())), &hidden);
        assert_eq!(relayed.participant_identity, "");
    }

    #[test]
    fn bytes_that_are_no_packet_are_refused() {
        for bytes in
            [&b"\x22\x05ab"[..], b"\x22\x01\xff", b"\x0b", b"\x00\x00", b"\x82\x01\x01x", b"\x12\x02\x1a\x05"]
        {
            assert_eq!(DataPacket::parse(bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(DataPacket::parse(b"").map(|packet| packet.content), Ok(Content::Empty));
    }

    proptest! {
        #[test]
        fn what_is_unknown_survives_a_stamp(
            fields in proptest::collection::vec((19..5_000u32, unknown()), 0..8),
            at in 0..9usize,
            payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = Vec::new();
            let known = proto::DataPacket { value: Some(Content_::User(UserPacket { payload: payload.clone(), ..Default::default() })), ..Default::default() };
            let mut unknown = Vec::new();
            for (place, (number, value)) in fields.iter().enumerate() {
                if place == at.min(fields.len() - 1) {
                    known.encode(&mut bytes).expect("a vector has room");
                }
                let start = bytes.len();
                value.write(&mut bytes, *number);
                unknown.push(bytes[start..].to_vec());
            }
            let packet = DataPacket::parse(&bytes).expect("well formed");
            let relayed = packet.stamped(&STAMP);
            let survived = |field: &Vec<u8>| relayed.windows(field.len()).any(|window| window == field);
            prop_assert!(unknown.iter().all(survived));
            let again = DataPacket::parse(&relayed).expect("still well formed");
            prop_assert_eq!(again.identity, "alice");
            let decoded = proto::DataPacket::decode(relayed.as_slice()).expect("still well formed");
            prop_assert_eq!(decoded.participant_sid, "PA_alice");
            if !fields.is_empty() {
                prop_assert!(matches!(decoded.value, Some(Content_::User(user)) if user.payload == payload));
            }
        }

        #[test]
        fn what_the_reference_reads_is_read_alike_and_stays_readable(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let Ok(packet) = DataPacket::parse(&bytes) else { return Ok(()) };
            let relayed = packet.stamped(&STAMP);
            prop_assert_eq!(DataPacket::parse(&relayed).map(|packet| packet.identity), Ok("alice"));
            if let Ok(reference) = proto::DataPacket::decode(bytes.as_slice()) {
                prop_assert_eq!(reference.sequence, packet.sequence);
                prop_assert_eq!(reference.participant_identity, packet.identity);
                let relayed = proto::DataPacket::decode(relayed.as_slice()).expect("a stamp does no harm");
                prop_assert_eq!(relayed.participant_identity, "alice");
            }
        }
    }

    /// A field of a protocol that is yet to come.
    #[derive(Clone, Debug)]
    enum Unknown {
        Number(u64),
        Bytes(Vec<u8>),
    }

    impl Unknown {
        fn write(&self, out: &mut Vec<u8>, number: u32) {
            match self {
                Self::Number(value) => write_number(out, number, *value),
                Self::Bytes(value) => write_bytes(out, number, value),
            }
        }
    }

    fn unknown() -> impl Strategy<Value = Unknown> {
        prop_oneof![
            any::<u64>().prop_map(Unknown::Number),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Unknown::Bytes),
        ]
    }

    fn packet(value: Content_) -> proto::DataPacket {
        proto::DataPacket {
            participant_identity: "mallory".into(),
            participant_sid: "PA_mallory".into(),
            destination_identities: vec!["bob".into(), "carol".into()],
            sequence: 70_000,
            value: Some(value),
            ..proto::DataPacket::default()
        }
    }

    fn relay(packet: &proto::DataPacket, stamp: &Stamp<'_>) -> proto::DataPacket {
        let bytes = packet.encode_to_vec();
        let relayed = DataPacket::parse(&bytes).expect("well formed").stamped(stamp);
        proto::DataPacket::decode(relayed.as_slice()).expect("still well formed")
    }
}
