use aws_lc_rs::aead::{self, LessSafeKey, UnboundKey};

use super::cipher::*;
use super::replay::*;
use super::*;
use proptest::prelude::*;

const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::AeadAes256Gcm, SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80];

/// A packet of RFC 7714 §16: "Gallia est omnis divisa in partes tres".
const GALLIA: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
    69736120 696e2070 61727465 73207472 6573";
/// A packet of RFC 7714 §17.
const LUNA: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
    deadbeef deadbeef deadbeef deadbeef deadbeef";

#[test]
fn aes_128_gcm_meets_the_vectors_of_rfc_7714() {
    check_gcm_vectors(
        &aead::AES_128_GCM,
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
         0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
         c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
}

#[test]
fn aes_256_gcm_meets_the_vectors_of_rfc_7714() {
    check_gcm_vectors(
        &aead::AES_256_GCM,
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
         9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
         a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
    );
}

fn check_gcm_vectors(algorithm: &'static aead::Algorithm, srtp: &str, srtcp: &str) {
    let key: Vec<u8> = (0..algorithm.key_len() as u8).collect();
    let cipher = || Cipher::Gcm {
        key: LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap()),
        salt: *b"Quid pro quo",
    };
    let mut sender = Outbound { rtp: cipher(), rtcp: cipher(), next_rtcp_index: 0x5D4 };
    let mut receiver = Inbound {
        rtp: cipher(),
        rtcp: cipher(),
        rtp_streams: Streams::default(),
        rtcp_streams: Streams::default(),
    };
    let (mut sealed, index) = (seal(&sender, &hex(GALLIA), ExtSeq(0xF17B)), ExtSeq(0xF17B));
    assert_eq!(sealed, hex(srtp));
    assert_eq!(receiver.open_rtp(&mut sealed), Ok(Opened { len: hex(GALLIA).len(), index }));
    assert!(sealed.starts_with(&hex(GALLIA)));

    let mut sealed = seal_rtcp(&mut sender, &hex(LUNA));
    assert_eq!(sealed, hex(srtcp));
    assert_eq!(receiver.open_rtcp(&mut sealed), Ok(hex(LUNA).len()));
    assert!(sealed.starts_with(&hex(LUNA)));
}

