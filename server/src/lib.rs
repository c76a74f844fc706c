//! The program `banter`: configuration, HTTP API, LiveKit-compatible signalling, accounts, SQLite, the embedded web app.
//!
//! Start reading at [`app::App`], which wires all parts and ends them in order. A request walks `http/<resource>` →
//! `service/<resource>` → `store/<resource>`. Media never passes through here: `signal/` speaks to the workers of
//! `banter-sfu` by commands.

mod addresses;
mod ambient;
pub mod app;
mod bind;
mod checkup;
pub mod cli;
pub mod config;
pub mod data_dir;
mod door;
mod events;
pub mod external;
mod first_run;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod listener;
mod metrics;
mod port_holder;
pub mod port_mapping;
mod ports;
mod service;
pub mod signal;
mod sorting;
pub mod store;
mod telemetry;
pub mod tls;
mod trial;
mod voice_ports;
mod webhook;

pub use http::document as openapi;
