//! What crosses a wire and both ends need: REST bodies, access tokens, prefixed ids. No I/O.

pub mod data_packet;
pub mod rest;
pub mod sid;
pub mod signal;
pub mod token;
