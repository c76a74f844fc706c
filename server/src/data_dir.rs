//! The data folder: readable by its owner only, and so is every file in it that holds a secret.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder that holds everything an installation keeps.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Makes the folder and its database file, or takes those that exist, and closes both to other users.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        create_private(path)?;
        let this = Self(path.to_path_buf());
        // SQLite gives its log and shared-memory files the mode of the database, so it has to be right beforehand.
        let database = this.database();
        private_file().create(true).append(true).open(&database)?;
        restrict(&database)?;
        Ok(this)
    }

    /// The folder as it is, if it is there: nothing is made or closed.
    pub fn as_it_is(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Claims the folder for a server: two of them would hand out each other's ports and miss each other's events. The
    /// system gives it back when the process ends, however it ends.
    pub fn lock(&self) -> Result<Lock, LockError> {
        let file = private_file().create(true).append(true).open(self.0.join("banter.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(self.0.clone())),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        database_in(&self.0)
    }

    /// What TURN credentials are made from.
    pub fn turn_secret(&self) -> PathBuf {
        self.0.join("turn-secret")
    }

    /// By which a router knows this server again.
    pub fn mapping_nonce(&self) -> PathBuf {
        self.0.join("port-mapping-nonce")
    }

    /// Which ports are in use, for scripts.
    pub fn ports_file(&self) -> PathBuf {
        self.0.join("ports.json")
    }
}

/// While it lives, no other server uses the folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "another server runs on the data folder {}; stop it, or choose another folder with --data-dir",
        .0.display()
    )]
    Taken(PathBuf),
    #[error("the data folder cannot be locked: {0}")]
    Io(#[from] std::io::Error),
}

pub fn database_in(folder: &Path) -> PathBuf {
    folder.join("banter.db")
}

/// Makes a folder with mode 0700 and its missing parents with the usual one.
pub fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    set_mode(path, 0o700)
}

/// Takes a file from everybody but its owner.
pub fn restrict(path: &Path) -> std::io::Result<()> {
    set_mode(path, 0o600)
}

/// Writes a file whole or not at all, with mode 0600.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = private_file().create(true).write(true).truncate(true).open(&partial)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}
