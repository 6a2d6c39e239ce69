// SPDX-License-Identifier: MIT OR Apache-2.0

//! The log: lines of text for people, or of JSON for programs.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
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

/// By which the level can be changed later.
pub struct Handle(reload::Handle<LevelFilter, Registry>);

/// Begins to log; to be called once.
///
/// # Errors
///
/// The file that cannot be opened.
pub fn start(settings: &Log, default_file: Option<&Path>) -> anyhow::Result<Handle> {
    let file = Some(settings.file.as_path()).filter(|path| !path.as_os_str().is_empty());
    let writer = match file.or(default_file) {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => {
            let file = File::options().append(true).create(true).open(path);
            let file = file.map_err(|error| anyhow::anyhow!(crate::reason(&error)));
            BoxMakeWriter::new(Mutex::new(
                file.with_context(|| format!("cannot open the log {}", path.display()))?,
            ))
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
    Ok(Handle(handle))
}

impl Handle {
    /// Logs from another severity on.
    pub fn set(&self, level: Level) {
        // It fails only when there is no log any more.
        let _ = self.0.reload(filter(level));
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
