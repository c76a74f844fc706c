//! The operator's wish that certificates be looked at now.

use std::sync::Arc;

use tokio::sync::Notify;

/// Cheap to clone. A wish that comes while nobody waits is kept for the next one who does.
#[derive(Clone, Debug, Default)]
pub struct Reload(Arc<Notify>);

impl Reload {
    /// Has certificate files read again, and a certificate that could not be obtained asked for again.
    pub fn request(&self) {
        self.0.notify_one();
    }

    pub(super) async fn requested(&self) {
        self.0.notified().await;
    }
}
