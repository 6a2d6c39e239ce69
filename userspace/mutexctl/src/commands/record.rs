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
use crate::progress::Progress;
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
    while args.count.is_none_or(|count| images < count) {
        sleep(next.saturating_duration_since(Instant::now()));
        let append = |visitor: &mut dyn mutex_stats::Visitor| {
            let mut visitor = visitor;
            proc.snapshot()?.visit(&mut visitor).map(drop)
        };
        bytes += recorder.append(append).map_err(failed)?;
        images += 1;
        progress.say(format_args!("{images} images, {}", crate::human::size(bytes)));
        next += args.interval;
        // What a machine that stood still has missed is not made up for.
        next = next.max(Instant::now());
    }
    Ok(())
}
