//! The program from outside: a real process on free ports with a data folder of its own, asked over real sockets.
#![expect(clippy::disallowed_methods, reason = "tests wait for real processes in real time")]

mod accounts;
mod bodies;
mod channels;
mod command_line;
mod configuration;
mod events;
mod invites;
mod lifecycle;
mod livekit_config;
mod metrics;
mod moderation;
mod openapi;
mod places;
mod program;
mod server;
mod single_port;
mod storage;
mod tls;
mod tokens;
mod web_app;
