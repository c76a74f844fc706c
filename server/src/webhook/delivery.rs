//! The task of one address: takes events in, posts what its queue says, and tells the queue how that went.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use livekit_protocol::WebhookEvent;
use reqwest::{Client, StatusCode, header};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{debug, info, warn};
use url::Url;

use super::Counts;
use super::queue::{Due, Fate, Outcome, Queue};
use super::sign::Signer;

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "application/webhook+json";

pub(super) struct Delivery {
    target: Target,
    /// The address without what may be secret in it, for the log.
    shown: String,
    counts: Arc<Counts>,
    queue: Queue,
    /// Events of this queue in the count that all queues share.
    counted: u64,
    failing: bool,
}

/// Everything that one post needs.
#[derive(Clone)]
struct Target {
    client: Client,
    url: Url,
    signer: Signer,
}

/// A post that has ended.
struct Posted {
    due: Due,
    result: Result<(), Fault>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the receiver answered {0}")]
    Status(StatusCode),
    #[error("{0}")]
    Connection(String),
}

impl Delivery {
    pub(super) fn new(url: Url, signer: Signer, counts: Arc<Counts>) -> anyhow::Result<Self> {
        let client = Client::builder().user_agent("LiveKit").timeout(TIMEOUT).build()?;
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let target = Target { client, url, signer };
        Ok(Self { target, shown, counts, queue: Queue::default(), counted: 0, failing: false })
    }

    /// Runs until `ending` is true and the queue is empty.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<Arc<WebhookEvent>>,
        mut ending: watch::Receiver<bool>,
    ) {
        let mut posts: FuturesUnordered<BoxFuture<'static, Posted>> = FuturesUnordered::new();
        loop {
            while let Some(due) = self.queue.poll_due(Instant::now()) {
                posts.push(Box::pin(self.target.clone().post(due)));
            }
            self.count();
            if *ending.borrow() && self.queue.waiting() == 0 && events.is_empty() {
                return;
            }
            let until =
                self.queue.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                Some(event) = events.recv() => self.queue.handle_event(event, Instant::now()),
                Some(posted) = posts.next() => self.handle_posted(posted),
                () = sleep_until(until.into()) => {}
                Ok(()) = ending.changed() => {}
            }
        }
    }

    fn handle_posted(&mut self, Posted { due, result }: Posted) {
        let outcome = match &result {
            Ok(()) => Outcome::Delivered,
            Err(fault) => fault.outcome(),
        };
        let fate = self.queue.handle_outcome(&due.room, outcome, Instant::now());
        let (event, error) = (&due.event.event, result.err().map(|fault| fault.to_string()));
        let error = error.unwrap_or_default();
        match fate {
            Fate::Delivered => {
                self.counts.delivered.fetch_add(1, Ordering::Relaxed);
                debug!(url = self.shown, event, "webhook delivered");
                if std::mem::take(&mut self.failing) {
                    info!(url = self.shown, "webhooks are delivered again");
                }
            }
            Fate::Again(pause) => {
                self.counts.retried.fetch_add(1, Ordering::Relaxed);
                debug!(url = self.shown, event, error, ?pause, "webhook is tried again");
                // Said once, and not for every event of an outage.
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(
                        url = self.shown,
                        event, error, "a webhook could not be delivered and is tried again"
                    );
                }
            }
            Fate::GivenUp => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                warn!(url = self.shown, event, room = due.room, error, "a webhook was given up");
            }
        }
    }

    fn count(&mut self) {
        let dropped = self.queue.take_dropped();
        if dropped > 0 {
            self.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
            warn!(url = self.shown, dropped, "webhooks were dropped: their receiver is too slow or away");
        }
        let waiting = self.queue.waiting() as u64;
        self.counts.waiting.fetch_add(waiting, Ordering::Relaxed);
        self.counts.waiting.fetch_sub(std::mem::replace(&mut self.counted, waiting), Ordering::Relaxed);
    }
}

impl Target {
    async fn post(self, due: Due) -> Posted {
        let result = self.attempt(&due).await;
        Posted { due, result }
    }

    async fn attempt(&self, due: &Due) -> Result<(), Fault> {
        let body = body(&due.event, due.dropped);
        let signature = self.signer.sign(&body, SystemTime::now());
        let request = self.client.post(self.url.clone());
        let request =
            request.header(header::CONTENT_TYPE, CONTENT_TYPE).header(header::AUTHORIZATION, signature);
        // The address may hold a secret, and the error would tell it.
        let sent = request.body(body).send().await;
        let response = sent.map_err(|error| Fault::Connection(describe(&error.without_url())))?;
        if response.status().is_success() { Ok(()) } else { Err(Fault::Status(response.status())) }
    }
}

#[expect(deprecated, reason = "receivers read it still")]
fn body(event: &WebhookEvent, dropped: i32) -> Vec<u8> {
    let event = WebhookEvent { num_dropped: dropped, ..event.clone() };
    serde_json::to_vec(&event).expect("the room tells of values that it knows only")
}

/// An error with its causes: the outermost one says nothing.
fn describe(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Fault {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Status(StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            | Self::Connection(_) => Outcome::Failed,
            Self::Status(status) if status.is_server_error() => Outcome::Failed,
            Self::Status(_) => Outcome::Refused,
        }
    }
}
