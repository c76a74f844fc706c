//! One peer connection's transport: ICE, DTLS and SCTP, as values.
