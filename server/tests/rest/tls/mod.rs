//! Where the program speaks TLS: which certificate it shows to whom, and what follows from that.

mod acme;
mod authority;
pub mod client;
mod files;
mod navigation;
mod self_signed;
