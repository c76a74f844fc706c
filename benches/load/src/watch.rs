//! Two processes, the server and the harness, looked at once in a while.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::process::{self, Usage};

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub at: Instant,
    pub server: Option<Usage>,
    pub harness: Usage,
}

/// Looks on in the background, from the beginning of the measurement to its end.
#[derive(Debug)]
pub struct Watch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<Vec<Sight>>>,
}

/// Looks once, now.
#[expect(clippy::disallowed_methods, reason = "what is seen has a time")]
pub fn look(server: Option<u32>) -> anyhow::Result<Sight> {
    Ok(Sight {
        at: Instant::now(),
        server: server.map(|pid| process::usage(Some(pid))).transpose()?,
        harness: process::usage(None)?,
    })
}

impl Watch {
    pub fn begin(server: Option<u32>, every: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is at once.
            ticks.tick().await;
            let mut sights = vec![look(server)?];
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    _ = ticks.tick() => sights.push(look(server)?),
                }
            }
            sights.push(look(server)?);
            Ok(sights)
        });
        Self { stop, task }
    }

    /// The first of them is at the beginning, the last one now; there are always both.
    pub async fn end(self) -> anyhow::Result<Vec<Sight>> {
        // If it has ended by itself, it tells why.
        let _ = self.stop.send(());
        self.task.await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_a_first_and_a_last_look() {
        let watch = Watch::begin(Some(std::process::id()), Duration::from_secs(60));
        let sights = watch.end().await.expect("this process is there");
        assert_eq!(sights.len(), 2);
        assert!(sights[0].at <= sights[1].at && sights[1].server.is_some());
    }
}
