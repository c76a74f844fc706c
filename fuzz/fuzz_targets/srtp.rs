//! SRTP: forged packets are refused without panic, and every packet that is sealed opens to itself.
#![no_main]

use banter_sfu::rtp::srtp::{
    DtlsRole, MAX_RTCP_OVERHEAD, MAX_RTP_OVERHEAD, SrtpError, SrtpKeys, SrtpProfile,
};
use banter_sfu::rtp::{ExtSeq, RtpView};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, packet)) = data.split_first() else { return };
    let profile = match choice % 3 {
        0 => SrtpProfile::AeadAes256Gcm,
        1 => SrtpProfile::AeadAes128Gcm,
        _ => SrtpProfile::Aes128CmHmacSha1_80,
    };
    let material = vec![choice; profile.keying_material_len()];
    let keys = |role| SrtpKeys::from_dtls(profile, &material, role).expect("the right length");
    let (mut outbound, mut inbound) = (keys(DtlsRole::Client).outbound(), keys(DtlsRole::Server).inbound());

    assert!(inbound.open_rtp(&mut packet.to_vec()).is_err());
    assert!(inbound.open_rtcp(&mut packet.to_vec()).is_err());

    let mut sealed = [packet, &[0; MAX_RTP_OVERHEAD]].concat();
    if let Ok(view) = RtpView::parse(packet) {
        let index = ExtSeq::first(view.header.seq);
        let len = outbound.seal_rtp(&mut sealed, packet.len(), index).expect("a readable packet");
        let mut repeat = sealed.clone();
        let opened = inbound.open_rtp(&mut sealed[..len]).expect("sealed with the same key");
        assert_eq!((&sealed[..opened.len], opened.index), (packet, index));
        assert_eq!(inbound.open_rtp(&mut repeat[..len]), Err(SrtpError::Replayed));
    }
    let mut sealed = [packet, &[0; MAX_RTCP_OVERHEAD]].concat();
    if let Ok(len) = outbound.seal_rtcp(&mut sealed, packet.len()) {
        let len = inbound.open_rtcp(&mut sealed[..len]).expect("sealed with the same key");
        assert_eq!(&sealed[..len], packet);
    }
});
