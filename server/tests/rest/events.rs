//! The event stream.

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::places::{Call, token};
use crate::program;
use crate::server::{PATIENCE, Person, Server, text};

/// An event stream as a browser reads it.
pub struct Stream {
    response: reqwest::Response,
    unread: String,
}

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Stream {
    pub async fn open(person: &Person, last_seen: Option<&str>) -> Self {
        let mut request = person.request(Method::GET, "/api/events");
        if let Some(id) = last_seen {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, unread: String::new() }
    }

    /// The next event; `None` once the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        let read = async {
            loop {
                if let Some((block, rest)) = self.unread.split_once("\n\n") {
                    let (event, rest) = (parse(block), rest.to_owned());
                    self.unread = rest;
                    if event.is_some() {
                        return event;
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.ok().flatten()?;
                self.unread.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("something happens in time")
    }

    pub async fn expect(&mut self, name: &str) -> Event {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    async fn ended(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// Comments have no fields and are no events.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let data = serde_json::from_str(&field("data")?).expect("JSON");
    Some(Event { name: field("event").expect("a name"), id: field("id").expect("an id"), data })
}

#[tokio::test]
async fn a_stream_begins_with_everything_and_goes_on_with_changes() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let old = ada.channel(json!({ "name": "Old" })).await;
    let mut stream = Stream::open(&bob, None).await;
    let snapshot = stream.expect("snapshot").await.data;
    assert_eq!(snapshot, json!({ "channels": ada.get("/api/voice/channels").await.ok(200) }));

    let new = ada.channel(json!({ "name": "New" })).await;
    assert_eq!(stream.expect("channel_created").await.data, json!({ "channel": new }));
    let path = format!("/api/voice/channels/{}", text(&old["id"]));
    let renamed = ada.patch(&path, json!({ "name": "Older" })).await.ok(200);
    assert_eq!(stream.expect("channel_updated").await.data, json!({ "channel": renamed }));
    let moved = ada.patch(&path, json!({ "position": 5 })).await.ok(200);
    assert_eq!(stream.expect("channel_moved").await.data, json!({ "channel": moved }));
    ada.patch(&path, json!({})).await.ok(200);
    ada.patch(&path, json!({ "position": 6, "name": "Oldest" })).await.ok(200);
    stream.expect("channel_updated").await;
    stream.expect("channel_moved").await;
    ada.delete(&path).await.ok(204);
    assert_eq!(stream.expect("channel_deleted").await.data, json!({ "channel_id": old["id"] }));
}

#[tokio::test]
async fn people_are_seen_coming_and_going() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let mut stream = Stream::open(&ada, None).await;
    stream.expect("snapshot").await;

    let call = Call::join(&token(&bob, &id).await).await.expect("a place");
    let joined = stream.expect("participant_joined").await.data;
    assert_eq!(joined["channel_id"], id);
    let participant = &joined["participant"];
    assert_eq!(
        crate::server::members(participant),
        [
            "deafened",
            "joined_at",
            "muted",
            "name",
            "path",
            "server_deafened",
            "server_muted",
            "speaking",
            "user_id"
        ]
    );
    assert_eq!(participant["user_id"], bob.id().await);

    ada.delete(&format!("/api/voice/channels/{id}")).await.ok(204);
    stream.expect("channel_deleted").await;
    let left = stream.expect("participant_left").await.data;
    assert_eq!(left["user_id"], bob.id().await);
    assert_eq!(left["reason"], "room_deleted");
    call.leave().await;
}

#[tokio::test]
async fn rooms_that_are_no_channels_stay_private() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let mut stream = Stream::open(&ada, None).await;
    stream.expect("snapshot").await;
    let keys = banter_protocol::token::ApiKeys::new(vec![("devkey".into(), "secret".into())]).expect("a key");
    let claims = banter_protocol::token::Claims::for_room("guest", "guest", "elsewhere");
    let own = keys.sign(&claims, std::time::SystemTime::now(), std::time::Duration::from_secs(60));
    let address = token(&ada, &id).await["wsUrl"].clone();
    let _guest = Call::join(&json!({ "token": own, "wsUrl": address })).await.expect("a room of its own");
    let _ada = Call::join(&token(&ada, &id).await).await.expect("a place");
    assert_eq!(stream.expect("participant_joined").await.data["channel_id"], id);
}

#[tokio::test]
async fn who_comes_back_gets_only_what_they_missed() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let mut stream = Stream::open(&ada, None).await;
    stream.expect("snapshot").await;
    ada.channel(json!({ "name": "one" })).await;
    let seen = stream.expect("channel_created").await.id;
    drop(stream);
    ada.channel(json!({ "name": "two" })).await;
    ada.channel(json!({ "name": "three" })).await;

    let mut stream = Stream::open(&ada, Some(&seen)).await;
    assert_eq!(stream.expect("channel_created").await.data["channel"]["name"], "two");
    let last = stream.expect("channel_created").await;
    assert_eq!(last.data["channel"]["name"], "three");
    drop(stream);

    let mut stream = Stream::open(&ada, Some(&last.id)).await;
    ada.channel(json!({ "name": "four" })).await;
    assert_eq!(stream.expect("channel_created").await.data["channel"]["name"], "four");
}

#[tokio::test]
async fn an_id_of_another_life_or_of_none_gets_a_snapshot() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    for unusable in ["1-1", "nonsense", ""] {
        Stream::open(&ada, Some(unusable)).await.expect("snapshot").await;
    }
    let mut stream = Stream::open(&ada, None).await;
    let seen = stream.expect("snapshot").await.id;
    let (_, _, folder) = server.stop().await;
    stream.ended().await;
    let server = Server::on(folder, &["--dev"]).await;
    let ada = Person { base: server.stranger().base, ..ada };
    Stream::open(&ada, Some(&seen)).await.expect("snapshot").await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let server = Server::start().await;
    let ada = server.person("ada", "member").await;
    let other = server.sign_in("ada").await;
    let mut stream = Stream::open(&ada, None).await;
    let mut others = Stream::open(&other, None).await;
    stream.expect("snapshot").await;
    others.expect("snapshot").await;
    ada.post("/api/auth/logout", json!({})).await.ok(204);
    stream.ended().await;

    // From the command line the server is not told; it looks for itself.
    let data = server.data();
    let data = data.to_str().expect("UTF-8");
    let arguments = ["user", "passwd", "ada", "--password-stdin", "--data-dir", data];
    program::run_with_input(&arguments, "another password\n").succeeded();
    others.ended().await;
}

#[tokio::test]
async fn many_watchers_see_the_same_in_the_same_order() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = Stream::open(&ada, None).await;
        stream.expect("snapshot").await;
        streams.push(stream);
    }
    let create = |n: usize| {
        let ada = ada.clone();
        async move { ada.channel(json!({ "name": format!("c{n}") })).await }
    };
    futures_util::stream::iter(0..20).map(create).buffer_unordered(8).collect::<Vec<_>>().await;
    let mut orders = Vec::new();
    for stream in &mut streams {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(stream.expect("channel_created").await.id);
        }
        orders.push(ids);
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "{orders:?}");
}

#[tokio::test]
async fn one_person_has_so_many_streams_and_another_has_their_own() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Stream::open(&bob, None).await);
    }
    let said = bob.get("/api/events").await.error(429, "too_many_requests");
    assert!(text(&said["message"]).contains("16 event streams"), "{said}");
    Stream::open(&ada, None).await.expect("snapshot").await;
}
