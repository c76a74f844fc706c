//! Messages in streams: the first byte of the input says where reads end, and that changes nothing.
#![no_main]

use banter_sfu::framing::{Deframer, FrameError, Framing, MAX_FRAME_LEN, opening};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, stream)) = input.split_first() else { return };
    opening(stream);
    for framing in [Framing::Turn, Framing::Rfc4571] {
        let whole = frames(framing, stream, stream.len().max(1));
        assert_eq!(frames(framing, stream, usize::from(cut).max(1)), whole);
    }
});

/// What comes out of reads of `cut` bytes each, up to an error.
fn frames(framing: Framing, stream: &[u8], cut: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut deframer = Deframer::new(framing);
    let mut frames = Vec::new();
    for read in stream.to_vec().chunks_mut(cut) {
        let mut read = read;
        loop {
            match deframer.next_frame(&mut read) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(read.is_empty() && deframer.held() <= MAX_FRAME_LEN + 3);
    }
    (frames, None)
}
