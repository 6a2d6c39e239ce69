// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong, each in one sentence.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why something could not be recorded or read. No sentence but that of a missing file names the
/// database: that is for the caller, who knows it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no database.
    #[error("there is no history: {} does not exist", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file could not be had, made or moved.
    #[error("{0}")]
    File(
        /// What the system said.
        #[source]
        io::Error,
    ),
    /// The file is a database of somebody else.
    #[error("the file is a database, but no history of MUTEX")]
    NotAHistory,
    /// The database is of a later version.
    #[error("the history has version {found}; this program knows version {known}")]
    Version {
        /// The database's.
        found: i64,
        /// This library's.
        known: i64,
    },
    /// The disk is full.
    #[error(
        "there is no room on the disk: nothing is recorded until there is; what is counted meanwhile is recorded then"
    )]
    Full,
    /// Somebody else writes, for longer than was waited.
    #[error("the history is locked by another program")]
    Locked,
    /// The database is damaged.
    #[error("the history is damaged: {0}")]
    Corrupted(
        /// What the database said.
        String,
    ),
    /// Settings that make no sense.
    #[error("the settings of the history are wrong: {0}")]
    Settings(
        /// What is wrong.
        String,
    ),
    /// What is asked for is too much, or nothing.
    #[error("{0}")]
    Query(
        /// What is wrong.
        String,
    ),
    /// The database failed in another way.
    #[error("the history cannot be used: {0}")]
    Database(
        /// What it said.
        #[source]
        rusqlite::Error,
    ),
}

/// The results of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// `SQLITE_IOERR_SHMSIZE`: there is no room for the index of the write-ahead log.
const NO_ROOM_FOR_INDEX: i32 = 0x130a;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error() else { return Error::Database(error) };
        match code.code {
            ErrorCode::DiskFull => Error::Full,
            _ if code.extended_code == NO_ROOM_FOR_INDEX => Error::Full,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Locked,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Error::Corrupted(error.to_string())
            }
            _ => Error::Database(error),
        }
    }
}
