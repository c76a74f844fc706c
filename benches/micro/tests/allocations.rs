//! The media path does not allocate: counted by the program's own allocator.
//!
//! The allocator does not see what AWS-LC takes from C; `make bench` counts that too, under valgrind.

use std::alloc::System;

use banter_bench_micro::Hall;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn forwarding_allocates_nothing() {
    let mut hall = Hall::with_listeners(10).unwrap();
    let mut packets: Vec<_> = (0..1_000).map(|n| hall.packet(60 + n % 80)).collect();
    let (warm_up, measured) = packets.split_at_mut(200);
    for packet in warm_up {
        assert_eq!(hall.forward(packet), 10);
    }
    let region = Region::new(ALLOCATOR);
    let copies: usize = measured.iter_mut().map(|packet| hall.forward(packet)).sum();
    let change = region.change();
    assert_eq!(copies, 8_000);
    assert_eq!((change.allocations, change.reallocations), (0, 0));
}
