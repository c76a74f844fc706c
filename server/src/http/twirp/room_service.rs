//! The calls of LiveKit's RoomService: each checks its grant and passes on to the rooms.

use std::time::Duration;

use axum::response::Response;
use livekit_protocol::{
    CreateRoomRequest, DataPacket, DeleteRoomRequest, DeleteRoomResponse, ForwardParticipantRequest,
    ListParticipantsRequest, ListParticipantsResponse, ListRoomsRequest, ListRoomsResponse,
    MoveParticipantRequest, MoveParticipantResponse, MuteRoomTrackRequest, MuteRoomTrackResponse,
    PerformRpcRequest, PerformRpcResponse, RemoveParticipantResponse, RoomParticipantIdentity,
    SendDataRequest, SendDataResponse, UpdateParticipantMetadata, UpdateParticipantRequest,
    UpdateRoomMetadataRequest, UpdateSubscriptionsRequest, UpdateSubscriptionsResponse, UserPacket,
    data_packet,
};

use super::error::{Code, TwirpError};
use super::{Call, ROOM_SERVICE};
use crate::signal::{AdminError, MethodCall};

/// Bytes of a nonce, where there is one.
const NONCE: usize = 16;

type Answer = Result<Response, TwirpError>;

pub(super) async fn answer(name: &str, call: Call) -> Answer {
    match name {
        "CreateRoom" => create_room(call).await,
        "ListRooms" => list_rooms(call).await,
        "DeleteRoom" => delete_room(call).await,
        "ListParticipants" => list_participants(call).await,
        "GetParticipant" => get_participant(call).await,
        "RemoveParticipant" => remove_participant(call).await,
        "MutePublishedTrack" => mute_published_track(call).await,
        "UpdateParticipant" => update_participant(call).await,
        "UpdateSubscriptions" => update_subscriptions(call).await,
        "SendData" => send_data(call).await,
        "UpdateRoomMetadata" => update_room_metadata(call).await,
        "MoveParticipant" => move_participant(call).await,
        "ForwardParticipant" => forward_participant(&call),
        "PerformRpc" => perform_rpc(call).await,
        _ => Err(TwirpError::no_handler(&format!("/twirp/{ROOM_SERVICE}/{name}"))),
    }
}

async fn create_room(call: Call) -> Answer {
    let request: CreateRoomRequest = call.request()?;
    call.may_create()?;
    let room = call.rooms.create_room(request).await?;
    Ok(call.response(&room))
}

async fn list_rooms(call: Call) -> Answer {
    let ListRoomsRequest { names } = call.request()?;
    call.may_list()?;
    let rooms = call.rooms.list_rooms(&names).await;
    Ok(call.response(&ListRoomsResponse { rooms }))
}

async fn delete_room(call: Call) -> Answer {
    let DeleteRoomRequest { room } = call.request()?;
    call.may_create()?;
    call.rooms.delete_room(&room).await?;
    Ok(call.response(&DeleteRoomResponse {}))
}

async fn list_participants(call: Call) -> Answer {
    let ListParticipantsRequest { room } = call.request()?;
    call.may_administer(&room)?;
    let participants = call.rooms.participants(&room).await;
    Ok(call.response(&ListParticipantsResponse { participants }))
}

async fn get_participant(call: Call) -> Answer {
    let RoomParticipantIdentity { room, identity, .. } = call.request()?;
    call.may_administer(&room)?;
    let participant = call.rooms.participant(&room, &identity).await.map_err(about_participant)?;
    Ok(call.response(&participant))
}

async fn remove_participant(call: Call) -> Answer {
    let RoomParticipantIdentity { room, identity, .. } = call.request()?;
    call.may_administer(&room)?;
    call.rooms.remove_participant(&room, &identity).await.map_err(about_participant)?;
    Ok(call.response(&RemoveParticipantResponse {}))
}

async fn mute_published_track(call: Call) -> Answer {
    let MuteRoomTrackRequest { room, identity, track_sid, muted } = call.request()?;
    call.may_administer(&room)?;
    let track = match call.rooms.mute_track(&room, &identity, &track_sid, muted).await {
        Ok(track) => Some(track),
        // A track that is gone by now is as quiet as was asked for.
        Err(AdminError::NoTrack) => None,
        Err(error) => return Err(about_participant(error).into()),
    };
    Ok(call.response(&MuteRoomTrackResponse { track }))
}

