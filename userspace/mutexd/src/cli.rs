// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be written on the command line.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;

use crate::config::Config;
use crate::http::Site;

/// Watch what the MUTEX kernel module counts: metrics, an HTTP interface, a live page.
#[derive(Debug, Parser)]
#[command(name = "mutexd", version, arg_required_else_help = true)]
#[command(after_help = "\
Files:
  /etc/mutexd.toml      the configuration; without it everything has its default
  /var/lib/mutexd       what outlives the daemon, and its process id while it runs

Signals: SIGTERM and SIGINT end it gracefully, SIGHUP makes it read the configuration again.")]
pub struct Cli {
    /// The configuration; /etc/mutexd.toml if nothing is said, and defaults if there is none.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in the foreground, as service managers want it.
    Run {
        /// Started by `mutexd start`, which waits for a word on standard output.
        #[arg(long, hide = true)]
        detached: bool,
    },

    /// Start in the background; returns when the daemon is ready, or says why it cannot be.
    Start,

    /// End the daemon gracefully; returns when it has ended.
    Stop,

    /// Make the daemon read its configuration again.
    Reload,

    /// Say whether the daemon runs; exit status 0 if it does.
    Status,

    /// Say what is wrong with a configuration: file, line, setting and what to do.
    CheckConfig {
        /// The file; without it, the one that the daemon would read.
        file: Option<PathBuf>,
    },
}

/// `mutexd check-config`.
pub fn check_config(file: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::find(file)?;
    // What the files that it names are like shows only when they are read.
    Site::check(&config)?;
    let name = file.unwrap_or(Path::new(Config::FILE));
    let what = if name.exists() { "is right" } else { "does not exist; the defaults are right" };
    writeln!(io::stdout(), "{} {what}", name.display())?;
    Ok(())
}
