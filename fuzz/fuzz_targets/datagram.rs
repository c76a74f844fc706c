//! The whole unit against a peer that is connected and means harm: its datagrams as they are, and as authentic RTP and
//! RTCP. Nothing panics, and nothing goes to anyone but as a copy for the listeners.
#![no_main]

use std::cell::RefCell;

use banter_bench_micro::Hall;
use banter_sfu::rtp::srtp::{MAX_RTCP_OVERHEAD, MAX_RTP_OVERHEAD};
use libfuzzer_sys::fuzz_target;

const LISTENERS: usize = 3;

thread_local! {
    static HALL: RefCell<Hall> = RefCell::new(Hall::with_listeners(LISTENERS).expect("a room that works"));
}

fuzz_target!(|data: &[u8]| {
    HALL.with_borrow_mut(|hall| {
        let Some((&kind, bytes)) = data.split_first() else { return };
        match kind % 3 {
            0 => {
                // STUN and DTLS have answers of their own.
                hall.forward(&mut bytes.to_vec());
            }
            1 => {
                let Some(mut packet) = sealed_rtp(hall, bytes) else { return };
                let copies = hall.forward(&mut packet);
                assert!(copies == 0 || copies == LISTENERS, "{copies} copies");
            }
            _ => {
                let mut packet = [bytes, &[0; MAX_RTCP_OVERHEAD]].concat();
                if let Ok(len) = hall.outbound().seal_rtcp(&mut packet, bytes.len()) {
                    assert_eq!(hall.forward(&mut packet[..len]), 0);
                }
            }
        }
    });
});

/// The bytes as the speaker's next packet.
fn sealed_rtp(hall: &mut Hall, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packet = [bytes, &[0; MAX_RTP_OVERHEAD]].concat();
    let index = hall.next_index();
    packet.get_mut(2..4)?.copy_from_slice(&index.seq().0.to_be_bytes());
    let len = hall.outbound().seal_rtp(&mut packet, bytes.len(), index).ok()?;
    packet.truncate(len);
    Some(packet)
}
