//! The program `banter`: configuration, HTTP API, LiveKit-compatible signalling, accounts, SQLite, the embedded web app.
//!
//! A request walks `http/<resource>` → `service/<resource>` → `store/<resource>`. Media never passes through here:
//! `signal/` speaks to the workers of `banter-sfu` by commands.

pub mod signal;
