// SPDX-License-Identifier: MIT OR Apache-2.0

//! The header of `/proc/mutex/connections` and `/proc/mutex/fds`.

use std::io::BufRead;
use std::io::Read;

use crate::Error;
use crate::stats::check_format;

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// The columns of one of the kernel's tables. Later versions add columns at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<String>);

impl Columns {
    /// Reads the two lines that a table starts with; the next line is the first record's.
    ///
    /// # Errors
    ///
    /// [`Error::TextVersion`] for another format, [`Error::Text`] if there is no header line or a
    /// column has no name of its own, [`Error::Read`].
    pub fn read(mut input: impl BufRead) -> Result<Self, Error> {
        let mut line = || -> Result<Option<String>, Error> {
            let mut line = String::new();
            input.by_ref().take(MAX_LINE).read_line(&mut line).map_err(Error::Read)?;
            Ok(line.strip_suffix('\n').map(str::to_owned))
        };
        check_format(line()?.as_deref())?;
        let wrong = |what: &str| Error::Text { line: 2, what: what.to_owned() };
        let header = line()?.ok_or_else(|| wrong("there is no header line"))?;
        let columns: Vec<String> = header.split(' ').map(str::to_owned).collect();
        let mut names: Vec<&str> = columns.iter().map(String::as_str).collect();
        names.sort_unstable();
        if names.contains(&"") || names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong("each column needs a name of its own"));
        }
        Ok(Columns(columns))
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The place of a column, counted from 0; `None` if the table has none of that name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.iter().position(|column| column == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutex_core::text;

    #[test]
    fn the_kernels_header_is_understood_and_the_records_follow() {
        let mut table = String::new();
        text::fds_header(&mut table).expect("a string takes everything");
        text::fd(&mut table, &crate::Fd { id: 9, ..Default::default() })
            .expect("a string takes everything");
        let mut input = table.as_bytes();
        let columns = Columns::read(&mut input).expect("the text is the kernel's");
        assert_eq!(columns.position("id"), Some(0));
        assert_eq!(columns.position("discards"), Some(columns.iter().count() - 1));
        assert_eq!(columns.position("nonsense"), None);
        assert!(input.starts_with(b"9 "));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error =
            |text: &str| Columns::read(text.as_bytes()).expect_err("it is wrong").to_string();
        assert_eq!(error("format 3\nid\n"), "the text has format 3; this program reads format 1");
        assert_eq!(error("id\n"), "line 1 is not as expected: `id` is no format");
        for (text, what) in [
            ("format 1\n", "there is no header line"),
            ("format 1\nid netns", "there is no header line"),
            ("format 1\nid id\n", "each column needs a name of its own"),
            ("format 1\nid  netns\n", "each column needs a name of its own"),
        ] {
            assert_eq!(error(text), format!("line 2 is not as expected: {what}"));
        }
    }
}
