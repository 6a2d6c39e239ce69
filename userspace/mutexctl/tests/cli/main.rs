// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tool as a program: what it prints, leaves, and answers.

mod commands;
mod damage;
mod diag;
mod help;
mod history;
mod host;
mod meter;
mod output;
mod page;
mod pipes;
mod progress;
mod report;
mod terminal;
mod top;
mod usage;
mod writing;
