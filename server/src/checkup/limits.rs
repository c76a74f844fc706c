//! What the system lets the server have: open files, and room for datagrams that wait.

use super::{Finding, Verdict};

/// Open files of a server that nobody uses, and then some.
const BASE: u64 = 64;
/// Each person has a socket for signalling, one for events, and at worst one for media and one for TURN.
const PER_PERSON: u64 = 4;
/// Fewer people than a group has.
const FEW: u64 = 48;
const MANY: u64 = 200;
/// What a media thread asks for its socket, in bytes (the system says half of what it gives).
const WANTED_BUFFER: u64 = 1 << 20;

/// How many files may be open at once: in a process, by its id, or in this one. `None` is any number, or not known.
#[cfg(target_os = "linux")]
pub fn open_files(process: Option<u32>) -> Option<u64> {
    let text =
        std::fs::read_to_string(format!("/proc/{}/limits", process.unwrap_or(std::process::id()))).ok()?;
    // Name, soft limit, hard limit (proc_pid_limits(5)).
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
pub fn open_files(_: Option<u32>) -> Option<u64> {
    None
}

/// Whether a test of every path can be made with so many.
pub fn is_enough_for_tests(files: Option<u64>) -> bool {
    files.is_none_or(|files| files >= BASE + FEW * PER_PERSON)
}

pub fn judge_open_files(files: Option<u64>) -> Finding {
    let finding = |verdict, detail: String| Finding::new("open_files", "Open files", verdict, detail);
    let Some(files) = files else { return finding(Verdict::Ok, "no limit is known".to_owned()) };
    let people = files.saturating_sub(BASE) / PER_PERSON;
    let verdict = match people {
        MANY.. => Verdict::Ok,
        FEW.. => Verdict::Warn,
        _ => Verdict::Fail,
    };
    let found =
        finding(verdict, format!("{files} at once, enough for {people} people")).measured("limit", files);
    match verdict {
        Verdict::Ok | Verdict::Skip => found,
        Verdict::Warn | Verdict::Fail => found
            .because("the limit for open files is low; whoever comes beyond it is not let in")
            .fix("raise it: LimitNOFILE=65536 in a systemd unit, ulimit -n 65536 in a shell, --ulimit nofile=65536 with Docker"),
    }
}

/// The largest receive buffer that a socket may ask for, in bytes.
pub fn receive_buffer() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok()?.trim().parse().ok()
}

pub fn judge_receive_buffer(largest: Option<u64>) -> Finding {
    let finding = |verdict, detail: String| Finding::new("udp_buffer", "UDP buffer", verdict, detail);
    match largest {
        None => finding(Verdict::Skip, "the limit cannot be read".to_owned()),
        Some(largest) if largest >= WANTED_BUFFER => {
            finding(Verdict::Ok, format!("{} KiB", largest >> 10)).measured("limit", largest)
        }
        // A call of ten people fills 40 KiB in the time that a busy machine lets a thread wait.
        Some(largest) => finding(Verdict::Ok, format!("{} KiB, enough for small calls", largest >> 10))
            .fix("for more than fifty people at once: sysctl -w net.core.rmem_max=1048576")
            .measured("limit", largest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_told_in_people() {
        assert_eq!(judge_open_files(Some(65_536)).result, Verdict::Ok);
        assert_eq!(judge_open_files(Some(512)).result, Verdict::Warn);
        let low = judge_open_files(Some(64));
        assert_eq!((low.result, low.detail.as_str()), (Verdict::Fail, "64 at once, enough for 0 people"));
        assert_eq!(judge_open_files(None).result, Verdict::Ok);
        assert!(!is_enough_for_tests(Some(64)) && is_enough_for_tests(Some(256)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_limit_of_this_process_is_read() {
        assert!(open_files(None).is_none_or(|files| files > 16));
        assert_eq!(open_files(None), open_files(Some(std::process::id())));
    }
}
