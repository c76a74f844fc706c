//! Data packets as a relay sees them: whatever is taken keeps what it was and bears its sender's name.
#![no_main]

use banter_protocol::data_packet::{Content, DataPacket, Delivery, Sender, Stamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = DataPacket::parse(bytes) else { return };
    let stamp = Stamp { delivery: Delivery::Reliable, sid: "PA_alice", sender: Sender::Identity("alice") };
    let stamped = packet.stamped(&stamp);
    let again = DataPacket::parse(&stamped).expect("a stamped packet is well formed");
    assert_eq!(again.identity, "alice");
    assert_eq!(again.content, packet.content);
    assert_eq!(again.sequence, packet.sequence);
    assert_eq!(again.destination_identities, packet.destination_identities);
    assert_eq!(again.destination_sids, packet.destination_sids);
    let claimed = packet.stamped(&Stamp { sender: Sender::Claimed, ..stamp });
    let claimed = DataPacket::parse(&claimed).expect("a stamped packet is well formed");
    if matches!(packet.content, Content::Chat | Content::StreamHeader { .. }) {
        assert_eq!(claimed.identity, packet.identity);
    }
});
