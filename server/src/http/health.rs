//! Is it alive, and can it serve? For supervisors and load balancers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use banter_protocol::rest::{PartState, Readiness};

use super::AppState;
use crate::store::StoreError;

pub fn router() -> Router<AppState> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(app): State<AppState>) -> (StatusCode, Json<Readiness>) {
    let reads = app.database.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT 1", [], |_| Ok(()))?)).await;
    let database = state(reads.is_ok());
    let media = state(app.media.is_alive());
    let all = [database, media].iter().all(|part| *part == PartState::Ok);
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { database, media }))
}

fn state(works: bool) -> PartState {
    if works { PartState::Ok } else { PartState::Failed }
}
