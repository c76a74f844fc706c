//! What fuzz targets do inside of this crate: decoders that nothing outside sees, and histories of the whole unit.
//!
//! Part of the crate only for `cargo fuzz`, which sets `cfg(fuzzing)`, and for the tests below, which replay the seeds.

mod consistency;
mod history;
mod turn;

pub use crate::transport::fuzzing::dcep;
pub use history::{sfu_ops, span_ops};
pub use turn::turn_ops;

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_seeds_of_data_channels_do_no_harm() {
        replay("dcep", super::dcep);
    }

    #[test]
    fn the_seeds_of_histories_leave_a_consistent_unit() {
        replay("sfu_ops", super::sfu_ops);
        replay("sfu_ops", super::span_ops);
    }

    #[test]
    fn the_seeds_of_turn_leave_consistent_books() {
        replay("turn_ops", super::turn_ops);
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
