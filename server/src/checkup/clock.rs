//! The clock, held against time servers (NTP, RFC 5905, as a client that asks once).
#![expect(clippy::disallowed_methods, reason = "the check owns the clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use super::{Finding, Verdict};

const PATIENCE: Duration = Duration::from_secs(2);
/// Tokens have a minute of leeway, of which two machines may need half each.
const TOLERABLE: Duration = Duration::from_secs(30);
/// Worth a look.
const NOTABLE: Duration = Duration::from_secs(2);
const MESSAGE_LEN: usize = 48;
/// No leap warning, version 4, client (RFC 5905 §7.3).
const CLIENT: u8 = 4 << 3 | 3;
const SERVER_MODE: u8 = 4;
/// Where the server puts the times (RFC 5905 §7.3).
const ORIGIN: usize = 24;
const RECEIVE: usize = 32;
const TRANSMIT: usize = 40;
/// From 1900, where NTP begins, to 1970.
const EPOCH_OFFSET: u64 = 2_208_988_800;

/// How far the clock is from the right time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offset {
    /// What is to be added to this clock, in seconds.
    pub seconds: f64,
}

/// Asks one server after another; the first answer counts.
pub async fn check(servers: &[String]) -> Finding {
    if servers.is_empty() {
        return Finding::new(
            "clock",
            "Clock",
            Verdict::Skip,
            "no time server is to be asked (--ntp-servers off)",
        );
    }
    for server in servers {
        if let Some(offset) = ask(server).await {
            return judge(offset, server);
        }
    }
    unknown(servers)
}

fn judge(offset: Offset, server: &str) -> Finding {
    let distance = offset.seconds.abs();
    let side = if offset.seconds > 0.0 { "behind" } else { "ahead of" };
    let finding = |verdict, detail: String| {
        Finding::new("clock", "Clock", verdict, detail).measured("offset", (offset.seconds * 1000.0).round())
    };
    if distance < NOTABLE.as_secs_f64() {
        return finding(Verdict::Ok, format!("within {:.0} ms of {server}", (distance * 1000.0).max(1.0)));
    }
    let detail = format!("{distance:.0} s {side} {server}");
    if distance <= TOLERABLE.as_secs_f64() {
        return finding(Verdict::Warn, detail)
            .because("nothing keeps the clock right")
            .fix("switch time synchronization on: timedatectl set-ntp true");
    }
    finding(Verdict::Fail, detail)
        .because("nothing keeps the clock right; access tokens of other machines count as expired or not valid yet, and certificates may")
        .fix("switch time synchronization on: timedatectl set-ntp true")
}

fn unknown(servers: &[String]) -> Finding {
    Finding::new("clock", "Clock", Verdict::Skip, format!("no time server answers ({})", servers.join(", ")))
        .because("UDP to port 123 is closed, or there is no internet here")
        .fix("name a server that can be reached: --ntp-servers HOST:PORT")
}

async fn ask(server: &str) -> Option<Offset> {
    let address = timeout(PATIENCE, lookup_host(server)).await.ok()?.ok()?.next()?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(address).await.ok()?;
    let sent_at = SystemTime::now();
    let began = Instant::now();
    socket.send(&question(sent_at)).await.ok()?;
    let answer = async {
        let mut bytes = [0; MESSAGE_LEN];
        loop {
            let len = socket.recv(&mut bytes).await.ok()?;
            // The monotonic clock, in case the other one is set meanwhile.
            if let Some(offset) = offset(&bytes[..len], sent_at, sent_at + began.elapsed()) {
                return Some(offset);
            }
        }
    };
    timeout(PATIENCE, answer).await.ok()?
}

fn question(now: SystemTime) -> [u8; MESSAGE_LEN] {
    let mut message = [0; MESSAGE_LEN];
    message[0] = CLIENT;
    message[TRANSMIT..].copy_from_slice(&to_ntp(now));
    message
}

