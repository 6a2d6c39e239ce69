// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl completions` and `mutexctl man`: what the command line tells of itself.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use clap::Command;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::failure::reason;
use crate::target::Audience;
use crate::target::Target;

/// When the pages were last reviewed.
const DATE: &str = "2026-11-21";

/// The completions of a shell.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mutexctl", &mut script);
    write(&Target::Output, &script)
}

/// The page of the tool on standard output, or all pages into a folder.
pub fn man(folder: Option<&Path>) -> Result<(), Failure> {
    let Some(folder) = folder else { return write(&Target::Output, &page(Cli::command())?) };
    fs::create_dir_all(folder)
        .map_err(|error| anyhow!("cannot write {}: {}", folder.display(), reason(&error)))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(folder, &command, "mutexctl")
}

/// The page of a command and those of its subcommands.
fn pages(folder: &Path, command: &Command, name: &str) -> Result<(), Failure> {
    let named = command.clone().name(name.to_owned()).bin_name(name.replace('-', " "));
    let file = folder.join(format!("{name}.1"));
    write(&Target::File(file, Audience::Everyone), &page(named)?)?;
    for each in command.get_subcommands().filter(|each| !each.is_hide_set()) {
        pages(folder, each, &format!("{name}-{}", each.get_name()))?;
    }
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    Man::new(command)
        .date(DATE)
        .source("MUTEX")
        .render(&mut text)
        .map_err(|error| anyhow!(error))?;
    Ok(text)
}

fn write(target: &Target, text: &[u8]) -> Result<(), Failure> {
    target.write(|output| output.write_all(text).map_err(|error| Failure::writing(target, &error)))
}
