//! Calls in JSON, read and written as LiveKit does.
//!
//! Names come in either spelling, unknown ones are ignored and `null` is the default. Answers have the names of the
//! protocol definition, as in `num_participants`, and say every field, so that who reads them without an SDK finds what
//! it would find at LiveKit. The shapes below know the fields; the generated code knows neither.

use livekit_protocol::{
    DeleteRoomResponse, ListParticipantsResponse, ListRoomsResponse, MoveParticipantResponse,
    MuteRoomTrackResponse, ParticipantInfo, PerformRpcResponse, RemoveParticipantResponse, Room,
    SendDataResponse, UpdateSubscriptionsResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The fields of a message, in the order of the protocol definition.
pub(super) type Shape = &'static [(&'static str, Kind)];

/// What a field holds, and therefore what stands there when it is not set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Number,
    /// 64 bits, written as a text.
    Long,
    Flag,
    /// The name of the first value.
    Choice(&'static str),
    /// Of values that are no messages.
    Values,
    /// From texts to texts: its keys are no names of fields.
    Texts,
    Message(Shape),
    Messages(Shape),
}

/// A message that is an answer.
pub(super) trait Shaped {
    const SHAPE: Shape;
}

use Kind::{Choice, Flag, Long, Message, Messages, Number, Text, Texts, Values};

const CODEC: Shape = &[("mime", Text), ("fmtp_line", Text)];
const TIMED_VERSION: Shape = &[("unix_micro", Long), ("ticks", Number)];
const ROOM: Shape = &[
    ("sid", Text),
    ("name", Text),
    ("empty_timeout", Number),
    ("departure_timeout", Number),
    ("max_participants", Number),
    ("creation_time", Long),
    ("creation_time_ms", Long),
    ("turn_password", Text),
    ("enabled_codecs", Messages(CODEC)),
    ("metadata", Text),
    ("num_participants", Number),
    ("num_publishers", Number),
    ("active_recording", Flag),
    ("version", Message(TIMED_VERSION)),
];
const PERMISSION: Shape = &[
    ("can_subscribe", Flag),
    ("can_publish", Flag),
    ("can_publish_data", Flag),
    ("can_publish_sources", Values),
    ("hidden", Flag),
    ("recorder", Flag),
    ("can_update_metadata", Flag),
    ("agent", Flag),
    ("can_subscribe_metrics", Flag),
    ("can_manage_agent_session", Flag),
];
const TRACK_CODEC: Shape = &[
    ("mime_type", Text),
    ("mid", Text),
    ("cid", Text),
    ("layers", Values),
    ("video_layer_mode", Choice("MODE_UNUSED")),
    ("sdp_cid", Text),
];
const TRACK: Shape = &[
    ("sid", Text),
    ("type", Choice("AUDIO")),
    ("name", Text),
    ("muted", Flag),
    ("width", Number),
    ("height", Number),
    ("simulcast", Flag),
    ("disable_dtx", Flag),
    ("source", Choice("UNKNOWN")),
    ("layers", Values),
    ("mime_type", Text),
    ("mid", Text),
    ("codecs", Messages(TRACK_CODEC)),
    ("stereo", Flag),
    ("disable_red", Flag),
    ("encryption", Choice("NONE")),
    ("stream", Text),
    ("version", Message(TIMED_VERSION)),
    ("audio_features", Values),
    ("backup_codec_policy", Choice("PREFER_REGRESSION")),
    ("packet_trailer_features", Values),
];
const PARTICIPANT: Shape = &[
    ("sid", Text),
    ("identity", Text),
    ("state", Choice("JOINING")),
    ("tracks", Messages(TRACK)),
    ("metadata", Text),
    ("joined_at", Long),
    ("joined_at_ms", Long),
    ("name", Text),
    ("version", Number),
    ("permission", Message(PERMISSION)),
    ("region", Text),
    ("is_publisher", Flag),
    ("kind", Choice("STANDARD")),
    ("attributes", Texts),
    ("disconnect_reason", Choice("UNKNOWN_REASON")),
    ("kind_details", Values),
    ("data_tracks", Values),
    ("client_protocol", Number),
    ("capabilities", Values),
];

macro_rules! shaped {
    ($($message:ty => $shape:expr,)*) => {
        $(impl Shaped for $message {
            const SHAPE: Shape = $shape;
        })*
    };
}

shaped! {
    Room => ROOM,
    ListRoomsResponse => &[("rooms", Messages(ROOM))],
    DeleteRoomResponse => &[],
    ParticipantInfo => PARTICIPANT,
    ListParticipantsResponse => &[("participants", Messages(PARTICIPANT))],
    RemoveParticipantResponse => &[],
    MuteRoomTrackResponse => &[("track", Message(TRACK))],
    UpdateSubscriptionsResponse => &[],
    MoveParticipantResponse => &[],
    SendDataResponse => &[],
    PerformRpcResponse => &[("payload", Text)],
}

/// Reads a request.
pub(super) fn read<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, serde_json::Error> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)?;
    drop_nulls(&mut fields);
    serde_json::from_value(Value::Object(fields))
}

