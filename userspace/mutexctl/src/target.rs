// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where output goes.

use std::fmt;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::anyhow;

use crate::color;
use crate::failure::Failure;
use crate::safe_file::NewFile;

/// Bytes that small pieces are gathered to.
const BUFFER: usize = 512 << 10;

/// What is written to; Parquet asks for something that threads could hand on.
pub type Output = BufWriter<Box<dyn Write + Send>>;

/// A stream of bytes to write.
pub enum Target {
    /// Standard output.
    Output,
    /// A file.
    File(PathBuf, Audience),
}

/// Whom a new file is for. One that is there stays for whom it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Its owner: it names connections, which are not for every user of the host.
    Owner,
    /// Whoever the umask leaves it to.
    Everyone,
}

impl Audience {
    /// The mode of a new file, less what the umask takes away.
    pub fn mode(self) -> u32 {
        match self {
            Audience::Owner => 0o600,
            Audience::Everyone => 0o666,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Output => f.write_str("to standard output"),
            Target::File(path, _) => path.display().fmt(f),
        }
    }
}

impl Target {
    /// What the command line names: `-` and nothing are standard output. A new file is for its owner.
    pub fn new(file: Option<&Path>) -> Self {
        Target::made_for(Audience::Owner, file)
    }

    /// The same with a file for others.
    pub fn made_for(audience: Audience, file: Option<&Path>) -> Self {
        match file {
            Some(file) if file != Path::new("-") => {
                color::off();
                Target::File(file.to_owned(), audience)
            }
            _ => Target::Output,
        }
    }

    /// Whether it is the terminal of a person.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Target::Output) && io::stdout().is_terminal()
    }

    /// That what nobody can read does not go to the terminal of a person.
    pub fn takes_binary(&self) -> Result<(), Failure> {
        if self.is_terminal() {
            let sentence =
                "binary data is nothing for a terminal: name a file with -o FILE, or a pipe";
            return Err(Failure::Usage(sentence.into()));
        }
        Ok(())
    }

    /// Gives `write` something to write to. A file gets its content when `write` has succeeded and
    /// the content is on the disk; before that nothing of it is to be seen.
    pub fn write(
        &self,
        write: impl FnOnce(&mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut opened = self.open()?;
        write(&mut opened.output)?;
        self.finish(opened)
    }

    /// As [`Target::write`] for what has no end but that somebody stops it: a file is emptied, and then
    /// grows as it is written to.
    pub fn write_on(
        &self,
        write: impl FnOnce(&mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut opened = self.open_in_place()?;
        write(&mut opened.output)?;
        self.finish(opened)
    }

    fn open(&self) -> Result<Opened, Failure> {
        let Target::File(path, audience) = self else { return self.open_in_place() };
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                Err(anyhow!("cannot write {self}: it is a directory").into())
            }
            // A device, a pipe: there is nothing to replace, and it must not be.
            Ok(metadata) if !metadata.is_file() => self.open_in_place(),
            _ => {
                let open = || {
                    let new = NewFile::create(path, audience.mode())?;
                    let file: File = new.file().try_clone()?;
                    Ok(Opened::new(file, Some(new)))
                };
                open().map_err(|error| Failure::writing(self, &error))
            }
        }
    }

    fn open_in_place(&self) -> Result<Opened, Failure> {
        let Target::File(path, audience) = self else { return Ok(Opened::new(io::stdout(), None)) };
        let is_file = path.metadata().map_or(true, |metadata| metadata.is_file());
        let mut options = OpenOptions::new();
        options.write(true).create(is_file).truncate(is_file).mode(audience.mode());
        let file = options.open(path).map_err(|error| Failure::writing(self, &error))?;
        Ok(Opened::new(file, None))
    }

    fn finish(&self, mut opened: Opened) -> Result<(), Failure> {
        let finished =
            opened.output.flush().and_then(|()| opened.new.map_or(Ok(()), NewFile::publish));
        finished.map_err(|error| Failure::writing(self, &error))
    }
}

/// A target that is being written to.
struct Opened {
    output: Output,
    /// The file to publish when it is complete.
    new: Option<NewFile>,
}

impl Opened {
    fn new(output: impl Write + Send + 'static, new: Option<NewFile>) -> Self {
        Opened { output: Output::with_capacity(BUFFER, Box::new(output)), new }
    }
}

/// Prints a text on standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    Target::Output.write(|output| {
        output.write_all(text.as_bytes()).map_err(|error| Failure::writing(Target::Output, &error))
    })
}