#[test]
fn counter_mode_meets_the_vectors_of_rfc_3711_appendix_b_2() {
    let key = counter_mode_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let mut stream = vec![0; 0xFF02 * 16];
    counter_mode(&key, counter_block(&salt, Ssrc(0), 0), &mut stream);
    assert_eq!(stream[..32], hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(stream[0xFEFF * 16..][..16], hex("EC8CDF7398607CB0F2D21675EA9EA1E4"));
    assert_eq!(stream[0xFF00 * 16..][..16], hex("362B7C3C6773516318A077D7FC5073AE"));
}

#[test]
fn key_derivation_meets_the_vectors_of_rfc_3711_appendix_b_3() {
    let master =
        MasterKey::new(&hex("E1F97A0D3E018BE0D64FA32C06DE4139"), &hex("0EC675AD498AFEEBB6960B3AABE6"));
    assert_eq!(master.derive::<16>(Labels::RTP.key)[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(master.derive::<14>(Labels::RTP.salt)[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        master.derive::<94>(Labels::RTP.auth)[..],
        hex("CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C
             43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF
             17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"),
    );
}

#[test]
fn key_derivation_meets_the_vectors_of_rfc_6188() {
    let master = MasterKey::new(
        &hex("f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6"),
        &hex("3b04803de51ee7c96423ab5b78d2"),
    );
    assert_eq!(
        master.derive::<32>(Labels::RTP.key)[..],
        hex("5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4"),
    );
    assert_eq!(master.derive::<14>(Labels::RTP.salt)[..], hex("fa31791685ca444a9e07c6c64e93"));
}

/// The reference packets of libsrtp's own test, from master keys to bytes.
#[test]
fn whole_packets_agree_with_libsrtp() {
    let rtp = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    let rtcp = hex("81c8000b cafebabe abababab abababab abababab abababab");
    let check = |profile: SrtpProfile, key: &str, salt: &str, srtp: &str, srtcp: &str| {
        let master = MasterKey::new(&hex(key), &hex(salt));
        let keys = SrtpKeys { profile, local: master.clone(), remote: master };
        let (mut sender, mut receiver) = (keys.outbound(), keys.inbound());
        let mut sealed = seal(&sender, &rtp, ExtSeq(0x1234));
        assert_eq!(sealed, hex(srtp));
        let opened = receiver.open_rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..opened.len], rtp);
        let mut sealed = seal_rtcp(&mut sender, &rtcp);
        assert_eq!(sealed, hex(srtcp));
        let len = receiver.open_rtcp(&mut sealed).unwrap();
        assert_eq!(sealed[..len], rtcp);
    };
    check(
        SrtpProfile::Aes128CmHmacSha1_80,
        "e1f97a0d3e018be0d64fa32c06de4139",
        "0ec675ad498afeebb6960b3aabe6",
        "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
        "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    );
    check(
        SrtpProfile::AeadAes128Gcm,
        "000102030405060708090a0b0c0d0e0f",
        "a0a1a2a3a4a5a6a7a8a9aaab",
        "800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392",
        "81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b a88ce61e 80000001",
    );
}

#[test]
fn dtls_material_is_split_by_role() {
    for profile in PROFILES {
        let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
        let client = SrtpKeys::from_dtls(profile, &material, DtlsRole::Client).unwrap();
        let server = SrtpKeys::from_dtls(profile, &material, DtlsRole::Server).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            let mut sealed = seal(&from.outbound(), &packet(7), ExtSeq(7));
            assert!(to.inbound().open_rtp(&mut sealed.clone()).is_ok());
            assert_eq!(from.inbound().open_rtp(&mut sealed), Err(SrtpError::NotAuthentic));
        }
        let short = SrtpKeys::from_dtls(profile, &material[1..], DtlsRole::Client).unwrap_err();
        assert_eq!(short.actual + 1, short.expected);
    }
}

#[test]
fn every_packet_is_taken_once() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        for index in [500, 501, 503, 502, 373 + 3, 600, 600 - 127] {
            let sealed = seal(&sender, &packet(index as u16), ExtSeq(index));
            assert_eq!(receiver.open_rtp(&mut sealed.clone()).unwrap().index, ExtSeq(index));
            assert_eq!(receiver.open_rtp(&mut sealed.clone()), Err(SrtpError::Replayed));
        }
        let mut too_old = seal(&sender, &packet(472), ExtSeq(472));
        assert_eq!(receiver.open_rtp(&mut too_old), Err(SrtpError::Replayed));

        let report = seal_rtcp(&mut sender, &hex(LUNA));
        assert!(receiver.open_rtcp(&mut report.clone()).is_ok());
        assert_eq!(receiver.open_rtcp(&mut report.clone()), Err(SrtpError::Replayed));
    }
}

#[test]
fn a_forged_packet_moves_neither_window_nor_rollover() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        let mut forged = seal(&sender, &packet(9), ExtSeq(9));
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(receiver.open_rtp(&mut forged), Err(SrtpError::NotAuthentic));
        assert!(receiver.rtp_streams.streams.is_empty());
        assert!(receiver.open_rtp(&mut seal(&sender, &packet(1), ExtSeq(1))).is_ok());
        let mut forged = seal(&sender, &packet(20_000), ExtSeq(20_000));
        forged[FORGED_PAYLOAD_AT] ^= 1;
        assert_eq!(receiver.open_rtp(&mut forged), Err(SrtpError::NotAuthentic));
        assert!(receiver.open_rtp(&mut seal(&sender, &packet(2), ExtSeq(2))).is_ok());
    }
}

const FORGED_PAYLOAD_AT: usize = 14;

#[test]
fn the_rollover_survives_loss_and_reordering_around_it() {
    let orders: [&[u64]; 5] = [
        &[65_534, 65_535, 65_536, 65_537],
        &[65_530, 65_540],
        &[65_534, 65_536, 65_535, 65_537],
        &[65_500, 65_537, 65_536, 65_535, 65_534, 65_538],
        &[65_535, 65_536, 98_000, 130_000, 131_071, 131_072],
    ];
    for (profile, order) in PROFILES.into_iter().flat_map(|p| orders.map(|order| (p, order))) {
        let (sender, mut receiver) = pair(profile);
        for &index in order {
            let mut sealed = seal(&sender, &packet(index as u16), ExtSeq(index));
            assert_eq!(receiver.open_rtp(&mut sealed).unwrap().index, ExtSeq(index), "{order:?}");
        }
    }
}

#[test]
fn the_same_index_seals_to_the_same_bytes() {
    for profile in PROFILES {
        let (sender, _) = pair(profile);
        assert_eq!(seal(&sender, &packet(3), ExtSeq(3)), seal(&sender, &packet(3), ExtSeq(3)));
        assert_ne!(seal(&sender, &packet(3), ExtSeq(3)), seal(&sender, &packet(3), ExtSeq(0x1_0003)));
    }
}

#[test]
fn a_wrong_key_opens_nothing() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        let other = SrtpKeys::from_dtls(profile, &vec![9; profile.keying_material_len()], DtlsRole::Server);
        let mut stranger = other.unwrap().inbound();
        let mut sealed = seal(&sender, &packet(3), ExtSeq(3));
        assert_eq!(stranger.open_rtp(&mut sealed), Err(SrtpError::NotAuthentic));
        let mut sealed = seal_rtcp(&mut sender, &hex(LUNA));
        assert_eq!(stranger.open_rtcp(&mut sealed), Err(SrtpError::NotAuthentic));
    }
}