async fn update_participant(call: Call) -> Answer {
    let UpdateParticipantRequest { room, identity, metadata, permission, name, attributes } =
        call.request()?;
    call.may_administer(&room)?;
    let update = UpdateParticipantMetadata { metadata, name, attributes, request_id: 0 };
    let updated = call.rooms.update_participant(&room, &identity, update, permission).await;
    Ok(call.response(&updated.map_err(about_participant)?))
}

async fn update_subscriptions(call: Call) -> Answer {
    let UpdateSubscriptionsRequest { room, identity, mut track_sids, subscribe, participant_tracks } =
        call.request()?;
    call.may_administer(&room)?;
    track_sids.extend(participant_tracks.into_iter().flat_map(|tracks| tracks.track_sids));
    let updated = call.rooms.update_subscriptions(&room, &identity, track_sids, subscribe).await;
    updated.map_err(about_participant)?;
    Ok(call.response(&UpdateSubscriptionsResponse {}))
}

#[expect(
    deprecated,
    reason = "it is how LiveKit's calls name the channel and older clients their recipients"
)]
async fn send_data(call: Call) -> Answer {
    let SendDataRequest { room, data, kind, destination_sids, destination_identities, topic, nonce } =
        call.request()?;
    call.may_administer(&room)?;
    if !matches!(nonce.len(), 0 | NONCE) {
        let message = format!("nonce should be 16-bytes or not present, got: {} bytes", nonce.len());
        return Err(TwirpError::new(Code::InvalidArgument, message));
    }
    let user = UserPacket {
        payload: data,
        destination_sids,
        destination_identities: destination_identities.clone(),
        topic,
        nonce,
        ..UserPacket::default()
    };
    let value = Some(data_packet::Value::User(user));
    let packet = DataPacket { kind, value, ..DataPacket::default() };
    call.rooms.send_data(&room, packet, destination_identities).await?;
    Ok(call.response(&SendDataResponse {}))
}

async fn update_room_metadata(call: Call) -> Answer {
    let UpdateRoomMetadataRequest { room, metadata } = call.request()?;
    call.may_administer(&room)?;
    let room = call.rooms.set_room_metadata(&room, metadata).await?;
    Ok(call.response(&room))
}

async fn move_participant(call: Call) -> Answer {
    let MoveParticipantRequest { room, identity, destination_room } = call.request()?;
    call.may_move(&room, &destination_room)?;
    differ(&room, &destination_room)?;
    call.rooms.move_participant(&room, &identity, &destination_room).await?;
    Ok(call.response(&MoveParticipantResponse {}))
}

fn forward_participant(call: &Call) -> Answer {
    let ForwardParticipantRequest { room, destination_room, .. } = call.request()?;
    call.may_move(&room, &destination_room)?;
    differ(&room, &destination_room)?;
    let message = "participants are not forwarded into a second room; let them join it, or move them";
    Err(TwirpError::new(Code::Unimplemented, message))
}

async fn perform_rpc(call: Call) -> Answer {
    let PerformRpcRequest { room, destination_identity, method, payload, response_timeout_ms } =
        call.request()?;
    call.may_administer(&room)?;
    if destination_identity.is_empty() {
        return Err(TwirpError::new(Code::InvalidArgument, "destination identity is required"));
    }
    let answered_within =
        (response_timeout_ms > 0).then(|| Duration::from_millis(response_timeout_ms.into()));
    let method = MethodCall { identity: destination_identity, method, payload, answered_within };
    let payload = call.rooms.call_method(&room, method).await.ok_or(AdminError::NoRoom)??;
    Ok(call.response(&PerformRpcResponse { payload }))
}

fn differ(room: &str, destination: &str) -> Result<(), TwirpError> {
    if room == destination {
        let message = "destination room cannot be the same as source room";
        return Err(TwirpError::new(Code::InvalidArgument, message));
    }
    Ok(())
}

/// Nobody is in a room that does not exist: that is what LiveKit says of it, too.
fn about_participant(error: AdminError) -> AdminError {
    match error {
        AdminError::NoRoom => AdminError::NoParticipant,
        other => other,
    }
}
