//! The event stream (server-sent events, HTML Living Standard §9.2).

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use banter_protocol::rest::{ErrorBody, ExcludedEvent, SnapshotEvent};
use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::AppState;
use super::auth::SignedIn;
use super::error::ApiError;
use super::reached::Reached;
use crate::ambient;
use crate::events::{EventId, Numbered, Subscription};
use crate::service::sessions::{Caller, SessionKey};

/// Comments this often keep proxies from closing an idle stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often a stream looks whether its session still lives, beside being told: another process may have ended it.
const SESSION_CHECK: Duration = Duration::from_secs(15);

/// Follows what happens to channels and the people in them.
///
/// Events: `snapshot`, `channel_created`, `channel_updated`, `channel_moved`, `channel_deleted`, `participant_joined`,
/// `participant_updated`, `participant_left`, `speaking`, `excluded`. Applying an event twice does no harm. The stream ends
/// with the session; whoever is kicked or banned is told so by its last event, `excluded`.
#[utoipa::path(get, operation_id = "stream_events", path = "/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Resumes after this event if it is still known")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "The events"),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 429, body = ErrorBody, description = "`too_many_requests`: one person may have 16 streams"),
    ))]
pub async fn stream(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    reached: Reached,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ApiError> {
    let last_seen: Option<EventId> =
        headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let stream = app.streams.open(&caller.user.id)?;
    // The subscription comes before the snapshot, so that nothing can fall between the two.
    let subscription = app.events.subscribe(last_seen);
    let snapshot = match subscription.missed {
        Some(_) => None,
        None => Some(SnapshotEvent { channels: app.channels.list().await? }),
    };
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        feed(app, caller, reached.client, subscription, snapshot, sender).await;
        drop(stream);
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive))
}

type Sink = mpsc::Sender<Result<sse::Event, Infallible>>;

/// Feeds one stream until its reader, its session or the program ends.
async fn feed(
    app: AppState,
    caller: Caller,
    from: IpAddr,
    mut subscription: Subscription,
    snapshot: Option<SnapshotEvent>,
    sink: Sink,
) {
    let mut endings = app.sessions.endings();
    let mut ending = app.ending.clone();
    let mut session_check = tokio::time::interval(SESSION_CHECK);
    let first = snapshot.map(|snapshot| wire("snapshot", subscription.since, &snapshot));
    let missed = subscription.missed.take().unwrap_or_default();
    for event in first.into_iter().chain(missed.iter().map(|numbered| wire_numbered(numbered))) {
        if sink.send(Ok(event)).await.is_err() {
            return;
        }
    }
    loop {
        tokio::select! {
            next = subscription.next() => {
                // Who has fallen behind is cut off, comes back with the last id, and gets a snapshot.
                let Some(Ok(numbered)) = next else { return };
                if sink.send(Ok(wire_numbered(&numbered))).await.is_err() {
                    return;
                }
            }
            _ = endings.changed() => {
                if !lives(&app, caller.session).await { break }
            }
            _ = session_check.tick() => {
                if !lives(&app, caller.session).await { break }
            }
            () = sink.closed() => return,
            () = ended(&mut ending) => return,
        }
    }
    if let Some(event) = farewell(&app, caller, from, subscription.since).await {
        // Who has gone meanwhile needs no farewell.
        let _ = sink.send(Ok(event)).await;
    }
}

/// The last event for somebody who was kicked or banned; others have ended their session themselves.
async fn farewell(app: &AppState, caller: Caller, from: IpAddr, id: EventId) -> Option<sse::Event> {
    let now = ambient::now().wall;
    let exclusion = app.moderation.exclusion(caller.user.id, Some(from), now).await.ok().flatten()?;
    Some(wire("excluded", id, &ExcludedEvent { error: ApiError::from(exclusion).into() }))
}

async fn lives(app: &AppState, session: SessionKey) -> bool {
    matches!(app.sessions.caller(session, ambient::now().wall).await, Ok(Some(_)))
}

async fn ended(ending: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as one that says so.
    let _ = ending.wait_for(|ending| *ending).await;
}

fn wire_numbered(numbered: &Numbered) -> sse::Event {
    wire(numbered.event.name(), numbered.id, &numbered.event)
}

fn wire(name: &str, id: EventId, data: &impl serde::Serialize) -> sse::Event {
    let data = serde_json::to_string(data).expect("events have string keys only");
    sse::Event::default().event(name).id(id.to_string()).data(data)
}