/// Writes an answer.
pub(super) fn write<A: Serialize + Shaped>(answer: &A) -> Vec<u8> {
    let value = serde_json::to_value(answer).unwrap_or_default();
    Value::Object(complete(A::SHAPE, value)).to_string().into_bytes()
}

fn drop_nulls(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        drop_nulls_within(value);
    }
}

fn drop_nulls_within(value: &mut Value) {
    match value {
        Value::Object(fields) => drop_nulls(fields),
        Value::Array(values) => values.iter_mut().for_each(drop_nulls_within),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A message with every field of its shape, under the names of the shape.
fn complete(shape: Shape, value: Value) -> Map<String, Value> {
    let mut given = match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let field =
        |(name, kind): &(&str, Kind)| ((*name).to_owned(), fill(*kind, given.remove(&camel_case(name))));
    shape.iter().map(field).collect()
}

fn fill(kind: Kind, value: Option<Value>) -> Value {
    match (kind, value) {
        (Message(shape), Some(value)) => Value::Object(complete(shape, value)),
        (Messages(shape), Some(Value::Array(values))) => {
            values.into_iter().map(|value| Value::Object(complete(shape, value))).collect()
        }
        (_, Some(value)) => value,
        (Text, None) => "".into(),
        (Number, None) => 0.into(),
        (Long, None) => "0".into(),
        (Flag, None) => false.into(),
        (Choice(first), None) => first.into(),
        (Values | Messages(_), None) => Value::Array(Vec::new()),
        (Texts, None) => Value::Object(Map::new()),
        (Message(_), None) => Value::Null,
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_ascii_uppercase() + &word[1..])
}

#[cfg(test)]
mod tests {
    use livekit_protocol::{CreateRoomRequest, ParticipantPermission, TrackInfo, UpdateSubscriptionsRequest};
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_say_every_field_under_its_name_in_the_definition() {
        let room = Room { name: "lobby".into(), creation_time_ms: 1 << 40, ..Room::default() };
        let written: Value = serde_json::from_slice(&write(&room)).expect("it is JSON");
        assert_eq!(written["name"], "lobby");
        assert_eq!(written["num_participants"], 0);
        assert_eq!(written["creation_time_ms"], "1099511627776");
        assert_eq!(written["enabled_codecs"], json!([]));
        assert_eq!(written["version"], Value::Null);
        assert!(written.get("numParticipants").is_none());
    }

    #[test]
    fn keys_of_attributes_stay_as_they_are() {
        let participant = ParticipantInfo {
            attributes: [("snake_case camelCase".to_owned(), "x".to_owned())].into(),
            permission: Some(ParticipantPermission { can_publish: true, ..Default::default() }),
            tracks: vec![TrackInfo { muted: true, ..TrackInfo::default() }],
            ..ParticipantInfo::default()
        };
        let list = ListParticipantsResponse { participants: vec![participant] };
        let written: Value = serde_json::from_slice(&write(&list)).expect("it is JSON");
        let participant = &written["participants"][0];
        assert_eq!(participant["attributes"]["snake_case camelCase"], "x");
        assert_eq!(participant["permission"]["can_publish"], true);
        assert_eq!(participant["permission"]["can_subscribe"], false);
        assert_eq!(participant["tracks"][0]["muted"], true);
        assert_eq!(participant["tracks"][0]["source"], "UNKNOWN");
        assert_eq!(participant["state"], "JOINING");
    }

    #[test]
    fn every_field_of_the_definition_is_in_its_shape() {
        let track = TrackInfo {
            sid: "TR_1".into(),
            mime_type: "audio/opus".into(),
            version: Some(livekit_protocol::TimedVersion { unix_micro: 1, ticks: 2 }),
            ..TrackInfo::default()
        };
        let given = serde_json::to_value(&track).expect("it is plain");
        let names: Vec<_> = TRACK.iter().map(|(name, _)| camel_case(name)).collect();
        for name in given.as_object().expect("a message").keys() {
            assert!(names.contains(name), "{name} is not in the shape");
        }
    }

    #[test]
    fn nulls_are_defaults_at_every_depth() {
        let body = br#"{"room":null,"participantTracks":[{"participantSid":null,"trackSids":["TR_1"]}]}"#;
        let request: UpdateSubscriptionsRequest = read(body).expect("it is fine");
        assert_eq!(request.participant_tracks[0].track_sids, ["TR_1"]);
    }

    #[test]
    fn requests_come_in_either_spelling_with_nulls_and_with_what_nobody_knows() {
        for body in [
            json!({"name": "r", "maxParticipants": 3, "newer": {"a": 1}, "metadata": null}),
            json!({"name": "r", "max_participants": "3"}),
        ] {
            let request: CreateRoomRequest = read(body.to_string().as_bytes()).expect("it is fine");
            assert_eq!((request.name.as_str(), request.max_participants), ("r", 3));
        }
        for body in ["", "[]", "{x", r#"{"name": 5}"#] {
            assert!(read::<CreateRoomRequest>(body.as_bytes()).is_err(), "{body}");
        }
    }
}