/// The offset out of an answer (RFC 5905 §8); `None` if it is none to our question, or the server has no time.
fn offset(answer: &[u8], sent: SystemTime, received: SystemTime) -> Option<Offset> {
    let answer: &[u8; MESSAGE_LEN] = answer.first_chunk()?;
    let (mode, stratum) = (answer[0] & 7, answer[1]);
    let is_synchronized = answer[0] >> 6 != 3 && (1..16).contains(&stratum);
    if mode != SERVER_MODE || !is_synchronized || answer[ORIGIN..RECEIVE] != to_ntp(sent) {
        return None;
    }
    let there = [RECEIVE, TRANSMIT].map(|at| seconds(&answer[at..at + 8]));
    let here = [sent, received].map(|time| seconds(&to_ntp(time)));
    Some(Offset { seconds: (difference(there[0], here[0]) + difference(there[1], here[1])) / 2.0 })
}

/// Seconds since 1900 and their fraction, 32 bits each; the seconds wrap in 2036 (RFC 5905 §6).
fn to_ntp(time: SystemTime) -> [u8; 8] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = (since.as_secs() + EPOCH_OFFSET) as u32;
    let fraction = ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000) as u32;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    bytes[4..].copy_from_slice(&fraction.to_be_bytes());
    bytes
}

fn seconds(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The distance of two times, across the end of an era too.
fn difference(later: u64, earlier: u64) -> f64 {
    later.wrapping_sub(earlier) as i64 as f64 / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(sent: SystemTime, ahead: i64) -> [u8; MESSAGE_LEN] {
        let there = sent.checked_add(Duration::from_secs(1000)).expect("a time");
        let there = there - Duration::from_secs((1000 - ahead) as u64);
        let mut message = [0; MESSAGE_LEN];
        message[0] = 4 << 3 | SERVER_MODE;
        message[1] = 2;
        message[ORIGIN..RECEIVE].copy_from_slice(&to_ntp(sent));
        message[RECEIVE..TRANSMIT].copy_from_slice(&to_ntp(there));
        message[TRANSMIT..].copy_from_slice(&to_ntp(there));
        message
    }

    #[test]
    fn the_offset_is_half_way_between_question_and_answer() {
        // On both sides of the end of NTP's first era (2036-02-07).
        for second in [1_800_000_000, 2_085_978_400] {
            let sent = UNIX_EPOCH + Duration::from_secs(second);
            for ahead in [-120, 0, 120] {
                let received = sent + Duration::from_millis(40);
                let found = offset(&answer(sent, ahead), sent, received).expect("an answer");
                assert!((found.seconds - (ahead as f64 - 0.02)).abs() < 1e-3, "{found:?}");
            }
        }
    }

    #[test]
    fn only_an_answer_to_the_question_of_a_server_that_knows_the_time_counts() {
        let sent = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let good = answer(sent, 0);
        assert!(offset(&good[..47], sent, sent).is_none());
        for (at, value) in [(0, 4 << 3 | 3), (0, 3 << 6 | 4 << 3 | 4), (1, 0), (1, 16), (ORIGIN, 9)] {
            let mut other = good;
            other[at] = value;
            assert!(offset(&other, sent, sent).is_none(), "byte {at} is {value}");
        }
        assert_eq!(question(sent)[TRANSMIT..], good[ORIGIN..RECEIVE]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let sent = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            let _ = offset(&bytes, sent, sent);
            let mut likely = answer(sent, 0);
            for (byte, random) in likely[RECEIVE..].iter_mut().zip(&bytes) {
                *byte = *random;
            }
            prop_assert!(offset(&likely, sent, sent).is_some_and(|offset| offset.seconds.is_finite()));
        }
    }

    #[test]
    fn half_a_minute_is_too_much() {
        let verdict = |seconds| judge(Offset { seconds }, "ntp").result;
        assert_eq!(verdict(0.2), Verdict::Ok);
        assert_eq!(verdict(-5.0), Verdict::Warn);
        assert_eq!(verdict(31.0), Verdict::Fail);
        assert_eq!(judge(Offset { seconds: 120.0 }, "ntp").detail, "120 s behind ntp");
        assert_eq!(unknown(&["a:1".to_owned()]).result, Verdict::Skip);
    }
}
