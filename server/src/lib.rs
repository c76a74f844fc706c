//! The program `banter`: configuration, HTTP API, LiveKit-compatible signalling, accounts, SQLite, the embedded web app.
//!
//! A request walks `http/<resource>` → `service/<resource>` → `store/<resource>`. Media never passes through here:
//! `signal/` speaks to the workers of `banter-sfu` by commands.

mod ambient;
mod data_dir;
mod events;
mod http;
mod service;
pub mod signal;
mod store;

pub use http::document as openapi;
