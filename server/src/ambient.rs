//! The clock and the random generator, read here and handed down as values.
#![expect(clippy::disallowed_methods, reason = "the border of the program reads the clock once per request")]

use std::convert::Infallible;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use banter_protocol::rest::UnixMillis;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use crate::service::Now;

/// The moment at which a request is handled.
pub struct At(pub Now);

impl<S: Sync> FromRequestParts<S> for At {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(now()))
    }
}

pub fn now() -> Now {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).expect("the year is below 292 million");
    Now { wall: UnixMillis(millis), monotonic: Instant::now() }
}

/// The operating system's generator. It has never been known to fail after start, and there is nothing to do if it does.
pub fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
