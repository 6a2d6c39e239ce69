// SPDX-License-Identifier: MIT OR Apache-2.0

//! Text as people may see it: whatever is invisible, or changes how other text looks, is escaped.

use std::borrow::Cow;

/// Code points that have no glyph of their own, but can hide text, reorder it, or break a line:
/// `Default_Ignorable_Code_Point` of Unicode 16 (among them bidirectional controls, zero-width
/// characters, variation selectors and tags), the line and paragraph separators, and the
/// interlinear annotation characters. Control characters are recognized by themselves.
const INVISIBLE: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is shown as it is. Control characters, bidirectional controls and characters
/// without width or glyph are not.
#[must_use]
pub fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let is_invisible = INVISIBLE.iter().any(|range| (range.0..=range.1).contains(&character));
    !is_invisible && !character.is_control()
}

/// The text with every character that is not [printable](is_printable) escaped as in Rust: `\n`,
/// `\u{202e}`. Text without any is not copied.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_printable(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invisible_or_reorders_text_is_escaped() {
        for (text, shown) in [
            ("\u{202e}gpj.exe", r"\u{202e}gpj.exe"),
            ("a\u{2066}b\u{2069}", r"a\u{2066}b\u{2069}"),
            ("a\u{200b}b\u{200d}c\u{2060}", r"a\u{200b}b\u{200d}c\u{2060}"),
            ("\u{feff}x\u{ad}", r"\u{feff}x\u{ad}"),
            ("\u{e0041}", r"\u{e0041}"),
            ("a\u{2028}b", r"a\u{2028}b"),
            ("\u{1b}[2J\n\t\u{7f}\u{9b}", r"\u{1b}[2J\n\t\u{7f}\u{9b}"),
            ("\u{115f}\u{3164}", r"\u{115f}\u{3164}"),
        ] {
            assert_eq!(printable(text), shown);
        }
        for text in ["", "tmux: server", r"C:\x", "größe 漢字 e\u{301} мир שלום 😀", "\u{fffd}"]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn ranges_are_in_order() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
