//! Who is not let in, and what it is told: LiveKit's table, row by row, at both doors and their `validate`.

use std::time::{Duration, SystemTime};

use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use banter_server::signal::SignalConfig;
use livekit_protocol::JoinRequest;

use crate::client::{Client, join_request, microphone, wrap};
use crate::server::{KEY, SECRET, Server, claims, granting, sign, sign_at, token};

/// A row: what is wrong, the query, the header, and the answer.
struct Row {
    wrong: &'static str,
    query: String,
    authorization: Option<String>,
    status: u16,
    says: &'static str,
}

#[tokio::test]
async fn each_refusal_has_its_status_and_text_at_both_doors() {
    let server = Server::start().await;
    server.add_channel("full", 1);
    let (_inside, _) = Client::join(server.address, &sign(&claims("first", "full"))).await;
    for row in rows() {
        for door in ["/rtc", "/rtc/v1"] {
            let path = format!("{door}?join_request={}&{}", wrap(&join_request()), row.query);
            check_upgrade(&server, &row, &path).await;
            check_validate(&server, &row, &path.replacen('?', "/validate?", 1)).await;
        }
    }
}

#[tokio::test]
async fn a_join_request_must_be_there_at_v1_and_must_be_one() {
    let server = Server::start().await;
    let token = token("alice");
    let silent = VideoGrant { can_publish: Some(false), ..VideoGrant::default() };
    let publishing = JoinRequest { add_track_requests: vec![microphone("m")], ..join_request() };
    let describing = JoinRequest { metadata: "me".into(), ..join_request() };
    for (wrong, query, status, says) in [
        ("absent", format!("access_token={token}"), 400, "join_request is required"),
        ("not base64", format!("access_token={token}&join_request=***"), 400, "base64"),
        ("not a message", format!("access_token={token}&join_request=_____w"), 400, "join_request"),
        (
            "publishes without permission",
            format!("access_token={}&join_request={}", sign(&granting("a", silent)), wrap(&publishing)),
            401,
            "permit",
        ),
        (
            "describes itself without permission",
            format!("access_token={token}&join_request={}", wrap(&describing)),
            401,
            "permit",
        ),
    ] {
        let row = Row { wrong, query, authorization: None, status, says };
        check_upgrade(&server, &row, &format!("/rtc/v1?{}", row.query)).await;
        check_validate(&server, &row, &format!("/rtc/v1/validate?{}", row.query)).await;
    }
}

#[tokio::test]
async fn a_request_that_is_no_websocket_finds_nothing_but_may_be_read() {
    let server = Server::start().await;
    for door in ["/rtc", "/rtc/v1"] {
        let url = format!("http://{}{door}?access_token={}", server.address, token("alice"));
        let response = reqwest::get(url).await.expect("the server answers");
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.text().await.expect("a body"), "");
    }
}

#[tokio::test]
async fn without_auto_create_only_who_may_create_rooms_opens_one() {
    let config = SignalConfig::new(vec![(KEY.into(), SECRET.into())]);
    let server = Server::start_with(SignalConfig { auto_create: false, ..config }).await;
    server.add_channel("channel", 0);
    let query = format!("access_token={}", token("alice"));
    let row = Row {
        wrong: "no room",
        query,
        authorization: None,
        status: 404,
        says: "requested room does not exist",
    };
    check_upgrade(&server, &row, &format!("/rtc?{}", row.query)).await;
    check_validate(&server, &row, &format!("/rtc/validate?{}", row.query)).await;

    let (_in_channel, _) = Client::join(server.address, &sign(&claims("alice", "channel"))).await;
    let creator = granting("bob", VideoGrant { room_create: true, ..VideoGrant::default() });
    let (_creator, _) = Client::join(server.address, &sign(&creator)).await;
    let (_follower, _) = Client::join(server.address, &token("alice")).await;
}

#[tokio::test]
async fn rooms_have_the_limit_of_the_configuration_unless_they_name_one() {
    let config = SignalConfig::new(vec![(KEY.into(), SECRET.into())]);
    let server = Server::start_with(SignalConfig { max_participants: 1, ..config }).await;
    let (_first, _) = Client::join(server.address, &token("alice")).await;
    let query = format!("access_token={}", token("bob"));
    let row = Row { wrong: "full", query, authorization: None, status: 403, says: "limit of 1" };
    check_upgrade(&server, &row, &format!("/rtc?{}", row.query)).await;
}

