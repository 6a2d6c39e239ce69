// SPDX-License-Identifier: MIT OR Apache-2.0

//! How parts of the screen look: with colors, or with what every terminal has.

use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    Title,
    /// The view, or the column, that has been chosen.
    Chosen,
    /// The row that the cursor is on.
    Cursor,
    /// A row of what is over.
    Over,
    Bars,
    Good,
    Warning,
    Bad,
}

/// Whether there are colors. Without them nothing is lost: what they say is in words, too.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub has_colors: bool,
}

impl Theme {
    pub fn style(self, role: Role) -> Style {
        let style = Style::new();
        let colored = |color| if self.has_colors { style.fg(color) } else { style };
        match role {
            Role::Plain => style,
            Role::Title => style.add_modifier(Modifier::BOLD),
            Role::Chosen => {
                colored(Color::Cyan).add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
            }
            Role::Cursor => style.add_modifier(Modifier::REVERSED),
            Role::Over => style.add_modifier(Modifier::DIM),
            Role::Bars => colored(Color::Cyan),
            Role::Good => colored(Color::Green),
            Role::Warning => colored(Color::Yellow).add_modifier(Modifier::BOLD),
            Role::Bad => colored(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// Of a severity.
    pub fn severity(self, word: &str) -> Style {
        self.style(match word {
            "critical" | "error" => Role::Bad,
            "warning" => Role::Warning,
            _ => Role::Plain,
        })
    }
}
