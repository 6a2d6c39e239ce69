// SPDX-License-Identifier: MIT OR Apache-2.0

//! The terminal, taken and given back whole.

use std::io;
use std::io::Stdout;
use std::panic;
use std::process::exit;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::EnterAlternateScreen;
use ratatui::crossterm::terminal::LeaveAlternateScreen;
use ratatui::crossterm::terminal::disable_raw_mode;
use ratatui::crossterm::terminal::enable_raw_mode;

use super::draw::draw;
use super::state::State;
use super::theme::Theme;

/// The terminal while it is ours. Dropping it gives it back as it was.
pub struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal. From now on a panic of any thread gives it back before it is told, and
    /// ends the program.
    pub fn take() -> io::Result<Self> {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            tell(panic);
            exit(101);
        }));
        Self::enter()
    }

    fn enter() -> io::Result<Self> {
        let terminal = enable_raw_mode()
            .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        if terminal.is_err() {
            give_back();
        }
        terminal.map(Screen)
    }

    pub fn draw(&mut self, state: &mut State, theme: Theme) -> io::Result<()> {
        self.0.draw(|frame| draw(frame, state, theme)).map(drop)
    }

    /// Gives the terminal back until job control lets the program go on.
    pub fn suspend(self) -> io::Result<Self> {
        drop(self);
        signal_hook::low_level::raise(signal_hook::consts::SIGSTOP)?;
        Self::enter()
    }

    /// Takes the terminal once more, whatever has become of it.
    pub fn again(self) -> io::Result<Self> {
        drop(self);
        Self::enter()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was. If it is gone, there is nothing to be done about it.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
