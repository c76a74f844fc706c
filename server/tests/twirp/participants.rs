//! Participants seen, changed, muted and removed by a backend.

use std::collections::HashMap;

use banter_protocol::token::Claims;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, DisconnectReason, ListParticipantsRequest, ListParticipantsResponse,
    MuteRoomTrackRequest, MuteRoomTrackResponse, ParticipantInfo, ParticipantPermission,
    RemoveParticipantResponse, RoomParticipantIdentity, TrackInfo, TrackSource, UpdateParticipantRequest,
    UpdateSubscriptionsRequest, UpdateSubscriptionsResponse,
};

use crate::calls::{BOTH, Backend, Encoding, address, failure, join, sign};
use crate::client::Client;
use crate::server::Server;

#[tokio::test]
async fn a_participant_is_seen_and_removed() {
    let server = Server::start().await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "r", "");
        let (mut alice, joined) = join(&server, "alice", "r").await;
        let me = joined.participant.expect("it is given");

        let found: ParticipantInfo = backend.call("GetParticipant", &who("alice")).await.expect("she is in");
        assert_eq!((&found.sid, found.identity.as_str()), (&me.sid, "alice"));
        assert_eq!(found.permission, me.permission);
        let request = ListParticipantsRequest { room: "r".into() };
        let all: ListParticipantsResponse = backend.call("ListParticipants", &request).await.expect("it may");
        assert_eq!(all.participants.iter().map(|one| &one.sid).collect::<Vec<_>>(), [&me.sid]);

        let _: RemoveParticipantResponse =
            backend.call("RemoveParticipant", &who("alice")).await.expect("she is in");
        let leave = alice.farewell().await;
        assert_eq!(
            (leave.reason(), leave.action()),
            (DisconnectReason::ParticipantRemoved, Action::Disconnect)
        );
        let all: ListParticipantsResponse = backend.call("ListParticipants", &request).await.expect("it may");
        assert!(all.participants.is_empty());
    }
}

#[tokio::test]
async fn a_participant_is_described_and_permitted_from_outside() {
    let server = Server::start().await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "r", "");
        let (mut alice, _) = join(&server, "alice", "r").await;
        let update = UpdateParticipantRequest {
            name: "Queen".into(),
            metadata: "m".into(),
            attributes: HashMap::from([("rank".into(), "1".into())]),
            permission: Some(ParticipantPermission { can_subscribe: true, ..Default::default() }),
            ..target("alice")
        };
        let updated: ParticipantInfo = backend.call("UpdateParticipant", &update).await.expect("she is in");
        assert_eq!((updated.name.as_str(), updated.metadata.as_str()), ("Queen", "m"));
        let permission = updated.permission.expect("it is given");
        assert!(permission.can_subscribe && !permission.can_publish && !permission.can_publish_data);
        alice
            .wait_for(|message| match message {
                Response::Update(update) => {
                    let me = update.participants.iter().find(|info| info.identity == "alice")?;
                    let silenced = me.permission.as_ref().is_some_and(|permission| !permission.can_publish);
                    (silenced && me.attributes.get("rank").is_some_and(|rank| rank == "1")).then_some(())
                }
                _ => None,
            })
            .await;

        let forget = UpdateParticipantRequest {
            attributes: HashMap::from([("rank".into(), String::new())]),
            ..target("alice")
        };
        let updated: ParticipantInfo = backend.call("UpdateParticipant", &forget).await.expect("she is in");
        assert!(updated.attributes.is_empty());
        assert_eq!((updated.name.as_str(), updated.metadata.as_str()), ("Queen", "m"));

        let long = UpdateParticipantRequest { name: "x".repeat(257), ..target("alice") };
        let failed = backend.call::<_, ParticipantInfo>("UpdateParticipant", &long).await;
        assert_eq!(
            failed.map_err(|failure| (failure.status, failure.code)),
            Err((400, "invalid_argument".into()))
        );
        let _: RemoveParticipantResponse =
            backend.call("RemoveParticipant", &who("alice")).await.expect("she is in");
    }
}

#[tokio::test]
async fn a_track_is_muted_and_only_on_request_of_the_operator_unmuted() {
    let forbidding = Server::start().await;
    let allowing = Server::with(&["--dev", "--room-remote-unmute", "true"]).await;
    for (server, unmutes) in [(&forbidding, false), (&allowing, true)] {
        let (mut alice, _) = join(server, "alice", "r").await;
        let track = announce(&mut alice).await;
        for encoding in BOTH {
            let backend = Backend::of(server, encoding, "r", "");
            let muted =
                mute(&backend, &track.sid, true).await.expect("it is there").track.expect("it is given");
            assert!(muted.muted && muted.sid == track.sid);
            let told = alice.wait_for(|message| match message {
                Response::Mute(mute) if mute.muted => Some(mute.sid.clone()),
                _ => None,
            });
            assert_eq!(told.await, track.sid);

            let unmuted = mute(&backend, &track.sid, false).await;
            match unmutes {
                true => assert!(!unmuted.expect("it may").track.expect("it is given").muted),
                false => {
                    let refused = failure(412, "failed_precondition", "remote unmute not enabled");
                    assert_eq!(unmuted.expect_err("it may not"), refused);
                }
            }
            let unknown = mute(&backend, "TR_AMnothere", true).await.expect("that is no error at LiveKit");
            assert_eq!(unknown.track, None);
        }
    }
}

