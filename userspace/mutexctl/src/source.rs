// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where an image comes from.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use anyhow::anyhow;
use mutex_stats::Ahead;
use mutex_stats::Block;
use mutex_stats::Cut;
use mutex_stats::Error;
use mutex_stats::Header;
use mutex_stats::Proc;
use mutex_stats::Recording;
use mutex_stats::Visitor;
use mutex_stats::is_recording;
use mutex_stats::visit;
use rustix::io::Errno;

use crate::failure::Failure;
use crate::failure::reason;
use crate::failure::say;
use crate::human;
use crate::progress::Progress;
use crate::progress::Reading;
use crate::target::Target;

/// An image to read.
#[derive(Clone, Debug)]
pub enum Source {
    /// The kernel's, of this moment.
    Kernel(Proc),
    /// A file.
    File(PathBuf),
    /// One of a recording: the last that is not later than that, or the last.
    Recording(PathBuf, Option<u64>),
    /// Standard input.
    Input,
}

impl Source {
    /// What the command line names: `-` is standard input, nothing is the kernel.
    pub fn new(proc: &Path, file: Option<&Path>) -> Self {
        match file {
            None => Source::Kernel(Proc::new(proc)),
            Some(file) if file == Path::new("-") => Source::Input,
            Some(file) if file.is_dir() || begins_like_a_recording(file) => {
                Source::Recording(file.to_owned(), None)
            }
            Some(file) => Source::File(file.to_owned()),
        }
    }

    /// The same at another time, in nanoseconds of Unix time.
    pub fn at(self, time_ns: Option<u64>) -> Result<Self, Failure> {
        match (self, time_ns) {
            (source, None) => Ok(source),
            (Source::Recording(path, _), time) => Ok(Source::Recording(path, time)),
            _ => Err(Failure::Usage("--at is for recordings: name one with --from".into())),
        }
    }

    /// What `--from` and `--at` say.
    pub fn of(proc: &Path, from: &crate::cli::From) -> Result<Self, Failure> {
        Source::new(proc, from.from.as_deref()).at(from.at)
    }

    /// The kernel's files, if these are what is read.
    pub fn kernel(&self) -> Option<&Proc> {
        match self {
            Source::Kernel(proc) => Some(proc),
            _ => None,
        }
    }

    /// Hands the image to `visitor`, which writes to `sink`.
    pub fn visit(&self, visitor: &mut dyn Visitor, sink: Sink<'_>) -> Result<Header, Failure> {
        let ahead = |file: File| {
            let all = file.metadata().ok().map(|metadata| metadata.len()).filter(|all| *all > 0);
            let ahead = Ahead::new(file).map_err(Error::Read)?;
            Ok(Reading::new(ahead, sink.progress(), all))
        };
        let result = match self {
            Source::Kernel(proc) => proc
                .open(mutex_stats::File::Snapshot)
                .and_then(ahead)
                .and_then(|input| visit(input, visitor)),
            Source::File(path) => ahead(open(path)?).and_then(|input| visit(input, visitor)),
            Source::Recording(path, time) => {
                recorded(path, *time).map_err(|error| self.failure(error)).and_then(|input| {
                    let input = BufReader::with_capacity(BUFFER, input?);
                    Ok(visit(Reading::new(input, sink.progress(), None), visitor))
                })?
            }
            Source::Input => {
                visit(Reading::new(io::stdin().lock(), sink.progress(), None), visitor)
            }
        };
        result.map_err(|error| match error {
            Error::Write(error) => Failure::writing(sink, &error),
            error => self.failure(error),
        })
    }

    /// Reads the image to its end without using it, where it can be read again: so that nothing
    /// is made out of one that is damaged.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            Source::Recording(..) => self.visit(&mut Nothing, Sink::Memory).map(drop),
            Source::File(path) if path.is_file() => {
                self.visit(&mut Nothing, Sink::Memory).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// Where that goes what is made of an image while it is read.
#[derive(Clone, Copy)]
pub enum Sink<'a> {
    /// It is kept; who waits for it is told how far it has come.
    Memory,
    /// It is kept, by what has the whole screen.
    Screen,
    /// It is written at once.
    Target(&'a Target),
}

impl Sink<'_> {
    fn progress(self) -> Progress {
        match self {
            Sink::Screen => Progress::none(),
            // What comes there says enough, and would be mixed with it.
            Sink::Target(target) if target.is_terminal() => Progress::none(),
            Sink::Memory | Sink::Target(_) => Progress::passing(),
        }
    }
}

impl fmt::Display for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sink::Memory | Sink::Screen => f.write_str("to memory"),
            Sink::Target(target) => target.fmt(f),
        }
    }
}

impl Source {
    /// What is to be said of an error of this image.
    pub fn failure(&self, error: Error) -> Failure {
        match self {
            Source::Kernel(proc) => kernel_failure(error, proc, mutex_stats::File::Snapshot),
            Source::File(path) | Source::Recording(path, _) => {
                anyhow!("{}: {error}", path.display()).into()
            }
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
        Error::Permission { .. } | Error::WritePermission { .. } => {
            anyhow!("{error}; run mutexctl as root")
        }
        Error::Refused { .. } => anyhow!("{error}; the kernel's log (dmesg) says why"),
        Error::Unloaded => anyhow!("{error} while {} was read", proc.path(file).display()),
        Error::Read(source) if is_unloaded(&source) => {
            anyhow!("{} while {} was read", Error::Unloaded, proc.path(file).display())
        }
        Error::NotAFolder { .. }
        | Error::Missing { .. }
        | Error::File { .. }
        | Error::Setting(_) => anyhow!(error),
        error => anyhow!("{}: {error}", proc.path(file).display()),
    }
    .into()
}

/// Whether a file of the kernel's says that its module is gone.
pub fn is_unloaded(error: &io::Error) -> bool {
    let gone = [Errno::IO, Errno::NODEV].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|number| gone.contains(&number))
}

fn begins_like_a_recording(path: &Path) -> bool {
    let mut start = [0; 8];
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let read = || File::open(path).and_then(|mut file| file.read_exact(&mut start));
    is_file && { read }().is_ok() && is_recording(&start)
}

/// The image of a recording at that time, or the last; what it cannot read of it, it says.
fn recorded(path: &Path, time_ns: Option<u64>) -> Result<Result<impl Read, Failure>, Error> {
    let recording = Recording::open(path)?;
    warn_of_cuts(&recording);
    let Some(image) = recording.at(time_ns) else {
        let what = match (time_ns, recording.images().first()) {
            (Some(time), Some(first)) => format!(
                "holds nothing that is as old as {}: it begins at {}",
                human::moment(time),
                human::moment(first.time_ns)
            ),
            _ => "holds no image that is whole".into(),
        };
        return Ok(Err(anyhow!("{} {what}", path.display()).into()));
    };
    recording.read(image).map(Ok)
}

/// Says what of a recording cannot be read.
pub fn warn_of_cuts(recording: &Recording) {
    for Cut { path, at, lost } in recording.cuts() {
        say(format_args!(
            "{} is cut off or damaged at byte {at}: {lost} bytes are left out",
            path.display()
        ));
    }
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

/// Bytes of a recording that are read at a time.
const BUFFER: usize = 128 << 10;

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
