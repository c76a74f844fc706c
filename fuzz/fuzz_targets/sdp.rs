//! Session descriptions: nothing panics, and an offer that is accepted is answered with one that reads the same way.
#![no_main]

use banter_sfu::sdp::{Incoming, LocalDescription, Negotiation, Outgoing};
use banter_sfu::{Ssrc, TrackKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\0').unwrap_or((text, text));
    let mut answerer = Negotiation::answerer();
    answerer.restarts_ice(first);
    let _ = answerer.handle_offer(first, &local(), &[], &outgoing());
    answerer.bind_late(&incoming());
    answerer.restarts_ice(second);
    let _ = answerer.handle_offer(second, &local(), &[incoming()], &outgoing());

    let mut offerer = Negotiation::offerer();
    offerer.create_offer(&local(), &outgoing()).expect("the first offer");
    if offerer.handle_answer(first).is_ok() {
        offerer.create_offer(&local(), &[]).expect("no offer is outstanding");
        let _ = offerer.handle_answer(second);
    }
});

fn local() -> LocalDescription {
    LocalDescription {
        ice_ufrag: "ufrg".into(),
        ice_pwd: "password-of-22-letters".into(),
        fingerprint: ["AB"; 32].join(":"),
        candidates: vec!["192.0.2.1:50000".parse().expect("an address")],
    }
}

fn incoming() -> Incoming {
    Incoming { track: TrackKey(1), cid: "microphone".into(), red: true, stereo: false, dtx: true, max_bitrate: None }
}

fn outgoing() -> [Outgoing; 2] {
    [2, 3].map(|track| Outgoing {
        track: TrackKey(track),
        ssrc: Ssrc(track as u32),
        stream_id: format!("PA_b|TR_{track}"),
        track_id: format!("TR_{track}"),
        red: track == 2,
        stereo: false,
    })
}
