// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl report`: one page that says how the host fares.

mod html;
mod page;
mod plot;
mod timeline;

use std::io::Write;

use anyhow::anyhow;
use mutex_stats::Recording;

use self::page::page;
use self::timeline::Timeline;
use crate::cli::ReportArgs;
use crate::commands::holders;
use crate::failure::Failure;
use crate::source::Sink;
use crate::source::Source;
use crate::target::Target;
use crate::top::Sample;

/// Writes the page.
pub fn run(source: &Source, args: &ReportArgs) -> Result<(), Failure> {
    let mut sample = Sample::default();
    sample.read(|image| source.visit(image, Sink::Memory).map(drop))?;
    if let Some(holders) = holders(source) {
        sample.complete(&holders);
    }
    let timeline = match (source, args.since) {
        (Source::Recording(path, _), since) => {
            let failed = |error| Failure::from(anyhow!("{}: {error}", path.display()));
            let recording = Recording::open(path).map_err(failed)?;
            let until = sample.image.header.time_ns;
            Some(Timeline::read(&recording, since.unwrap_or(0), until))
        }
        (_, Some(_)) => {
            let sentence = "--since is for recordings: name one with --from";
            return Err(Failure::Usage(sentence.into()));
        }
        (_, None) => None,
    };
    let page = page(&sample, timeline.as_ref(), args.top);
    let target = Target::new(args.output.output.as_deref());
    target.write(|output| {
        output.write_all(page.as_bytes()).map_err(|error| Failure::writing(&target, &error))
    })
}
