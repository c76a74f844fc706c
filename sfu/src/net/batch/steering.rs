//! Has the kernel put datagrams on the socket of the worker that they are for, where workers share a port.
//!
//! A classic BPF program, which needs no privilege, picks the socket of a group (`SO_ATTACH_REUSEPORT_CBPF`). It holds the addresses
//! of peers that ICE has nominated, as a tree of their hashes, and leaves all other datagrams to the kernel's own choice. It may
//! be late, or err where two hashes are equal: what comes to the wrong worker is handed over.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use libc::sock_filter as Instruction;

/// Peers that a program holds; with it the program is below the 4,096 instructions that the kernel takes.
pub(super) const MAX_PEERS: usize = 1_500;
/// No socket has this number, and so the kernel chooses.
const NO_SOCKET: u32 = u32::MAX;
/// Keys that are compared one by one at the end of a search.
const LEAF: usize = 8;
const MIX: u32 = 0x9E37_79B1;

/// Loads relative to the network header (linux/filter.h), whatever the socket.
const NET: u32 = 0xFFF0_0000;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const COPY_TO_X: u16 = 0x07;
const MULTIPLY: u16 = 0x24;
const XOR_X: u16 = 0xAC;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;

/// The first byte of an IPv4 header without options (RFC 791 §3.1).
const IPV4: u32 = 0x45;

/// Makes the program that puts what comes from each peer on the socket with its worker's number.
pub(super) fn program(worker_by_peer: &BTreeMap<SocketAddr, usize>) -> Vec<Instruction> {
    let mut keys: Vec<(u32, u32)> =
        worker_by_peer.iter().take(MAX_PEERS).map(|(peer, worker)| (key(*peer), *worker as u32)).collect();
    keys.sort_unstable();
    keys.dedup_by_key(|(key, _)| *key);
    let mut program = make_key();
    search(&keys, &mut program);
    program
}

/// Brings the sender's key into the accumulator, as [`key`] makes it.
fn make_key() -> Vec<Instruction> {
    let words = |first: u32, count: u32| (0..count).map(move |word| NET + first + 4 * word);
    let v4 = hash(words(12, 1), NET + 20);
    let v6 = hash(words(8, 4), NET + 40);
    let mut program = vec![
        plain(LOAD_BYTE, NET),
        // Over the jump, or to it.
        branch(IF_EQUAL, IPV4, 1, 0),
        plain(JUMP, v4.len() as u32 + 1),
    ];
    program.extend(v4);
    // What is not IPv4 with its plain header passes through here with what IPv6 would have where.
    program.push(plain(JUMP, v6.len() as u32));
    program.extend(v6);
    program
}

/// Of an address of some words and a port.
fn hash(words: impl Iterator<Item = u32>, port: u32) -> Vec<Instruction> {
    let mut steps = Vec::new();
    for (number, word) in words.enumerate() {
        steps.push(plain(LOAD_WORD, word));
        if number > 0 {
            steps.push(plain(XOR_X, 0));
        }
        steps.extend([plain(MULTIPLY, MIX), plain(COPY_TO_X, 0)]);
    }
    steps.extend([plain(LOAD_HALF, port), plain(XOR_X, 0)]);
    steps
}

fn key(peer: SocketAddr) -> u32 {
    let mix = |hash: u32, word: &[u8]| {
        let word = word.first_chunk().copied().map_or(0, u32::from_be_bytes);
        (word ^ hash).wrapping_mul(MIX)
    };
    let hash = match peer.ip() {
        IpAddr::V4(v4) => mix(0, &v4.octets()),
        IpAddr::V6(v6) => v6.octets().chunks(4).fold(0, mix),
    };
    hash ^ u32::from(peer.port())
}

/// Looks the accumulator up among `keys`, in order.
fn search(keys: &[(u32, u32)], program: &mut Vec<Instruction>) {
    if keys.len() <= LEAF {
        for &(key, worker) in keys {
            program.extend([branch(IF_EQUAL, key, 0, 1), plain(RETURN, worker)]);
        }
        return program.push(plain(RETURN, NO_SOCKET));
    }
    let (lower, upper) = keys.split_at(keys.len() / 2);
    // A branch reaches 255 instructions, a jump any.
    program.extend([branch(IF_GREATER, lower[lower.len() - 1].0, 0, 1), plain(JUMP, 0)]);
    let jump = program.len() - 1;
    search(lower, program);
    program[jump].k = (program.len() - jump - 1) as u32;
    search(upper, program);
}

fn plain(code: u16, k: u32) -> Instruction {
    branch(code, k, 0, 0)
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// Runs a program on a packet that begins with its network header; only what the programs use.
    fn run(program: &[Instruction], packet: &[u8]) -> u32 {
        let (mut a, mut x, mut at) = (0u32, 0u32, 0);
        let byte = |offset: usize| u32::from(packet.get(offset).copied().unwrap_or(0));
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            let offset = k.wrapping_sub(NET) as usize;
            at += 1;
            match code {
                LOAD_BYTE => a = byte(offset),
                LOAD_HALF => a = byte(offset) << 8 | byte(offset + 1),
                LOAD_WORD => a = (0..4).fold(0, |word, at| word << 8 | byte(offset + at)),
                COPY_TO_X => x = a,
                MULTIPLY => a = a.wrapping_mul(k),
                XOR_X => a ^= x,
                JUMP => at += k as usize,
                IF_EQUAL => at += usize::from(if a == k { jt } else { jf }),
                IF_GREATER => at += usize::from(if a > k { jt } else { jf }),
                RETURN => return k,
                other => panic!("{other:#x} is no instruction of ours"),
            }
        }
    }

    fn packet(from: SocketAddr) -> Vec<u8> {
        let mut packet = vec![0; 60];
        let port = match from.ip() {
            IpAddr::V4(v4) => {
                packet[0] = IPV4 as u8;
                packet[12..16].copy_from_slice(&v4.octets());
                20
            }
            IpAddr::V6(v6) => {
                packet[0] = 0x60;
                packet[8..24].copy_from_slice(&v6.octets());
                40
            }
        };
        packet[port..port + 2].copy_from_slice(&from.port().to_be_bytes());
        packet
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        let ip = prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
            any::<[u8; 16]>().prop_map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        ];
        (ip, any::<u16>()).prop_map(SocketAddr::from)
    }

    proptest! {
        #[test]
        fn every_known_peer_goes_to_its_worker_and_others_to_none(
            peers in prop::collection::btree_map(address(), 0..64_usize, 0..300),
            stranger in address(),
        ) {
            let program = program(&peers);
            let keys: BTreeSet<u32> = peers.keys().map(|peer| key(*peer)).collect();
            for (peer, worker) in &peers {
                let found = run(&program, &packet(*peer));
                prop_assert!(found == *worker as u32 || keys.len() < peers.len());
            }
            if !keys.contains(&key(stranger)) {
                prop_assert_eq!(run(&program, &packet(stranger)), NO_SOCKET);
            }
        }
    }

    #[test]
    fn the_kernel_takes_a_program_of_the_greatest_length() {
        let peer =
            |number: usize| SocketAddr::new(Ipv4Addr::from(0x0A00_0000 + number as u32).into(), 40_000);
        let peers: BTreeMap<_, _> = (0..2 * MAX_PEERS).map(|number| (peer(number), number % 64)).collect();
        assert!(program(&peers).len() <= 4096, "{}", program(&peers).len());
    }
}
