//! RTP and RTCP as bytes: headers, SRTP, RED, audio levels.

mod header;
pub mod rtcp;
pub mod srtp;
pub mod stats;

pub use header::{ExtSeq, Extension, Extensions, RtpError, RtpHeader, RtpTime, RtpView, SeqNo, ssrc};
