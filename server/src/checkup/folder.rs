//! The data folder and the disk under it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, Verdict};

/// A recording of nothing: the database of a large group has a few megabytes, but migrations copy it.
const NEEDED: u64 = 50 << 20;
const COMFORTABLE: u64 = 500 << 20;

/// What is the matter with a folder.
#[derive(Debug)]
pub enum State {
    Missing,
    /// It is not there, and cannot be made.
    Forbidden(io::Error),
    /// Files can be made in it.
    Writable {
        is_private: bool,
    },
    NotAFolder,
    ReadOnly(io::Error),
    Unreadable(io::Error),
}

/// Looks at the folder without leaving anything behind.
pub fn look(path: &Path) -> State {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return may_be_made(path).map_or_else(State::Forbidden, |()| State::Missing);
        }
        Err(error) => return State::Unreadable(error),
    };
    if !metadata.is_dir() {
        return State::NotAFolder;
    }
    if let Err(error) = std::fs::read_dir(path) {
        return State::Unreadable(error);
    }
    let trial = path.join(format!("doctor-{}.tmp", std::process::id()));
    match std::fs::write(&trial, b"can this be written?") {
        Ok(()) => {
            // It was there a moment ago; if not, somebody else has tidied up.
            let _ = std::fs::remove_file(&trial);
            State::Writable { is_private: is_private(&metadata) }
        }
        Err(error) => State::ReadOnly(error),
    }
}

/// Whether there is a folder above that this user may make others in.
#[cfg(unix)]
fn may_be_made(path: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    match path.ancestors().skip(1).find(|ancestor| ancestor.exists()) {
        Some(above) => Ok(rustix::fs::access(above, Access::WRITE_OK | Access::EXEC_OK)?),
        // A name without a folder before it is in the one where this program runs.
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn may_be_made(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_private(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private(_: &std::fs::Metadata) -> bool {
    true
}

/// Whether a server can work with it, or make it.
pub fn is_usable(state: &State) -> bool {
    matches!(state, State::Writable { .. } | State::Missing)
}

pub fn judge(path: &Path, state: &State) -> Finding {
    let shown = path.display();
    let finding = |verdict, detail: String| Finding::new("data_folder", "Data folder", verdict, detail);
    match state {
        State::Writable { is_private: true } => finding(Verdict::Ok, shown.to_string()),
        State::Writable { is_private: false } => {
            finding(Verdict::Warn, format!("{shown} can be read by other users of this machine"))
                .because("its mode was changed, or it was made by another program")
                .fix(format!("chmod 700 {shown}; the server does so at its next start"))
        }
        State::Missing => finding(Verdict::Ok, format!("{shown} is made at the first start")),
        State::Forbidden(error) => finding(Verdict::Fail, format!("{shown} cannot be made: {error}"))
            .because(read_only_cause(error))
            .fix(format!(
                "make {shown} for the user that the server runs as, or name another folder with --data-dir"
            )),
        State::NotAFolder => finding(Verdict::Fail, format!("{shown} is no folder"))
            .because("a file has the name of the data folder")
            .fix("name another folder with --data-dir"),
        State::ReadOnly(error) => finding(Verdict::Fail, format!("{shown} cannot be written: {error}"))
            .because(read_only_cause(error))
            .fix(format!("make {shown} writable for the user that the server runs as, or name another folder with --data-dir")),
        State::Unreadable(error) => finding(Verdict::Fail, format!("{shown} cannot be read: {error}"))
            .because("it belongs to another user")
            .fix("run as the user that the server runs as, or name another folder with --data-dir"),
    }
}

fn read_only_cause(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "the disk is mounted read-only, on purpose or after an error",
        io::ErrorKind::StorageFull => "the disk is full",
        _ => "it belongs to another user, or its mode forbids it",
    }
}

/// Bytes that are free for this user where `path` is, or will be.
#[cfg(unix)]
pub fn free_space(path: &Path) -> Option<u64> {
    let existing: PathBuf = path.ancestors().find(|ancestor| ancestor.exists())?.to_owned();
    let stat = rustix::fs::statvfs(&existing).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
pub fn free_space(_: &Path) -> Option<u64> {
    None
}

pub fn judge_space(free: Option<u64>) -> Finding {
    let finding = |verdict, detail: String| Finding::new("disk", "Disk", verdict, detail);
    let Some(free) = free else {
        return finding(Verdict::Skip, "how much is free cannot be read".to_owned());
    };
    let found = finding(Verdict::Ok, format!("{} MiB free", free >> 20)).measured("free_bytes", free);
    let fix = "make room, or move the data folder to another disk (--data-dir)";
    match free {
        COMFORTABLE.. => found,
        NEEDED.. => Finding { result: Verdict::Warn, ..found }.because("the disk is nearly full").fix(fix),
        _ => Finding { result: Verdict::Fail, ..found }
            .because("the disk is full: accounts and settings can no longer be saved")
            .fix(fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_used_is_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = look(folder.path());
        assert!(is_usable(&state), "{state:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let missing = folder.path().join("not-yet");
        assert!(matches!(look(&missing), State::Missing));
        assert!(!missing.exists());
        let file = folder.path().join("file");
        std::fs::write(&file, b"").expect("written");
        assert_eq!(judge(&file, &look(&file)).result, Verdict::Fail);
        assert!(free_space(&missing).is_some_and(|free| free > 0));
    }

    #[test]
    fn what_cannot_be_written_fails_with_its_cause() {
        let finding = |kind| judge(Path::new("/data"), &State::ReadOnly(io::Error::from(kind)));
        let read_only = finding(io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(read_only.result, Verdict::Fail);
        assert!(read_only.cause.expect("a cause").contains("read-only"));
        assert!(finding(io::ErrorKind::PermissionDenied).cause.expect("a cause").contains("another user"));
        let forbidden = State::Forbidden(io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(!is_usable(&forbidden));
        assert_eq!(judge(Path::new("/data"), &forbidden).result, Verdict::Fail);
    }

    #[test]
    fn a_full_disk_fails_before_it_is_full() {
        assert_eq!(judge_space(Some(10 << 30)).result, Verdict::Ok);
        assert_eq!(judge_space(Some(100 << 20)).result, Verdict::Warn);
        assert_eq!(judge_space(Some(1 << 20)).result, Verdict::Fail);
        assert_eq!(judge_space(None).result, Verdict::Skip);
    }
}
