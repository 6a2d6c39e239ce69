// SPDX-License-Identifier: MIT OR Apache-2.0

//! The line in which a filter is written.

use mutex_stats::Error;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::is_printable;
use unicode_width::UnicodeWidthStr;

/// A filter as text, as it is being written, and as it holds.
#[derive(Clone, Debug, Default)]
pub struct FilterLine {
    /// What has been written, also if it is no filter.
    pub text: String,
    /// Where the next character goes, in characters.
    pub cursor: usize,
    /// Whether keys go here.
    pub is_edited: bool,
    /// What is wrong with the text.
    pub error: Option<String>,
    /// The filter that holds: the last text that was one.
    pub filter: Filter,
    /// The text to go back to.
    before: String,
}

impl FilterLine {
    pub fn new(text: &str, of: Filtered) -> Result<Self, Error> {
        let filter = Filter::parse(text, of)?;
        let cursor = text.chars().count();
        Ok(FilterLine { text: text.to_owned(), cursor, filter, ..FilterLine::default() })
    }

    /// Lets keys go here.
    pub fn edit(&mut self) {
        self.is_edited = true;
        self.before.clone_from(&self.text);
        self.cursor = self.text.chars().count();
    }

    /// Takes the text if it is a filter.
    pub fn accept(&mut self) {
        self.is_edited = self.error.is_some();
    }

    /// Goes back to what was there before.
    pub fn cancel(&mut self, of: Filtered) {
        self.text = std::mem::take(&mut self.before);
        self.is_edited = false;
        self.check(of);
    }

    pub fn clear(&mut self, of: Filtered) {
        self.text.clear();
        self.cursor = 0;
        self.check(of);
    }

    pub fn insert(&mut self, character: char, of: Filtered) {
        if is_printable(character) {
            self.text.insert(self.byte(self.cursor), character);
            self.cursor += 1;
            self.check(of);
        }
    }

    /// Takes the character before the cursor away.
    pub fn delete_back(&mut self, of: Filtered) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.delete(of);
        }
    }

    /// Takes the character at the cursor away.
    pub fn delete(&mut self, of: Filtered) {
        if self.cursor < self.text.chars().count() {
            self.text.remove(self.byte(self.cursor));
            self.check(of);
        }
    }

    /// Takes the word before the cursor away.
    pub fn delete_word(&mut self, of: Filtered) {
        let head: String = self.text.chars().take(self.cursor).collect();
        let trimmed = head.trim_end();
        let kept = trimmed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let kept: String =
            head.chars().take(head.get(..kept).map_or(0, |h| h.chars().count())).collect();
        let tail: String = self.text.chars().skip(self.cursor).collect();
        self.cursor = kept.chars().count();
        self.text = kept + &tail;
        self.check(of);
    }

    pub fn left(&mut self) {
        self.cursor = self.cursor.saturating_sub(1);
    }

    pub fn right(&mut self) {
        self.cursor = (self.cursor + 1).min(self.text.chars().count());
    }

    pub fn home(&mut self) {
        self.cursor = 0;
    }

    pub fn end(&mut self) {
        self.cursor = self.text.chars().count();
    }

    /// Columns of the text before the cursor.
    pub fn cursor_column(&self) -> usize {
        self.text.get(..self.byte(self.cursor)).map_or(0, UnicodeWidthStr::width)
    }

    fn byte(&self, character: usize) -> usize {
        self.text.char_indices().nth(character).map_or(self.text.len(), |(byte, _)| byte)
    }

    fn check(&mut self, of: Filtered) {
        match Filter::parse(&self.text, of) {
            Ok(filter) => (self.filter, self.error) = (filter, None),
            Err(error) => {
                // Everybody sees that it is about the filter.
                let error = error.to_string();
                let what = error.strip_prefix("the filter is wrong: ").unwrap_or(&error);
                self.error = Some(what.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Filtered = Filtered::Connections;

    fn typed(text: &str) -> FilterLine {
        let mut line = FilterLine::default();
        line.edit();
        text.chars().for_each(|character| line.insert(character, OF));
        line
    }

    #[test]
    fn what_is_no_filter_says_so_and_changes_nothing() {
        let mut line = typed("port=4");
        assert_eq!(line.filter.to_string(), "port=4");
        line.insert('x', OF);
        assert!(line.error.as_deref().is_some_and(|error| error.contains("\"4x\"")));
        assert_eq!(line.filter.to_string(), "port=4");
        line.accept();
        assert!(line.is_edited, "it is not taken");
        line.delete_back(OF);
        line.accept();
        assert!(!line.is_edited && line.error.is_none());
    }

    #[test]
    fn keys_move_and_delete() {
        let mut line = typed("uid=0 größe");
        line.delete_word(OF);
        assert_eq!((line.text.as_str(), line.cursor), ("uid=0 ", 6));
        line.delete_word(OF);
        assert_eq!((line.text.as_str(), line.cursor), ("", 0));
        let mut line = typed("pört=1");
        line.home();
        line.right();
        line.delete(OF);
        line.insert('o', OF);
        assert_eq!(line.text, "port=1");
        line.left();
        line.left();
        assert_eq!(line.cursor, 0);
        line.end();
        assert_eq!(line.cursor, 6);
        let line = typed("\u{202e}漢e\u{301}x");
        assert_eq!((line.text.as_str(), line.cursor), ("漢e\u{301}x", 4));
        assert_eq!(line.cursor_column(), 4);
        let mut line = typed("漢字");
        line.left();
        assert_eq!(line.cursor_column(), 2);
    }

    #[test]
    fn what_was_there_before_comes_back() {
        let mut line = FilterLine::new("port=80", OF).expect("it is a filter");
        line.edit();
        line.insert('x', OF);
        line.cancel(OF);
        assert_eq!((line.text.as_str(), line.is_edited), ("port=80", false));
        assert_eq!(line.filter.to_string(), "port=80");
        assert!(line.error.is_none());
    }
}
