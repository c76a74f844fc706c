//! What fuzz targets do inside of this crate: decoders that nothing outside sees, and histories of a room.
//!
//! Part of the crate only for `cargo fuzz`, which sets `cfg(fuzzing)`, and for the tests below, which replay the seeds.

mod livekit_config;

pub use crate::http::twirp::fuzzing::twirp;
pub use livekit_config::livekit_config;

/// See [`crate::signal`]: what clients, the media plane and the server API do to a room, in any order.
pub fn room_ops(input: &[u8]) {
    crate::signal::room_ops(input);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_seeds_of_configurations_are_read() {
        replay("livekit_config", |seed| {
            if let Ok(text) = std::str::from_utf8(seed) {
                super::livekit_config(text);
            }
        });
    }

    #[test]
    fn the_seeds_of_calls_survive_both_encodings() {
        replay("twirp", super::twirp);
    }

    #[test]
    fn the_seeds_of_histories_leave_a_consistent_room() {
        replay("room_ops", super::room_ops);
    }

    fn replay(target: &str, run: impl Fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        let mut seeds = 0;
        for file in folder.read_dir().expect("the target has seeds") {
            let path = file.expect("a readable folder").path();
            eprintln!("{}", path.display());
            run(&std::fs::read(path).expect("a readable seed"));
            seeds += 1;
        }
        assert!(seeds > 0);
    }
}
