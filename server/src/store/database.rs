//! The SQLite database: one writing thread and a few reading ones, each with its own connection. Async callers hand
//! them closures; no query ever runs on an async or a media thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::{StoreError, migrations};

const READERS: usize = 2;

/// Long enough to sit out a command of `banter user` in another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{path} has schema version {found}, but this banter knows versions up to {known}: a newer banter has written it. \
         Start that version again, or put back a copy from before the upgrade (in the folder `backups` beside it)"
    )]
    NewerSchema { path: String, found: i64, known: usize },
    #[error("{path} cannot be opened as a database: {cause}")]
    Sqlite { path: String, cause: rusqlite::Error },
    #[error("the schema of {path} could not be brought up to date: {cause}")]
    Migration { path: String, cause: rusqlite_migration::Error },
    #[error("{path} could not be copied aside before its schema is changed: {cause}")]
    Backup { path: String, cause: std::io::Error },
    #[error("a database thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// The way to the database threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: mpsc::Sender<Job>,
    readers: mpsc::Sender<Job>,
    writing: Mutex<Option<JoinHandle<()>>>,
    reading: Mutex<Vec<JoinHandle<()>>>,
}

enum Job {
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    Stop,
}

impl Database {
    /// Opens the file, brings its schema up to date and starts the threads. The file is made with the mode that the
    /// caller's folder and umask give it; a copy goes to `backups/` beside it before an existing schema is changed.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let mut connection = connect(path)?;
        migrations::run(&mut connection, path)?;
        let (writer, jobs) = mpsc::channel();
        let writing = spawn("db-write", connection, Arc::new(Mutex::new(jobs)))?;
        let (readers, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let reading = (0..READERS)
            .map(|_| spawn("db-read", connect(path)?, Arc::clone(&jobs)))
            .collect::<Result<Vec<_>, _>>()?;
        let (writing, reading) = (Mutex::new(Some(writing)), Mutex::new(reading));
        Ok(Self { shared: Arc::new(Shared { writer, readers, writing, reading }) })
    }

    /// Runs `work` in a read transaction: everything in it sees one state.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.shared.readers, TransactionBehavior::Deferred, work).await
    }

    /// Runs `work` in a write transaction, which is committed if it returns `Ok` and rolled back otherwise.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.shared.writer, TransactionBehavior::Immediate, work).await
    }

    /// Lets the jobs under way finish and closes the file, which folds the write-ahead log into it. Blocks; later
    /// calls of the other methods fail with [`StoreError::Closed`].
    pub fn close(&self) {
        let mut reading = self.shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..READERS {
            let _ = self.shared.readers.send(Job::Stop);
        }
        for thread in reading.drain(..) {
            let _ = thread.join();
        }
        // The last connection folds the log into the file. Of two that close at once, neither is the last.
        let _ = self.shared.writer.send(Job::Stop);
        let writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = writing {
            let _ = thread.join();
        }
    }
}

async fn run<T, E>(
    lane: &mpsc::Sender<Job>,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job = Job::Run(Box::new(move |connection| {
        let _ = reply.send(transact(connection, behavior, work));
    }));
    lane.send(job).map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

fn transact<T, E: From<StoreError>>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection.transaction_with_behavior(behavior).map_err(StoreError::from)?;
    let value = work(&transaction)?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(value)
}

fn spawn(
    name: &str,
    mut connection: Connection,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
) -> Result<JoinHandle<()>, OpenError> {
    let serve = move || {
        while let Some(work) = next(&jobs) {
            // A defect in one query must not take the database from everybody; the transaction rolls back on unwind.
            let _ = catch_unwind(AssertUnwindSafe(|| work(&mut connection)));
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(serve).map_err(OpenError::Thread)
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Work> {
    let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    match jobs.recv() {
        Ok(Job::Run(work)) => Some(work),
        Ok(Job::Stop) | Err(_) => None,
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // In WAL mode NORMAL can lose the last transactions on power loss, but never the consistency of the file.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    open().map_err(|cause| OpenError::Sqlite { path: path.display().to_string(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::settings;

    #[tokio::test]
    async fn a_failed_write_leaves_nothing_behind() {
        let (_folder, database) = fresh();
        let failed: Result<(), StoreError> = database
            .write(|tx| {
                settings::set(tx, "k", "v")?;
                Err(StoreError::Closed)
            })
            .await;
        assert!(failed.is_err());
        let all = database.read(|tx| settings::all(tx)).await.expect("reads");
        assert!(all.is_empty());
    }

    #[tokio::test]
    async fn a_panicking_job_costs_only_itself() {
        let (_folder, database) = fresh();
        let failed: Result<(), StoreError> = database.write(|_| panic!("a defect")).await;
        assert!(matches!(failed, Err(StoreError::Closed)));
        database.write(|tx| settings::set(tx, "k", "v")).await.expect("the writer still lives");
    }

    #[tokio::test]
    async fn closing_folds_the_log_into_the_file() {
        let (folder, database) = fresh();
        database.write(|tx| settings::set(tx, "k", "v")).await.expect("writes");
        assert!(folder.path().join("banter.db-wal").exists());
        database.close();
        assert!(!folder.path().join("banter.db-wal").exists());
        let late = database.read(|tx| settings::all(tx)).await;
        assert!(matches!(late, Err(StoreError::Closed)));
    }

    fn fresh() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Database::open(&folder.path().join("banter.db")).expect("opens");
        (folder, database)
    }
}
