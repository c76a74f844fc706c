//! Bodies of calls and answers. For fuzzing, and for tests with random or recorded input.

use std::fmt::Debug;

use livekit_protocol::{
    CreateRoomRequest, DeleteRoomRequest, ForwardParticipantRequest, ListParticipantsRequest,
    ListParticipantsResponse, ListRoomsRequest, ListRoomsResponse, MoveParticipantRequest,
    MuteRoomTrackRequest, MuteRoomTrackResponse, RoomParticipantIdentity, SendDataRequest,
    UpdateParticipantRequest, UpdateRoomMetadataRequest, UpdateSubscriptionsRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json::{self, Shaped};

/// The first byte chooses the message; the body is tried in both encodings.
pub fn twirp(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else { return };
    match kind % 15 {
        0 => request::<CreateRoomRequest>(body),
        1 => request::<ListRoomsRequest>(body),
        2 => request::<DeleteRoomRequest>(body),
        3 => request::<ListParticipantsRequest>(body),
        4 => request::<RoomParticipantIdentity>(body),
        5 => request::<MuteRoomTrackRequest>(body),
        6 => request::<UpdateParticipantRequest>(body),
        7 => request::<UpdateSubscriptionsRequest>(body),
        8 => request::<SendDataRequest>(body),
        9 => request::<UpdateRoomMetadataRequest>(body),
        10 => request::<MoveParticipantRequest>(body),
        11 => request::<ForwardParticipantRequest>(body),
        12 => answer::<ListRoomsResponse>(body),
        13 => answer::<ListParticipantsResponse>(body),
        _ => answer::<MuteRoomTrackResponse>(body),
    }
}

/// Both encodings of a request say the same.
fn request<Q: prost::Message + Default + PartialEq + Debug + Serialize + DeserializeOwned>(body: &[u8]) {
    if let Ok(request) = json::read::<Q>(body) {
        let again = Q::decode(request.encode_to_vec().as_slice());
        assert_eq!(again.expect("what is written can be read"), request);
    }
    // Numbers of enumerations that nobody knows have no name in JSON.
    if let Ok(request) = Q::decode(body)
        && let Ok(text) = serde_json::to_vec(&request)
    {
        assert_eq!(json::read::<Q>(&text).expect("what is written can be read"), request);
    }
}

/// An answer with every field is still the same answer.
fn answer<A: prost::Message + Default + PartialEq + Debug + Serialize + DeserializeOwned + Shaped>(
    body: &[u8],
) {
    if let Ok(answer) = A::decode(body)
        && serde_json::to_value(&answer).is_ok()
    {
        let text = json::write(&answer);
        assert_eq!(json::read::<A>(&text).expect("what is written can be read"), answer);
    }
}