#[tokio::test]
async fn a_good_request_validates() {
    let server = Server::start().await;
    let token = token("alice");
    let wrapped = wrap(&join_request());
    for path in ["/rtc/validate?", &format!("/rtc/v1/validate?join_request={wrapped}&")] {
        let url = format!("http://{}{path}access_token={token}", server.address);
        let response = reqwest::get(url).await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.text().await.expect("a body"), "success");
    }
    assert_eq!(server.rooms.occupancy("lobby"), 0, "nobody has joined by it");
}

#[tokio::test]
async fn preflights_are_answered_for_any_origin() {
    let server = Server::start().await;
    let url = format!("http://{}/rtc/v1/validate", server.address);
    let request = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, url)
        .header("origin", "https://example.org")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    let response = request.send().await.expect("the server answers");
    assert!(response.status().is_success());
    for header in ["access-control-allow-origin", "access-control-allow-methods"] {
        assert_eq!(response.headers()[header], "*");
    }
    assert_eq!(
        response.headers()["access-control-allow-headers"],
        "authorization",
        "a wildcard leaves it out"
    );
}

fn rows() -> Vec<Row> {
    let query = |claims: &Claims| format!("access_token={}", sign(claims));
    let ago = SystemTime::now() - Duration::from_secs(3600);
    let foreign = ApiKeys::new(vec![("other".into(), "secret".into())]).expect("one key");
    let forged = ApiKeys::new(vec![("devkey".into(), "guess".into())]).expect("one key");
    let minutes = Duration::from_secs(600);
    let row = |wrong, query, status, says| Row { wrong, query, authorization: None, status, says };
    let good = claims("alice", "lobby");
    vec![
        row("no token", String::new(), 401, "no permissions to access the room"),
        row("not a token", "access_token=abc".into(), 401, "invalid authorization token"),
        row("expired", format!("access_token={}", sign_at(&good, ago)), 401, "expired"),
        row(
            "a key that we do not know",
            format!("access_token={}", foreign.sign(&good, SystemTime::now(), minutes)),
            401,
            "invalid authorization token",
        ),
        row(
            "another secret",
            format!("access_token={}", forged.sign(&good, SystemTime::now(), minutes)),
            401,
            "invalid authorization token",
        ),
        Row {
            wrong: "a header that is not Bearer, before the query",
            query: query(&good),
            authorization: Some("Basic YTpi".into()),
            status: 401,
            says: "Bearer",
        },
        row(
            "no video grant",
            query(&Claims { video: None, ..good.clone() }),
            401,
            "no permissions to access the room",
        ),
        row(
            "no roomJoin",
            query(&Claims { video: Some(VideoGrant::default()), ..good.clone() }),
            401,
            "permissions denied",
        ),
        row("no identity", query(&claims("", "lobby")), 400, "identity cannot be empty"),
        row("a long identity", query(&claims(&"i".repeat(257), "lobby")), 400, "identity"),
        row("no room", query(&claims("alice", "")), 400, "room name"),
        row("a long room name", query(&claims("alice", &"r".repeat(257))), 400, "room name"),
        row(
            "a channel that is gone",
            query(&Claims { banter_channel: true, ..claims("alice", "gone") }),
            404,
            "requested room does not exist",
        ),
        row("a channel that is full", query(&claims("second", "full")), 403, "limit"),
    ]
}

async fn check_upgrade(server: &Server, row: &Row, path: &str) {
    let opened = match &row.authorization {
        None => Client::open(server.address, path, None).await,
        Some(_) => return,
    };
    let refused = opened.err().unwrap_or_else(|| panic!("{} at {path} was let in", row.wrong));
    assert_eq!(refused.status, row.status, "{} at {path}: {refused:?}", row.wrong);
    assert_eq!(refused.allow_origin.as_deref(), Some("*"), "{} at {path}", row.wrong);
    assert!(refused.body.contains(row.says), "{} at {path}: {refused:?}", row.wrong);
}

async fn check_validate(server: &Server, row: &Row, path: &str) {
    let mut request = reqwest::Client::new().get(format!("http://{}{path}", server.address));
    if let Some(authorization) = &row.authorization {
        request = request.header("authorization", authorization);
    }
    let response = request.send().await.expect("the server answers");
    assert_eq!(response.status().as_u16(), row.status, "{} at {path}", row.wrong);
    assert_eq!(response.headers()["access-control-allow-origin"], "*", "{} at {path}", row.wrong);
    let body = response.text().await.expect("a body");
    assert!(body.contains(row.says), "{} at {path}: {body}", row.wrong);
}
