//! RTCP compounds: nothing panics, and reports that are read can be written and read again.
#![no_main]

use banter_sfu::rtp::rtcp::{Compound, CompoundWriter, NackPair, NtpTime, RtcpItem};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    for item in Compound::new(packet) {
        let mut written = [0; 2048];
        let mut writer = CompoundWriter::new(&mut written);
        match item {
            RtcpItem::SenderReport { sender, info, reports } => {
                let reports: Vec<_> = reports.collect();
                writer.sender_report(sender, &info, &reports).expect("a report has at most 31 blocks");
                let len = writer.len();
                let Some(RtcpItem::SenderReport { info: again, reports: blocks, .. }) =
                    Compound::new(&written[..len]).next()
                else {
                    panic!("a sender report was written");
                };
                assert_eq!((again, blocks.collect::<Vec<_>>()), (info, reports));
            }
            RtcpItem::ReceiverReport { sender, reports } => {
                let reports: Vec<_> = reports.collect();
                for report in &reports {
                    report.round_trip(NtpTime(u64::MAX));
                }
                writer.receiver_report(sender, &reports).expect("a report has at most 31 blocks");
            }
            RtcpItem::Nack { sender, media, lost } => {
                let lost: Vec<_> = lost.flat_map(NackPair::lost).collect();
                let _ = writer.nack(sender, media, lost.into_iter());
            }
            RtcpItem::Bye { sources } => {
                writer.bye(&sources.collect::<Vec<_>>()).expect("at most 31 sources");
            }
            RtcpItem::Unknown { .. } => {}
        }
    }
});
