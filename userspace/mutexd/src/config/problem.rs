// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// One thing that is wrong: `FILE:LINE: SETTING: what, and what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    file: Option<PathBuf>,
    line: Option<usize>,
    setting: String,
    what: String,
}

impl Problem {
    /// With a setting, named with its section, or an empty name for the whole file.
    pub fn new(setting: &str, what: impl Into<String>) -> Self {
        Problem { file: None, line: None, setting: setting.into(), what: what.into() }
    }

    /// What TOML says of a text.
    pub fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_of(text, span.start));
        let setting = line.map(|line| setting_at(text, line)).unwrap_or_default();
        // A list of what there is instead is advice; all else is not, without a word.
        let what = error.message().replace('\n', "; ").replace('`', "\"");
        Problem { file: None, line, setting, what }
    }

    /// The same, in that file.
    pub fn in_file(self, file: &Path) -> Self {
        Problem { file: Some(file.to_owned()), ..self }
    }

    /// The same, with the line of `text` that has the setting, if one has it.
    pub fn found_in(self, text: &str) -> Self {
        let line = (1..=text.lines().count()).find(|line| {
            text.lines().nth(line - 1).and_then(key).is_some()
                && setting_at(text, *line) == self.setting
        });
        Problem { line, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        } else if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.setting.is_empty() {
            write!(f, "{}: ", self.setting)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The key that a line sets, if it sets one.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    (!key.is_empty() && key.chars().all(is_key)).then_some(key)
}

fn section(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.split_once(']').map(|(name, _)| name.trim())
}

/// The setting that a line belongs to: the last key at or before it, in its section.
fn setting_at(text: &str, line: usize) -> String {
    let before: Vec<&str> = text.lines().take(line).collect();
    let section_at = before.iter().rposition(|line| key(line).is_none() && section(line).is_some());
    let name = section_at.and_then(|at| section(before[at]));
    let key =
        before.iter().skip(section_at.map_or(0, |at| at + 1)).rev().find_map(|line| key(line));
    [name, key].into_iter().flatten().collect::<Vec<_>>().join(".")
}
