//! What a process on this machine has used so far (proc(5)).

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// The kernel counts CPU time in hundredths of a second for every program.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_bytes: u64,
}

/// Of a process, or of this one.
pub fn usage(pid: Option<u32>) -> anyhow::Result<Usage> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let read = |file: &str| {
        std::fs::read_to_string(format!("{folder}/{file}"))
            .with_context(|| format!("no process is at {folder}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    Ok(Usage {
        cpu: cpu(&stat).context("a stat file of unknown form")?,
        resident_bytes: resident(&status).context("a status file of unknown form")?,
    })
}

/// User and system time: fields 14 and 15. The name of the program, which may hold anything, ends with the last bracket.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5 1 2 3";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert!(usage(None).is_ok());
    }
}
