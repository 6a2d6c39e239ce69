// SPDX-License-Identifier: MIT OR Apache-2.0

//! HTML, in which all text is text: it is also well-formed XML, so that it can be checked strictly.

use std::fmt;

use mutex_stats::is_printable;
use unicode_width::UnicodeWidthStr;

use crate::table::Align;

/// Text that is only text, whatever a process calls itself.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                character if !is_printable(character) => character.escape_default().fmt(f)?,
                character => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

/// A table that can be scrolled sideways where it has no room.
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    // What is long may take several lines, on paper or everywhere.
    let class = |align: &Align, text: &str| match (align, text.width()) {
        (Align::Right, _) => " class=\"n\"",
        (Align::Left, 0..=24) => "",
        (Align::Left, 25..=60) => " class=\"w\"",
        (Align::Left, _) => " class=\"s\"",
    };
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for (name, align) in columns {
        html.extend([format!("<th{}>{}</th>", class(align, name), Text(name))]);
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for (cell, (_, align)) in row.iter().zip(columns) {
            html.extend([format!("<td{}>{}</td>", class(align, cell), Text(cell))]);
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

/// A number with what it is.
pub fn tile(name: &str, value: &str, more: &str) -> String {
    let (name, value, more) = (Text(name), Text(value), Text(more));
    format!(
        "<div class=\"tile\"><span>{name}</span><strong>{value}</strong><small>{more}</small></div>\n"
    )
}

/// A part with a heading.
pub fn section(heading: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", Text(heading))
}

/// A paragraph.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_anything_else() {
        let text = "<script>alert('1')</script> & \"x\"\u{1b}\u{ffff}\u{202e}";
        assert_eq!(
            Text(text).to_string(),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;\\u{1b}\u{fffd}\\u{202e}"
        );
    }
}