#[test]
fn truncated_packets_are_refused_at_every_length() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        let sealed = seal(&sender, &packet(3), ExtSeq(3));
        let report = seal_rtcp(&mut sender, &hex(LUNA));
        for len in 0..sealed.len() {
            assert!(pair(profile).1.open_rtp(&mut sealed[..len].to_vec()).is_err());
        }
        for len in 0..report.len() {
            assert!(pair(profile).1.open_rtcp(&mut report[..len].to_vec()).is_err());
        }
    }
}

#[test]
fn rtcp_must_be_encrypted() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let mut report = seal_rtcp(&mut sender, &hex(LUNA));
        let flag_at = match profile {
            SrtpProfile::Aes128CmHmacSha1_80 => report.len() - SHA1_80_TAG_LEN - RTCP_INDEX_LEN,
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => report.len() - RTCP_INDEX_LEN,
        };
        report[flag_at] &= 0x7F;
        assert_eq!(receiver.open_rtcp(&mut report), Err(SrtpError::NotEncrypted));
    }
}

#[test]
fn limits_are_errors() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        let mut exact = packet(0);
        let len = exact.len();
        assert_eq!(sender.seal_rtp(&mut exact, len, ExtSeq(0)), Err(SrtpError::NoRoom));
        assert_eq!(sender.seal_rtp(&mut exact, len + 1, ExtSeq(0)), Err(SrtpError::NoRoom));
        assert_eq!(sender.seal_rtp(&mut exact, len, ExtSeq(1 << 48)), Err(SrtpError::KeyExhausted));
        assert_eq!(sender.seal_rtcp(&mut exact, len), Err(SrtpError::NoRoom));
        assert_eq!(sender.seal_rtcp(&mut exact, 7), Err(SrtpError::Short));
        sender.next_rtcp_index = RTCP_ENCRYPTED;
        assert_eq!(sender.seal_rtcp(&mut [0; 100], 28), Err(SrtpError::KeyExhausted));
    }
}

#[test]
fn the_longest_silent_stream_is_forgotten_first() {
    let mut streams = Streams::default();
    for ssrc in 0..MAX_STREAMS as u32 {
        streams.accept(Ssrc(ssrc), 10);
    }
    streams.accept(Ssrc(0), 11);
    streams.accept(Ssrc(1000), 10);
    assert_eq!(streams.streams.len(), MAX_STREAMS);
    assert!(streams.find(Ssrc(0)).is_some());
    assert!(streams.find(Ssrc(1)).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        for profile in PROFILES {
            let (_, mut receiver) = pair(profile);
            prop_assert!(receiver.open_rtp(&mut bytes.clone()).is_err());
            prop_assert!(receiver.open_rtcp(&mut bytes).is_err());
        }
    }

    #[test]
    fn the_window_agrees_with_a_set(indices in proptest::collection::vec(0u64..400, 1..300)) {
        let mut window = ReplayWindow::new(indices[0]);
        let mut taken = std::collections::BTreeSet::from([indices[0]]);
        for &index in &indices[1..] {
            let fresh = !taken.contains(&index) && index + 128 > *taken.last().unwrap();
            prop_assert_eq!(window.check(index).is_ok(), fresh);
            if fresh {
                window.accept(index);
                taken.insert(index);
            }
        }
    }
}

fn pair(profile: SrtpProfile) -> (Outbound, Inbound) {
    let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
    let keys = |role| SrtpKeys::from_dtls(profile, &material, role).unwrap();
    (keys(DtlsRole::Client).outbound(), keys(DtlsRole::Server).inbound())
}

fn packet(seq: u16) -> Vec<u8> {
    let [hi, lo] = seq.to_be_bytes();
    [&[0x80, 111, hi, lo, 0, 0, 3, 192, 0xCA, 0xFE, 0xBA, 0xBE][..], &[0x5A; 60]].concat()
}

fn seal(sender: &Outbound, plain: &[u8], index: ExtSeq) -> Vec<u8> {
    let mut buf = [plain, &[0; MAX_RTP_OVERHEAD]].concat();
    let len = sender.seal_rtp(&mut buf, plain.len(), index).unwrap();
    buf.truncate(len);
    buf
}

fn seal_rtcp(sender: &mut Outbound, plain: &[u8]) -> Vec<u8> {
    let mut buf = [plain, &[0; MAX_RTCP_OVERHEAD]].concat();
    let len = sender.seal_rtcp(&mut buf, plain.len()).unwrap();
    buf.truncate(len);
    buf
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