#[tokio::test]
async fn subscriptions_are_changed_from_outside() {
    let server = Server::start().await;
    let (_alice, _) = join(&server, "alice", "r").await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "r", "");
        let request = UpdateSubscriptionsRequest {
            room: "r".into(),
            identity: "alice".into(),
            track_sids: vec!["TR_AMnothere".into()],
            ..UpdateSubscriptionsRequest::default()
        };
        let _: UpdateSubscriptionsResponse = backend
            .call("UpdateSubscriptions", &request)
            .await
            .expect("tracks that are not there are left out");
    }
}

#[tokio::test]
async fn who_is_not_there_is_not_found() {
    let server = Server::start().await;
    for encoding in BOTH {
        for room in ["empty", "nowhere"] {
            if room == "empty" {
                join(&server, "alice", room).await;
            }
            let backend = Backend::of(&server, encoding, room, "");
            let expected = || failure(404, "not_found", "participant does not exist");
            let bob =
                RoomParticipantIdentity { room: room.into(), identity: "bob".into(), ..Default::default() };
            let found = backend.call::<_, ParticipantInfo>("GetParticipant", &bob).await;
            assert_eq!(found.expect_err("he is not in"), expected());
            let removed = backend.call::<_, RemoveParticipantResponse>("RemoveParticipant", &bob).await;
            assert_eq!(removed.expect_err("he is not in"), expected());
            let update =
                UpdateParticipantRequest { room: room.into(), metadata: "m".into(), ..target("bob") };
            let updated = backend.call::<_, ParticipantInfo>("UpdateParticipant", &update).await;
            assert_eq!(updated.expect_err("he is not in"), expected());
            let muting =
                MuteRoomTrackRequest { room: room.into(), identity: "bob".into(), ..Default::default() };
            let muted = backend.call::<_, MuteRoomTrackResponse>("MutePublishedTrack", &muting).await;
            assert_eq!(muted.expect_err("he is not in"), expected());
            let request = UpdateSubscriptionsRequest {
                room: room.into(),
                identity: "bob".into(),
                ..Default::default()
            };
            let subscribed =
                backend.call::<_, UpdateSubscriptionsResponse>("UpdateSubscriptions", &request).await;
            assert_eq!(subscribed.expect_err("he is not in"), expected());
        }
        let backend = Backend::of(&server, encoding, "nowhere", "");
        let request = ListParticipantsRequest { room: "nowhere".into() };
        let all: ListParticipantsResponse =
            backend.call("ListParticipants", &request).await.expect("as LiveKit");
        assert!(all.participants.is_empty());
    }
}

#[tokio::test]
async fn a_second_connection_only_publishes_under_a_name_of_its_own() {
    let server = Server::start().await;
    let token = sign(Claims::for_room("alice", "Alice", "r"));
    let path = format!("/rtc?access_token={token}&protocol=17&publish=screen");
    let client = Client::open(address(&server), &path, None).await.expect("the token is good");
    let (_client, joined) = client.joined().await;
    assert!(!joined.subscriber_primary);
    let backend = Backend::of(&server, Encoding::Json, "r", "");
    let found: ParticipantInfo =
        backend.call("GetParticipant", &who("alice#screen")).await.expect("it is in");
    assert!(found.permission.is_some_and(|permission| permission.can_publish && !permission.can_subscribe));
}

async fn mute(
    backend: &Backend,
    sid: &str,
    muted: bool,
) -> Result<MuteRoomTrackResponse, crate::calls::Failure> {
    let request =
        MuteRoomTrackRequest { room: "r".into(), identity: "alice".into(), track_sid: sid.into(), muted };
    backend.call("MutePublishedTrack", &request).await
}

async fn announce(client: &mut Client) -> TrackInfo {
    let source = TrackSource::Microphone.into();
    client.send(Request::AddTrack(AddTrackRequest { cid: "mic".into(), source, ..Default::default() })).await;
    client
        .wait_for(|message| match message {
            Response::TrackPublished(published) => published.track.clone(),
            _ => None,
        })
        .await
}

fn who(identity: &str) -> RoomParticipantIdentity {
    RoomParticipantIdentity { room: "r".into(), identity: identity.into(), ..Default::default() }
}

fn target(identity: &str) -> UpdateParticipantRequest {
    UpdateParticipantRequest { room: "r".into(), identity: identity.into(), ..Default::default() }
}
