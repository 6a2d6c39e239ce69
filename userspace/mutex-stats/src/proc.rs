// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the kernel's files are.

use std::fs;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::Error;
use crate::Reader;
use crate::Stats;

/// One of the kernel's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The host's numbers, for everyone.
    Stats,
    /// A line a connection.
    Connections,
    /// A line an fd.
    Fds,
    /// The image.
    Snapshot,
    /// A line an alert.
    Alerts,
    /// What can be set.
    Config,
    /// The stream of events.
    Events,
    /// A line an open file of events.
    Monitors,
}

impl File {
    /// All of them.
    pub const ALL: [File; 8] = [
        File::Stats,
        File::Connections,
        File::Fds,
        File::Snapshot,
        File::Alerts,
        File::Config,
        File::Events,
        File::Monitors,
    ];

    /// Its name in the folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            File::Stats => "stats",
            File::Connections => "connections",
            File::Fds => "fds",
            File::Snapshot => "snapshot",
            File::Alerts => "alerts",
            File::Config => "config",
            File::Events => "events",
            File::Monitors => "monitors",
        }
    }
}

/// The folder of the kernel's files: `/proc/mutex`, or another one that looks like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proc(PathBuf);

impl Default for Proc {
    fn default() -> Self {
        Proc::new(Self::FOLDER)
    }
}

impl Proc {
    /// Where the kernel puts its files.
    pub const FOLDER: &str = "/proc/mutex";

    /// The longest text that is read into memory, in bytes.
    const MAX_TEXT: u64 = 1 << 20;

    /// Bytes that the kernel is asked for at a time.
    const BUFFER: usize = 128 << 10;

    /// A folder. It need not be there before something is opened.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Proc(folder.into())
    }

    /// The folder's path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A file's path.
    #[must_use]
    pub fn path(&self, file: File) -> PathBuf {
        self.0.join(file.name())
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`], [`Error::NotAFolder`], [`Error::Missing`], [`Error::Permission`],
    /// [`Error::File`].
    pub fn open(&self, file: File) -> Result<fs::File, Error> {
        let path = self.path(file);
        fs::File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => Error::Permission { path },
            _ => self.failure(path, source),
        })
    }

    /// Opens a file to read and to write it.
    ///
    /// # Errors
    ///
    /// As [`Proc::open`], and [`Error::WritePermission`].
    pub fn open_to_write(&self, file: File) -> Result<fs::File, Error> {
        let path = self.path(file);
        let opened = fs::File::options().read(true).write(true).open(&path);
        opened.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => Error::WritePermission { path },
            _ => self.failure(path, source),
        })
    }

    /// Writes to a file what it takes, in one piece.
    ///
    /// # Errors
    ///
    /// As [`Proc::open_to_write`], and [`Error::Refused`].
    pub fn write(&self, file: File, text: &str) -> Result<(), Error> {
        self.write_to(&self.open_to_write(file)?, file, text)
    }

    /// As [`Proc::write`], to a file that is open.
    pub(crate) fn write_to(
        &self,
        mut open: &fs::File,
        file: File,
        text: &str,
    ) -> Result<(), Error> {
        let path = self.path(file);
        open.write_all(text.as_bytes()).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidInput => Error::Refused { path, what: text.trim().to_owned() },
            io::ErrorKind::PermissionDenied => Error::WritePermission { path },
            _ => Error::File { path, source },
        })
    }

    /// What an error of reading a file that is open says.
    pub(crate) fn reading(&self, file: File, source: io::Error) -> Error {
        let is_gone = [Errno::IO, Errno::NODEV].map(Errno::raw_os_error).map(Some);
        if is_gone.contains(&source.raw_os_error()) {
            return Error::Unloaded;
        }
        Error::File { path: self.path(file), source }
    }

    /// What an error of opening `path` says of the folder.
    fn failure(&self, path: PathBuf, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::NotFound if !self.0.exists() => {
                Error::NotLoaded { folder: self.0.clone() }
            }
            io::ErrorKind::NotADirectory => Error::NotAFolder { folder: self.0.clone() },
            io::ErrorKind::NotFound => Error::Missing { path },
            _ => Error::File { path, source },
        }
    }

    /// Reads a text whole.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`].
    pub fn text(&self, file: File) -> Result<String, Error> {
        let mut text = String::new();
        self.open(file)?
            .take(Self::MAX_TEXT)
            .read_to_string(&mut text)
            .map_err(|source| self.reading(file, source))?;
        Ok(text)
    }

    /// Reads `stats`.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`] and of [`Stats::parse`]; [`Error::Permission`] where the kernel shows
    /// no numbers of the host ([`Stats::is_restricted`]).
    pub fn stats(&self) -> Result<Stats, Error> {
        let stats = Stats::parse(&self.text(File::Stats)?)?;
        if stats.is_restricted() {
            return Err(Error::Permission { path: self.path(File::Stats) });
        }
        Ok(stats)
    }

    /// Begins to read `snapshot`.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`] and of [`Reader::new`].
    pub fn snapshot(&self) -> Result<Reader<BufReader<fs::File>>, Error> {
        Reader::new(BufReader::with_capacity(Self::BUFFER, self.open(File::Snapshot)?))
    }
}
