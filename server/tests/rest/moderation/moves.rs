//! Calls that a moderator takes to another channel.

use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message;
use serde_json::{Value, json};

use super::Scene;
use crate::events::Stream;
use crate::places::{Call, inside, token};
use crate::server::{Answer, text};

impl Scene {
    async fn another_channel(&self, channel: Value) -> String {
        text(&self.ada.channel(channel).await["id"])
    }

    async fn move_bob(&self, channel: &str) -> Answer {
        self.ada.post(&format!("/api/members/{}/move", self.bob_id), json!({ "channelId": channel })).await
    }

    /// Brings somebody new into a channel.
    async fn guest(&self, name: &str, channel: &str) -> Call {
        let guest = self.server.person(name, "member").await;
        Call::join(&token(&guest, channel).await).await.expect("a place")
    }

    /// Follows a move: joins with the token that the client is given before its session ends.
    async fn follow(&self, call: &mut Call) -> Result<Call, u16> {
        let (_, token) = moved(call).await;
        // The address is the server's, for whomever it signs a token.
        let address = self::token(&self.bob, &self.channel).await["wsUrl"].clone();
        Call::join(&json!({ "token": token, "wsUrl": address })).await
    }
}

#[tokio::test]
async fn a_moved_person_goes_over_and_everybody_sees_one_leave_and_one_join() {
    let scene = Scene::new().await;
    let other = scene.another_channel(json!({ "name": "Other" })).await;
    let mut eve = scene.guest("eve", &scene.channel).await;
    let mut mo = scene.guest("mo", &other).await;
    let mut bob = scene.call(&scene.bob).await;
    sees(&mut eve, &scene.bob_id, State::Joined).await;
    let mut stream = Stream::open(&scene.ada, None).await;
    stream.expect("snapshot").await;

    scene.move_bob(&other).await.ok(204);
    let left = stream.expect("participant_left").await.data;
    assert_eq!((&left["channel_id"], &left["reason"]), (&json!(scene.channel), &json!("migration")));
    let mut there = scene.follow(&mut bob).await.expect("a place");
    let joined = stream.expect("participant_joined").await.data;
    assert_eq!(
        (&joined["channel_id"], &joined["participant"]["user_id"]),
        (&json!(other), &json!(scene.bob_id))
    );
    assert_eq!(there.joined().await, (true, true));
    sees(&mut eve, &scene.bob_id, State::Disconnected).await;
    sees(&mut mo, &scene.bob_id, State::Joined).await;
    assert_eq!(scene.inside().await.len(), 1, "eve");
    assert_eq!(inside(&scene.ada, &other).await.len(), 2, "mo and bob");
    assert!(bob.until(|_| None::<()>).await.is_none(), "the earlier session is closed");
}

#[tokio::test]
async fn a_client_is_told_where_it_goes_and_to_connect_anew() {
    let scene = Scene::new().await;
    let other = scene.another_channel(json!({ "name": "Other" })).await;
    let mut bob = scene.call(&scene.bob).await;
    scene.move_bob(&other).await.ok(204);
    assert_eq!(moved(&mut bob).await.0, other);
    let leave = |message| match message {
        Message::Leave(leave) => Some(leave),
        _ => None,
    };
    let leave = bob.until(leave).await.expect("an end");
    assert_eq!(leave.action(), Action::Reconnect);
}

#[tokio::test]
async fn the_log_says_who_moved_whom_from_where_to_where_and_why() {
    let scene = Scene::new().await;
    let other = scene.another_channel(json!({ "name": "Other" })).await;
    let _bob = scene.call(&scene.bob).await;
    let body = json!({ "channelId": other, "reason": " asleep " });
    scene.ada.post(&format!("/api/members/{}/move", scene.bob_id), body).await.ok(204);
    let [entry] = &scene.log().await[..] else { panic!("one entry") };
    assert_eq!((&entry["action"], &entry["reason"]), (&json!("move"), &json!("asleep")));
    assert_eq!((&entry["actor_name"], &entry["target_name"]), (&json!("ada"), &json!("bob")));
    let details = json!({
        "from_channel": { "id": scene.channel, "name": "General" },
        "to_channel": { "id": other, "name": "Other" },
    });
    assert_eq!(entry["details"], details);
}

