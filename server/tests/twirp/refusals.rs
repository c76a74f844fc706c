//! What is refused before a call means anything: tokens, grants, bodies, routes.

use banter_protocol::token::VideoGrant;
use reqwest::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};

use crate::calls::{Backend, Encoding, SERVICE, base, token};
use crate::server::Server;

const METHODS: [&str; 13] = [
    "CreateRoom",
    "ListRooms",
    "DeleteRoom",
    "ListParticipants",
    "GetParticipant",
    "RemoveParticipant",
    "MutePublishedTrack",
    "UpdateParticipant",
    "UpdateSubscriptions",
    "SendData",
    "UpdateRoomMetadata",
    "MoveParticipant",
    "ForwardParticipant",
];

#[tokio::test]
async fn every_method_wants_a_good_token_with_its_grant() {
    let server = Server::start().await;
    let strangers = [
        None,
        Some(token(VideoGrant { room_join: true, room: "r".into(), ..VideoGrant::default() })),
        // An administrator of another room, who may neither create nor list.
        Some(token(VideoGrant { room_admin: true, room: "other".into(), ..VideoGrant::default() })),
    ];
    for method in METHODS {
        for (kind, body) in
            [("application/json", b"{\"room\": \"r\"}".to_vec()), ("application/protobuf", vec![])]
        {
            for stranger in &strangers {
                let backend =
                    Backend { token: stranger.clone(), ..Backend::of(&server, Encoding::Json, "r", "") };
                let answer = backend.send(method, kind, body.clone()).await;
                assert_eq!(answer.status(), 401, "{method} {kind} {stranger:?}");
                let error: Value = answer.json().await.expect("errors are JSON");
                assert_eq!(
                    error,
                    json!({"code": "unauthenticated", "msg": "permissions denied"}),
                    "{method}"
                );
            }
            let backend =
                Backend { token: Some("a.b.c".into()), ..Backend::of(&server, Encoding::Json, "r", "") };
            let answer = backend.send(method, kind, body.clone()).await;
            assert_eq!(answer.status(), 401);
            assert!(answer.headers()[CONTENT_TYPE].to_str().expect("text").starts_with("text/plain"));
            assert!(answer.text().await.expect("text").starts_with("invalid authorization token"));
        }
    }
}

#[tokio::test]
async fn every_method_refuses_bodies_that_it_cannot_read() {
    let server = Server::start().await;
    let backend = Backend::of(&server, Encoding::Json, "r", "r2");
    for method in METHODS {
        for (kind, body, message) in [
            ("application/json", &b"{x"[..], "the json request could not be decoded"),
            ("application/json", b"[]", "the json request could not be decoded"),
            ("application/json", b"", "the json request could not be decoded"),
            ("application/protobuf", b"\xff\xff\xff", "the protobuf request could not be decoded"),
        ] {
            let answer = backend.send(method, kind, body.to_vec()).await;
            assert_eq!(answer.status(), 400, "{method} {kind}");
            let error: Value = answer.json().await.expect("errors are JSON");
            assert_eq!(error, json!({"code": "malformed", "msg": message}), "{method}");
        }
    }
    let large = backend.send("ListRooms", "application/json", vec![b' '; (10 << 20) + 1]).await;
    assert_eq!(large.status(), 413);
}

#[tokio::test]
async fn what_is_no_route_says_so() {
    let server = Server::start().await;
    let call = |method: Method, path: &str, kind: &str| {
        let request = Http::new().request(method, format!("{}{path}", base(&server)));
        request.header(CONTENT_TYPE, kind).bearer_auth(token(VideoGrant::default())).body("{}").send()
    };
    let json = "application/json";
    for (method, path, kind, message) in [
        (Method::POST, format!("{SERVICE}/Nothing"), json, "no handler for path"),
        (Method::POST, "/twirp/livekit.Nothing/Nothing".into(), json, "no handler for path"),
        (Method::POST, "/twirp/short".into(), json, "no handler for path"),
        (
            Method::GET,
            format!("{SERVICE}/ListRooms"),
            json,
            "unsupported method \"GET\" (only POST is allowed)",
        ),
        (
            Method::PUT,
            format!("{SERVICE}/ListRooms"),
            json,
            "unsupported method \"PUT\" (only POST is allowed)",
        ),
        (
            Method::POST,
            format!("{SERVICE}/ListRooms"),
            "text/plain",
            "unexpected Content-Type: \"text/plain\"",
        ),
    ] {
        let answer = call(method.clone(), &path, kind).await.expect("the server answers");
        assert_eq!(answer.status(), 404, "{method} {path}");
        let error: Value = answer.json().await.expect("errors are JSON");
        assert_eq!(error["code"], "bad_route");
        assert!(error["msg"].as_str().is_some_and(|text| text.contains(message)), "{error}");
        assert_eq!(error["meta"]["twirp_invalid_route"], format!("{method} {path}"));
    }
    for service in
        ["AgentDispatchService/ListDispatch", "Egress/ListEgress", "Ingress/ListIngress", "SIP/ListSIPTrunk"]
    {
        let answer =
            call(Method::POST, &format!("/twirp/livekit.{service}"), json).await.expect("it answers");
        assert_eq!(answer.status(), 501, "{service}");
        let error: Value = answer.json().await.expect("errors are JSON");
        assert_eq!(error["code"], "unimplemented");
    }
}

#[tokio::test]
async fn any_page_may_read_the_answers_and_any_number_of_slashes_will_do() {
    let server = Server::start().await;
    let list = format!("{}/{SERVICE}/ListRooms", base(&server));
    let grant = VideoGrant { room_list: true, ..VideoGrant::default() };
    let ask = |bearer: String| {
        let request = Http::new().post(&list).header("origin", "https://elsewhere.example");
        request.header(CONTENT_TYPE, "application/json").bearer_auth(bearer).body("{}").send()
    };
    for (bearer, status) in [(token(grant), 200), ("bad".to_owned(), 401)] {
        let answer = ask(bearer).await.expect("the server answers");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
    let preflight = Http::new()
        .request(Method::OPTIONS, &list)
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let answer = preflight.send().await.expect("the server answers");
    assert!(answer.status().is_success());
    assert_eq!(answer.headers()["access-control-max-age"], "86400");
    assert_eq!(answer.headers()["access-control-allow-headers"], "authorization,content-type");

    let alive = Http::new().head(format!("{}/", base(&server))).send().await.expect("the server answers");
    assert_eq!(
        (alive.status().as_u16(), &alive.headers()[ACCESS_CONTROL_ALLOW_ORIGIN]),
        (200, &"*".parse().expect("a header"))
    );
}
