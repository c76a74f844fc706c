//! The program: configuration, HTTP API, LiveKit-compatible signalling, accounts, SQLite and the embedded web app.

pub mod signal;
