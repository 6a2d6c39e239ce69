// SPDX-License-Identifier: MIT OR Apache-2.0

//! The log: lines of text for people, or of JSON for programs.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::anyhow;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use crate::config::Level;
use crate::config::Log;
use crate::config::LogFormat;
use crate::own::locked;

/// By which the log can be changed later.
pub struct Handle {
    level: reload::Handle<LevelFilter, Registry>,
    file: Option<Arc<LogFile>>,
}

/// A file that is appended to. When another file has its name, or none has, it is opened anew: programs that rotate logs
/// rename or remove them.
struct LogFile {
    path: PathBuf,
    opened: Mutex<Opened>,
}

struct Opened {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// When the name was looked at the last time.
    checked: Instant,
}

/// How often the name is looked at, at the most.
const CHECK: Duration = Duration::from_secs(1);

impl Opened {
    fn new(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).mode(0o600).open(path)?;
        let metadata = file.metadata()?;
        Ok(Opened { file, id: (metadata.dev(), metadata.ino()), checked: Instant::now() })
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // The working directory may change.
        let path = std::path::absolute(path)?;
        let opened = Mutex::new(Opened::new(&path)?);
        Ok(LogFile { path, opened })
    }

    /// Opens it anew. If that fails, what was open is written to.
    fn reopen(&self, opened: &mut Opened) -> io::Result<()> {
        opened.checked = Instant::now();
        *opened = Opened::new(&self.path)?;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<usize> {
        let mut opened = locked(&self.opened);
        if opened.checked.elapsed() >= CHECK {
            opened.checked = Instant::now();
            let id = fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
            if id.ok() != Some(opened.id) {
                // Where that is not possible there is nobody to tell; it is tried again.
                let _ = self.reopen(&mut opened);
            }
        }
        opened.file.write(line)
    }
}

/// Writes a line, which comes in one piece.
struct Line(Arc<LogFile>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to log; to be called once.
///
/// # Errors
///
/// The file that cannot be opened.
pub fn start(settings: &Log, default_file: Option<&Path>) -> anyhow::Result<Handle> {
    let file = Some(settings.file.as_path()).filter(|path| !path.as_os_str().is_empty());
    let (writer, file) = match file.or(default_file) {
        None => (BoxMakeWriter::new(std::io::stderr), None),
        Some(path) => {
            let file = LogFile::open(path).map_err(|error| anyhow!(crate::reason(&error)));
            let file = file.with_context(|| format!("cannot open the log {}", path.display()))?;
            let file = Arc::new(file);
            let writer = file.clone();
            (BoxMakeWriter::new(move || Line(writer.clone())), Some(file))
        }
    };
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false)
        // On a full disk there is nobody else to tell.
        .log_internal_errors(false);
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let subscriber = Registry::default().with(filter).with(lines);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(Handle { level: handle, file })
}

impl Handle {
    /// Logs from another severity on.
    pub fn set(&self, level: Level) {
        // It fails only when there is no log any more.
        let _ = self.level.reload(filter(level));
    }

    /// Opens the file anew, if there is one: it may have been renamed or removed.
    pub fn reopen(&self) {
        let Some(file) = &self.file else { return };
        let reopened = file.reopen(&mut locked(&file.opened));
        if let Err(error) = reopened {
            let (path, reason) = (file.path.display(), crate::reason(&error));
            tracing::warn!(
                "cannot open the log {path} anew: {reason}; what was open is written to"
            );
        }
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warning => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_renamed_or_removed_is_opened_anew() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("log");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let log = LogFile::open(&path).expect("there is room");
        let write = |text: &str, is_later: bool| {
            if is_later {
                locked(&log.opened).checked -= CHECK;
            }
            log.write(text.as_bytes()).expect("there is room");
        };
        write("1", true);
        fs::rename(&path, folder.path().join("log.1")).expect("it is there");
        // The name is not looked at for each line.
        write("2", false);
        write("3", true);
        assert_eq!((read("log.1"), read("log")), ("12".into(), "3".into()));
        fs::remove_file(&path).expect("it is there");
        log.reopen(&mut locked(&log.opened)).expect("there is room");
        write("4", false);
        assert_eq!(read("log"), "4");
        // Where no new one can be opened, the old one is gone on with.
        fs::rename(folder.path(), folder.path().with_extension("away")).expect("it is ours");
        write("5", true);
        fs::rename(folder.path().with_extension("away"), folder.path()).expect("it is ours");
        assert_eq!(read("log"), "45");
    }
}
