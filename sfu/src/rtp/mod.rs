//! RTP and RTCP as bytes: headers, SRTP, reports, RED, audio levels.

mod header;
mod level;
pub mod red;
pub mod rtcp;
pub mod srtp;
mod stats;

pub use header::{
    ExtSeq, Extension, Extensions, FIXED_LEN, RtpError, RtpHeader, RtpTime, RtpView, SeqNo, ssrc,
};
pub use level::AudioLevel;
pub use stats::ReceiveStats;
