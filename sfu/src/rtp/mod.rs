//! RTP and RTCP as bytes: headers, SRTP, RED, audio levels.
