// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where an image comes from.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use anyhow::anyhow;
use mutex_stats::Ahead;
use mutex_stats::Block;
use mutex_stats::Error;
use mutex_stats::Header;
use mutex_stats::Proc;
use mutex_stats::Visitor;
use mutex_stats::visit;

use crate::failure::Failure;
use crate::failure::reason;

/// An image to read.
pub enum Source {
    /// The kernel's, of this moment.
    Kernel(Proc),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Input,
}

impl Source {
    /// What the command line names: `-` is standard input, nothing is the kernel.
    pub fn new(proc: &Path, file: Option<&Path>) -> Self {
        match file {
            None => Source::Kernel(Proc::new(proc)),
            Some(file) if file == Path::new("-") => Source::Input,
            Some(file) => Source::File(file.to_owned()),
        }
    }

    /// Hands the image to `visitor`, which writes to what `target` names.
    pub fn visit(
        &self,
        visitor: &mut impl Visitor,
        target: &impl fmt::Display,
    ) -> Result<Header, Failure> {
        let result = match self {
            Source::Kernel(proc) => proc
                .open(mutex_stats::File::Snapshot)
                .and_then(|file| visit(Ahead::new(file).map_err(Error::Read)?, visitor)),
            Source::File(path) => {
                let file = open(path)?;
                Ahead::new(file).map_err(Error::Read).and_then(|ahead| visit(ahead, visitor))
            }
            Source::Input => visit(io::stdin().lock(), visitor),
        };
        result.map_err(|error| match error {
            Error::Write(error) => Failure::writing(target, &error),
            error => self.failure(error),
        })
    }

    /// Reads the image to its end without using it, where it can be read again: so that nothing
    /// is made out of one that is damaged.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            Source::File(path) if path.is_file() => self.visit(&mut Nothing, &"").map(drop),
            _ => Ok(()),
        }
    }
}

impl Source {
    /// What is to be said of an error of this image.
    pub fn failure(&self, error: Error) -> Failure {
        match self {
            Source::Kernel(proc) => kernel_failure(error, proc, mutex_stats::File::Snapshot),
            Source::File(path) => anyhow!("{}: {error}", path.display()).into(),
            Source::Input => anyhow!("standard input: {error}").into(),
        }
    }
}

/// What is to be said when one of the kernel's files cannot be read.
pub fn kernel_failure(error: Error, proc: &Proc, file: mutex_stats::File) -> Failure {
    match error {
        Error::NotLoaded { .. } => {
            anyhow!("{error}; load it with `insmod mutex.ko`, or name another place with --proc")
        }
        Error::Permission { .. } => anyhow!("{error}; run mutexctl as root"),
        Error::NotAFolder { .. } | Error::Missing { .. } | Error::File { .. } => anyhow!(error),
        error => anyhow!("{}: {error}", proc.path(file).display()),
    }
    .into()
}

fn open(path: &Path) -> Result<File, Failure> {
    let cannot = |why| Failure::from(anyhow!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| cannot(reason(&error)))?;
    let is_folder = file.metadata().is_ok_and(|metadata| metadata.is_dir());
    if is_folder {
        return Err(cannot("it is a directory".into()));
    }
    Ok(file)
}

struct Nothing;

impl Visitor for Nothing {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, _: &Block<'_>) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
