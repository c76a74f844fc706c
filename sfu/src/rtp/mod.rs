//! RTP and RTCP as bytes: headers, SRTP, RED, audio levels.

mod header;
pub mod srtp;

pub use header::{ExtSeq, Extension, Extensions, RtpError, RtpHeader, RtpTime, RtpView, SeqNo, ssrc};
