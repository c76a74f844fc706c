//! Wall time per step of the media path (criterion). Compare runs of one quiet machine only.

use std::cell::RefCell;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use banter_bench_micro::{Hall, OPUS, SPEAKER_SSRC, opus_packet};
use banter_sfu::rtp::srtp::{DtlsRole, MAX_RTP_OVERHEAD, SrtpKeys, SrtpProfile};
use banter_sfu::rtp::{ExtSeq, RtpHeader, RtpTime, RtpView};
use banter_sfu::{Outbox, datagram_kind};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// A typical Opus frame at 40 kbit/s.
const PAYLOAD_LEN: usize = 100;
const PROFILES: [(&str, SrtpProfile); 3] = [
    ("aead-aes-256-gcm", SrtpProfile::AeadAes256Gcm),
    ("aead-aes-128-gcm", SrtpProfile::AeadAes128Gcm),
    ("aes-128-cm-sha1-80", SrtpProfile::Aes128CmHmacSha1_80),
];

criterion_group!(benches, headers, srtp, forward);
criterion_main!(benches);

fn headers(criterion: &mut Criterion) {
    let packet = opus_packet(&keys(SrtpProfile::AeadAes256Gcm).outbound(), ExtSeq(7), PAYLOAD_LEN);
    let mut group = criterion.benchmark_group("header");
    group.bench_function("demux", |bencher| bencher.iter(|| datagram_kind(black_box(&packet))));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| RtpView::parse(black_box(&packet)).unwrap().header)
    });

    let header = RtpHeader {
        payload_type: OPUS,
        marker: false,
        seq: ExtSeq(7).seq(),
        timestamp: RtpTime(960),
        ssrc: SPEAKER_SSRC,
    };
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let mut outbox = Outbox::with_capacity(1, 256);
    group.bench_function("rewrite", |bencher| {
        bencher.iter(|| {
            let buffer = outbox.begin(12 + PAYLOAD_LEN + MAX_RTP_OVERHEAD);
            let len = black_box(header).write(buffer, None).unwrap();
            buffer[len..][..PAYLOAD_LEN].copy_from_slice(black_box(&packet[20..][..PAYLOAD_LEN]));
            outbox.commit(to, None, len + PAYLOAD_LEN);
            outbox.clear();
        });
    });
}

fn srtp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp");
    group.throughput(Throughput::Elements(1));
    for (name, profile) in PROFILES {
        let (outbound, mut inbound) = (keys(profile).outbound(), keys(profile).inbound());
        let mut buffer = opus_packet(&outbound, ExtSeq(1), PAYLOAD_LEN);
        let plain_len = buffer.len() - outbound.rtp_overhead();
        group.bench_function(format!("seal/{name}"), |bencher| {
            bencher.iter(|| outbound.seal_rtp(black_box(&mut buffer), plain_len, ExtSeq(1)).unwrap());
        });
        let mut next = 1;
        group.bench_function(format!("open/{name}"), |bencher| {
            let sealed = || {
                next += 1;
                opus_packet(&outbound, ExtSeq(next), PAYLOAD_LEN)
            };
            bencher.iter_batched_ref(
                sealed,
                |packet| inbound.open_rtp(packet).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for listeners in [1, 10, 100] {
        let hall = RefCell::new(Hall::with_listeners(listeners).unwrap());
        group.throughput(Throughput::Elements(listeners as u64));
        group.bench_function(format!("to-{listeners}"), |bencher| {
            bencher.iter_batched_ref(
                || hall.borrow_mut().packet(PAYLOAD_LEN),
                |packet| hall.borrow_mut().forward(packet),
                BatchSize::SmallInput,
            );
        });
    }
}

fn keys(profile: SrtpProfile) -> SrtpKeys {
    // Both directions alike, so that one end can open what it sealed.
    let (key_len, salt_len) = match profile {
        SrtpProfile::AeadAes256Gcm => (32, 12),
        SrtpProfile::AeadAes128Gcm => (16, 12),
        SrtpProfile::Aes128CmHmacSha1_80 => (16, 14),
    };
    let material = [vec![7; 2 * key_len], vec![9; 2 * salt_len]].concat();
    SrtpKeys::from_dtls(profile, &material, DtlsRole::Server).unwrap()
}
