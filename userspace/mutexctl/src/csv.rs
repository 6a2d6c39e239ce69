// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether CSV is for a spreadsheet, which would run text that looks like a formula, or for a program.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use clap::ValueEnum;
use mutex_stats::formats::RowFormat;

use crate::target::Target;

/// When text in CSV that begins like a formula is escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[repr(u8)]
pub enum CsvEscape {
    #[default]
    Auto,
    Always,
    Never,
}

static WHEN: AtomicU8 = AtomicU8::new(CsvEscape::Auto as u8);

impl CsvEscape {
    /// Decides for this run.
    pub fn decide(self) {
        WHEN.store(self as u8, Relaxed);
    }
}

/// Whether formulas are escaped in CSV that goes there: by default where a person will open it, that
/// is on a terminal and in a file, and not in a pipe to a program.
pub fn escapes(target: &Target) -> bool {
    match WHEN.load(Relaxed) {
        when if when == CsvEscape::Always as u8 => true,
        when if when == CsvEscape::Never as u8 => false,
        _ => match target {
            Target::Output => io::stdout().is_terminal() || is_file(&io::stdout()),
            Target::File(path, _) => {
                path.metadata().map_or(true, |metadata| metadata.is_file() || metadata.is_dir())
            }
        },
    }
}

/// The format of rows in CSV that go there.
pub fn rows(target: &Target) -> RowFormat {
    if escapes(target) { RowFormat::EscapedCsv } else { RowFormat::Csv }
}

fn is_file(output: &impl AsFd) -> bool {
    let file = output.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.is_file())
}
