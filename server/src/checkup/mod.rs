//! What `banter doctor` and `banter probe` look at. Each check gathers facts and hands them to a function that judges them,
//! so that every verdict can be tested without the fault.

pub mod address;
pub mod certificate;
pub mod clock;
pub mod folder;
pub mod limits;
pub mod network;
pub mod paths;
pub mod ports;
mod report;
pub mod router;

pub use report::{Finding, Report, Verdict};
