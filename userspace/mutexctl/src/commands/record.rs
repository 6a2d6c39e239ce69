// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl record`.

use std::path::Path;
use std::thread::sleep;
use std::time::Instant;

use anyhow::anyhow;
use mutex_stats::Error;
use mutex_stats::File;
use mutex_stats::Proc;
use mutex_stats::Recorder;
use mutex_stats::Retention;

use crate::cli::RecordArgs;
use crate::failure::Failure;
use crate::failure::reason;
use crate::failure::say;
use crate::progress::Progress;
use crate::source::is_unloaded;
use crate::source::kernel_failure;

pub fn run(proc: &Path, args: &RecordArgs) -> Result<(), Failure> {
    let proc = Proc::new(proc);
    let folder = &args.output;
    let failed = |error| match error {
        Error::Write(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            anyhow!("cannot write {}: it is not a directory", folder.display()).into()
        }
        Error::Write(error) => {
            anyhow!("cannot write {}: {}", folder.display(), reason(&error)).into()
        }
        Error::RecordedAlready => {
            anyhow!("cannot record into {}: {error}; use another directory", folder.display())
                .into()
        }
        error => kernel_failure(error, &proc, File::Snapshot),
    };
    let retention = Retention {
        file_bytes: Some(args.file_size),
        total_bytes: args.keep_size,
        age: args.keep_for,
    };
    let mut recorder = Recorder::new(folder, retention).map_err(failed)?;
    let mut progress = Progress::kept();
    let mut next = Instant::now();
    let (mut images, mut bytes) = (0u64, 0);
    let (mut load, mut is_away) = (None, false);
    while args.count.is_none_or(|count| images < count) {
        sleep(next.saturating_duration_since(Instant::now()));
        let append = |visitor: &mut dyn mutex_stats::Visitor| {
            let mut visitor = visitor;
            proc.snapshot()?.visit(&mut visitor).map(drop)
        };
        match recorder.append(append) {
            Ok(appended) => {
                bytes += appended;
                images += 1;
                let is_other = recorder.load() != load.or(recorder.load());
                if is_other || is_away {
                    progress.clear();
                    let what = if is_other { "MUTEX was loaded anew" } else { "MUTEX is back" };
                    say(format_args!("{what}; recording goes on"));
                }
                (load, is_away) = (recorder.load(), false);
                progress.say(format_args!("{images} images, {}", crate::human::size(bytes)));
            }
            // A module that was never there is a mistake of whoever started this.
            Err(error) if images > 0 && is_absent(&error) => {
                if !is_away {
                    progress.clear();
                    say(format_args!("{error}; recording goes on when MUTEX is back"));
                }
                is_away = true;
            }
            Err(error) => return Err(failed(error)),
        }
        next += args.interval;
        // What a machine that stood still has missed is not made up for.
        next = next.max(Instant::now());
    }
    Ok(())
}

/// Whether an error says no more than that the module is not there, or goes away.
fn is_absent(error: &Error) -> bool {
    match error {
        Error::NotLoaded { .. } | Error::Missing { .. } | Error::Unloaded => true,
        Error::Read(source) | Error::File { source, .. } => is_unloaded(source),
        _ => false,
    }
}
