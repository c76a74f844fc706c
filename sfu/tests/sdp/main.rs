//! Negotiation against descriptions recorded from real clients, and against mutilated ones.

mod answering;
mod hostile;
mod offering;
mod recorded;
mod text;

use banter_sfu::sdp::{Incoming, LocalDescription, Outgoing};
use banter_sfu::transport::LocalAddresses;
use banter_sfu::{Ssrc, TrackKey};

fn local() -> LocalDescription {
    LocalDescription {
        ice_ufrag: "ours".to_owned(),
        ice_pwd: "0123456789abcdefghijkl".to_owned(),
        fingerprint: ["AB"; 32].join(":"),
        candidates: LocalAddresses::udp([
            "192.0.2.1:50000".parse().unwrap(),
            "[2001:db8::1]:50000".parse().unwrap(),
        ]),
    }
}

fn incoming(track: u64, cid: &str) -> Incoming {
    let cid = cid.to_owned();
    Incoming { track: TrackKey(track), cid, red: true, stereo: false, dtx: true, max_bitrate: None }
}

fn outgoing(track: u64) -> Outgoing {
    Outgoing {
        track: TrackKey(track),
        ssrc: ssrc(track),
        stream_id: format!("PA_{track}|TR_{track}"),
        track_id: format!("TR_{track}"),
        red: false,
        stereo: false,
    }
}

fn outgoings(tracks: &[u64]) -> Vec<Outgoing> {
    tracks.iter().copied().map(outgoing).collect()
}

fn ssrc(track: u64) -> Ssrc {
    Ssrc(1000 + u32::try_from(track).unwrap())
}