#[tokio::test]
async fn what_cannot_be_done_changes_nothing_and_is_no_entry() {
    let scene = Scene::new().await;
    let duo = scene.another_channel(json!({ "name": "Duo", "maxParticipants": 2 })).await;
    scene.move_bob(&duo).await.error(409, "not_in_voice");
    let _guests = [scene.guest("eve", &duo).await, scene.guest("mo", &duo).await];
    let mut bob = scene.call(&scene.bob).await;

    scene.move_bob(&duo).await.error(409, "channel_full");
    scene.move_bob("nowhere").await.error(404, "channel_not_found");
    let nobody = scene.ada.post("/api/members/nobody/move", json!({ "channelId": duo })).await;
    nobody.error(404, "user_not_found");
    let path = format!("/api/members/{}/move", scene.bob_id);
    let wordy = json!({ "channelId": scene.channel, "reason": "x".repeat(501) });
    let refusal = scene.ada.post(&path, wordy).await.error(400, "validation_failed");
    assert_eq!(refusal["field"], "reason");
    scene.ada.post(&path, json!({})).await.error(400, "validation_failed");

    scene.move_bob(&scene.channel).await.ok(204);
    assert_eq!(scene.inside().await.len(), 1, "bob is where he was");
    assert_eq!(scene.log().await, [] as [Value; 0]);
    bob.joined().await;
    // What else the client is told of: nothing that ends its session.
    let left = tokio::time::timeout(std::time::Duration::from_millis(200), bob.dismissed()).await;
    assert!(left.is_err(), "{left:?}");
}

#[tokio::test]
async fn the_last_place_is_kept_for_who_is_moved_into_it() {
    let scene = Scene::new().await;
    let duo = scene.another_channel(json!({ "name": "Duo", "maxParticipants": 2 })).await;
    let eve = scene.server.person("eve", "member").await;
    let early = token(&eve, &duo).await;
    let _mo = scene.guest("mo", &duo).await;
    let mut bob = scene.call(&scene.bob).await;
    scene.move_bob(&duo).await.ok(204);
    assert_eq!(Call::join(&early).await.err(), Some(403), "before bob is there");
    let there = scene.follow(&mut bob).await.expect("his place");
    assert_eq!(Call::join(&early).await.err(), Some(403), "and after");
    let mut stream = Stream::open(&scene.ada, None).await;
    there.leave().await;
    while stream.next().await.expect("the stream goes on").name != "participant_left" {}
    Call::join(&early).await.expect("the place that bob left");
}

#[tokio::test]
async fn a_server_mute_goes_along() {
    let scene = Scene::new().await;
    let other = scene.another_channel(json!({ "name": "Other" })).await;
    scene.voice(json!({ "server_muted": true })).await;
    let mut bob = scene.call(&scene.bob).await;
    scene.move_bob(&other).await.ok(204);
    let mut there = scene.follow(&mut bob).await.expect("a place");
    assert_eq!(there.joined().await, (false, true));
    assert_eq!(inside(&scene.ada, &other).await[0]["server_muted"], true);
}

#[tokio::test]
async fn of_moves_at_once_one_counts() {
    let scene = Scene::new().await;
    let one = scene.another_channel(json!({ "name": "One" })).await;
    let two = scene.another_channel(json!({ "name": "Two" })).await;
    for round in 0..5 {
        let mut bob = scene.call(&scene.bob).await;
        let (first, second) = tokio::join!(scene.move_bob(&one), scene.move_bob(&two));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "round {round}");
        let _there = scene.follow(&mut bob).await.expect("a place");
        let people = [inside(&scene.ada, &one).await, inside(&scene.ada, &two).await].concat();
        assert_eq!((people.len(), scene.inside().await.len()), (1, 0), "round {round}");
    }
    assert_eq!(scene.log().await.len(), 5);
}

/// The room that a client is sent to and the token for it.
async fn moved(call: &mut Call) -> (String, String) {
    let moved = |message| match message {
        Message::RoomMoved(moved) => Some((moved.room?.name, moved.token)),
        _ => None,
    };
    call.until(moved).await.expect("a move")
}

/// Waits until a client sees somebody in this state.
async fn sees(call: &mut Call, identity: &str, state: State) {
    let told = |message| match message {
        Message::Update(update) => update
            .participants
            .iter()
            .any(|info| info.identity == identity && info.state() == state)
            .then_some(()),
        _ => None,
    };
    call.until(told).await.expect("an update");
}
