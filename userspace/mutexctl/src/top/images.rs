// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where samples come from, one after the other.

use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::anyhow;
use mutex_stats::Holders;
use mutex_stats::Recording;
use mutex_stats::visit;

use super::sample::Sample;
use crate::commands::processes;
use crate::failure::Failure;
use crate::source::Sink;
use crate::source::Source;
use crate::source::warn_of_cuts;

/// The kernel's images, that of a file, or those of a recording.
pub struct Images {
    from: From,
    holders: Option<(Instant, Holders)>,
}

enum From {
    Source(Source),
    Recording(PathBuf, Recording),
}

impl Images {
    /// What `source` has; of a recording also which image is the one that it names.
    pub fn open(source: Source) -> Result<(Self, Option<usize>), Failure> {
        let Source::Recording(path, time) = source else {
            return Ok((Images { from: From::Source(source), holders: None }, None));
        };
        let cannot = |what| Failure::from(anyhow!("{}: {what}", path.display()));
        let recording = Recording::open(&path).map_err(|error| cannot(error.to_string()))?;
        warn_of_cuts(&recording);
        let named = recording.at(time);
        let number = recording.images().iter().position(|image| Some(*image) == named);
        let number = number.ok_or_else(|| cannot("there is no image of that time".into()))?;
        Ok((Images { from: From::Recording(path, recording), holders: None }, Some(number)))
    }

    /// How many there are, if it is a recording.
    pub fn count(&self) -> Option<usize> {
        match &self.from {
            From::Source(_) => None,
            From::Recording(_, recording) => Some(recording.images().len()),
        }
    }

    /// Whether the next one is another.
    pub fn are_live(&self) -> bool {
        matches!(&self.from, From::Source(source) if source.kernel().is_some())
    }

    /// Reads one; of a recording that with this number.
    pub fn read(&mut self, sample: &mut Sample, number: usize) -> Result<(), Failure> {
        match &self.from {
            From::Source(source) => {
                sample.read(|image| source.visit(image, Sink::Screen).map(drop))?;
                self.complete(sample);
                Ok(())
            }
            From::Recording(path, recording) => {
                let failed = |error| Failure::from(anyhow!("{}: {error}", path.display()));
                let Some(image) = recording.images().get(number) else { return Ok(()) };
                let input = recording.read(*image).map_err(failed)?;
                sample.read(|image| visit(BufReader::new(input), image).map(drop).map_err(failed))
            }
        }
    }

    /// Completes and corrects processes, by what was to be seen of them not long ago: there are many files to look at.
    fn complete(&mut self, sample: &mut Sample) {
        const AGE: Duration = Duration::from_secs(5);

        let From::Source(source) = &self.from else { return };
        if self.holders.as_ref().is_none_or(|(time, _)| time.elapsed() >= AGE) {
            self.holders = processes(source).map(|holders| (Instant::now(), holders));
        }
        if let Some((_, holders)) = &self.holders {
            sample.complete(holders);
        }
    }
}
