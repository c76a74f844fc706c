//! Both ways in, and what comes first behind each.

use banter_protocol::signal::Framing;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{DisconnectReason, JoinRequest, Ping, SessionDescription};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, join_request, microphone, offer, wrap};
use crate::server::{Server, claims, sign, token};

#[tokio::test]
async fn with_two_connections_the_server_offers_the_subscriber_one_after_the_join() {
    let server = Server::start().await;
    let (mut alice, join) = Client::join(server.address, &token("alice")).await;
    assert!(join.subscriber_primary && join.fast_publish);
    let description = alice
        .wait_for(|message| match message {
            Response::Offer(offer) => Some(offer.clone()),
            _ => None,
        })
        .await;
    assert_eq!((description.r#type.as_str(), description.id), ("offer", 1));
    assert!(description.sdp.contains("m=application") && description.sdp.contains("127.0.0.1"));

    let sdp = offer(None);
    let publisher =
        SessionDescription { r#type: "offer".into(), sdp, id: 5, ..SessionDescription::default() };
    alice.send(Request::Offer(publisher)).await;
    let description = answer(&mut alice).await;
    assert_eq!((description.r#type.as_str(), description.id), ("answer", 5));
}

#[tokio::test]
async fn with_one_connection_the_join_request_brings_tracks_and_the_offer() {
    let server = Server::start().await;
    let request = JoinRequest {
        add_track_requests: vec![microphone("mic")],
        publisher_offer: Some(SessionDescription {
            r#type: "offer".into(),
            sdp: offer(Some("mic")),
            id: 1,
            ..SessionDescription::default()
        }),
        ..join_request()
    };
    let (mut alice, join) = Client::join_v1(server.address, &token("alice"), request).await;
    assert!(!join.subscriber_primary);
    let published = alice
        .wait_for(|message| match message {
            Response::TrackPublished(published) => Some(published.clone()),
            _ => None,
        })
        .await;
    assert_eq!(published.cid, "mic");
    let description = answer(&mut alice).await;
    assert_eq!((description.r#type.as_str(), description.id), ("answer", 1));
    assert!(
        description.sdp.contains("a=inactive") && description.sdp.contains("a=recvonly"),
        "{}",
        description.sdp
    );

    let (mut bob, join) = Client::join_v1(server.address, &token("bob"), offering_one_section()).await;
    let track = published.track.expect("it is given").sid;
    assert_eq!(join.other_participants[0].tracks[0].sid, track);
    let description = answer(&mut bob).await;
    assert_eq!(description.mid_to_track_id.get("0"), Some(&track), "who comes later hears at once");
    assert!(description.sdp.contains(&format!("|{track}")));
}

#[tokio::test]
async fn a_join_request_at_the_old_door_means_one_connection() {
    let server = Server::start().await;
    let path = format!("/rtc?access_token={}&join_request={}", token("alice"), wrap(&join_request()));
    let opened = Client::open(server.address, &path, None).await.expect("the token is good");
    let (_, join) = opened.joined().await;
    assert!(!join.subscriber_primary);
}

#[tokio::test]
async fn the_token_may_come_in_the_header_which_counts_before_the_query() {
    let server = Server::start().await;
    let path = format!("/rtc?access_token={}", sign(&claims("query", "lobby")));
    let opened =
        Client::open(server.address, &path, Some(&token("header"))).await.expect("the token is good");
    let (_, join) = opened.joined().await;
    assert_eq!(join.participant.map(|participant| participant.identity), Some("header".into()));
}

#[tokio::test]
async fn a_text_message_switches_to_json_and_a_binary_one_back() {
    let server = Server::start().await;
    let (mut alice, _) = Client::join(server.address, &token("alice")).await;
    let pong = |message: &Response| match message {
        Response::PongResp(pong) => Some(*pong),
        _ => None,
    };
    let text = r#"{"pingReq":{"timestamp":"7","rtt":"1"},"somethingNew":1}"#;
    alice.send_raw(Message::Text(text.into())).await;
    assert_eq!(alice.wait_for(pong).await.last_ping_timestamp, 7);
    assert_eq!(alice.framing, Framing::Json);
    alice.framing = Framing::Binary;
    alice.send(Request::PingReq(Ping { timestamp: 8, rtt: 1 })).await;
    assert_eq!(alice.wait_for(pong).await.last_ping_timestamp, 8);
    assert_eq!(alice.framing, Framing::Binary);
}

#[tokio::test]
async fn who_wants_to_go_on_with_a_session_is_asked_to_begin_anew() {
    let server = Server::start().await;
    let resume = JoinRequest { reconnect: true, participant_sid: "PA_gone".into(), ..join_request() };
    let old = format!("/rtc?access_token={}&reconnect=1&sid=PA_gone", token("alice"));
    let new = format!("/rtc/v1?access_token={}&join_request={}", token("alice"), wrap(&resume));
    for path in [old, new] {
        let mut client = Client::open(server.address, &path, None).await.expect("the token is good");
        let leave = client.farewell().await;
        assert_eq!(leave.reason(), DisconnectReason::StateMismatch);
        assert_eq!(leave.action(), Action::Reconnect);
    }
}

#[tokio::test]
async fn a_url_of_sixty_kilobytes_is_read() {
    let server = Server::start().await;
    let sdp = offer(None) + &format!("a=x-padding:{}\r\n", "0".repeat(5000)).repeat(9);
    let publisher_offer =
        Some(SessionDescription { r#type: "offer".into(), sdp, id: 1, ..SessionDescription::default() });
    let path_length = wrap(&JoinRequest { publisher_offer: publisher_offer.clone(), ..join_request() }).len();
    assert!(path_length > 60_000, "{path_length}");
    let request = JoinRequest { publisher_offer, ..join_request() };
    let (mut alice, _) = Client::join_v1(server.address, &token("alice"), request).await;
    assert_eq!(answer(&mut alice).await.id, 1);
}

fn offering_one_section() -> JoinRequest {
    let publisher_offer = Some(SessionDescription {
        r#type: "offer".into(),
        sdp: offer(None),
        id: 1,
        ..SessionDescription::default()
    });
    JoinRequest { publisher_offer, ..join_request() }
}

async fn answer(client: &mut Client) -> SessionDescription {
    client
        .wait_for(|message| match message {
            Response::Answer(answer) => Some(answer.clone()),
            _ => None,
        })
        .await
}
