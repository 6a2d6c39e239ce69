// SPDX-License-Identifier: MIT OR Apache-2.0

//! What keys do.

use std::time::Duration;

use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyEventKind;
use ratatui::crossterm::event::KeyModifiers;

use super::state::State;
use super::view::View;

/// What is to be done besides drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Quit,
    /// To be stopped by job control.
    Suspend,
    /// Numbers of this moment.
    Refresh,
    /// The image of a recording that is so many further on.
    Step(isize),
}

/// The keys, for the help.
pub const HELP: [(&str, &str); 20] = [
    ("1 - 5, Tab", "connections, fds, processes, remotes, alerts"),
    ("Up, Down, j, k", "move; PgUp, PgDn, Home, End too"),
    ("Left, Right", "order by the next column to that side"),
    ("r", "reverse the order"),
    ("/", "filter, e.g. protocol=tcp remote=10.0.0.0/8 drops>=1"),
    ("", "Enter takes it, Esc goes back"),
    ("\\", "no filter"),
    ("Enter, d", "details of the row, with its latency"),
    ("c", "closed connections and fds too, or not"),
    ("b", "bits or bytes"),
    ("p, Space", "pause"),
    ("u", "numbers of this moment"),
    ("+, -", "slower, faster"),
    ("[, ]", "in a recording: the image before, the next; { and }: ten"),
    ("?, h, F1", "this help"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("listed", "connections of the rows; other: of what is not listed"),
    ("closed", "connections that are over and no longer kept"),
    ("untracked", "packets that belong to no connection"),
];

/// Does what a key is for.
pub fn key(state: &mut State, key: KeyEvent) -> Wish {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if key.kind == KeyEventKind::Release {
        return Wish::Nothing;
    }
    match key.code {
        KeyCode::Char('c') if is_control => return Wish::Quit,
        KeyCode::Char('z') if is_control => return Wish::Suspend,
        code if state.look().filter.is_edited => edit(state, code, is_control),
        _ if state.shows_help => state.shows_help = false,
        KeyCode::Char('q') => return Wish::Quit,
        code => return command(state, code),
    }
    Wish::Nothing
}

/// A key while a filter is written.
fn edit(state: &mut State, code: KeyCode, is_control: bool) {
    let of = state.view.filtered();
    let line = &mut state.look_mut().filter;
    match code {
        KeyCode::Enter => line.accept(),
        KeyCode::Esc => line.cancel(of),
        KeyCode::Backspace => line.delete_back(of),
        KeyCode::Delete => line.delete(of),
        KeyCode::Left => line.left(),
        KeyCode::Right => line.right(),
        KeyCode::Home => line.home(),
        KeyCode::End => line.end(),
        KeyCode::Char('u') if is_control => line.clear(of),
        KeyCode::Char('w') if is_control => line.delete_word(of),
        KeyCode::Char(character) if !is_control => line.insert(character, of),
        _ => return,
    }
    state.arrange();
}

fn command(state: &mut State, code: KeyCode) -> Wish {
    let (cursor, page) = (state.look().cursor, state.page.max(1));
    match code {
        KeyCode::Char(digit @ '1'..='5') => {
            let number = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
            state.show(View::ALL[number]);
        }
        KeyCode::Tab => state.show(View::ALL[(state.view as usize + 1) % View::ALL.len()]),
        KeyCode::BackTab => {
            state.show(View::ALL[(state.view as usize + View::ALL.len() - 1) % View::ALL.len()]);
        }
        KeyCode::Up | KeyCode::Char('k') => state.move_to(cursor.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => state.move_to(cursor + 1),
        KeyCode::PageUp => state.move_to(cursor.saturating_sub(page)),
        KeyCode::PageDown => state.move_to(cursor + page),
        KeyCode::Home | KeyCode::Char('g') => state.move_to(0),
        KeyCode::End | KeyCode::Char('G') => state.move_to(usize::MAX),
        KeyCode::Left | KeyCode::Char('<') => state.order_by_next(false),
        KeyCode::Right | KeyCode::Char('>') => state.order_by_next(true),
        KeyCode::Char('r') => {
            let order = &mut state.look_mut().order;
            order.is_reversed = !order.is_reversed;
            state.arrange();
        }
        KeyCode::Char('/') => state.look_mut().filter.edit(),
        KeyCode::Char('\\') => {
            let of = state.view.filtered();
            state.look_mut().filter.clear(of);
            state.arrange();
        }
        KeyCode::Enter | KeyCode::Char('d') => {
            state.shows_detail = !state.shows_detail;
            // It is this row whose details are wanted, wherever it goes.
            let id = state.row().map(|row| row.id());
            state.look_mut().id = id;
        }
        KeyCode::Esc => state.shows_detail = false,
        KeyCode::Char('c') => {
            state.shows_closed = !state.shows_closed;
            state.arrange();
        }
        KeyCode::Char('b') => state.unit = state.unit.other(),
        KeyCode::Char('p' | ' ') => {
            state.is_paused = !state.is_paused;
            if !state.is_paused {
                return Wish::Refresh;
            }
        }
        KeyCode::Char('u') => return Wish::Refresh,
        KeyCode::Char('+') => state.interval = slower(state.interval),
        KeyCode::Char('-') => state.interval = faster(state.interval),
        KeyCode::Char('[') => return Wish::Step(-1),
        KeyCode::Char(']') => return Wish::Step(1),
        KeyCode::Char('{') => return Wish::Step(-10),
        KeyCode::Char('}') => return Wish::Step(10),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => state.shows_help = true,
        _ => {}
    }
    Wish::Nothing
}

fn slower(interval: Duration) -> Duration {
    (interval * 2).min(Duration::from_secs(64))
}

fn faster(interval: Duration) -> Duration {
    (interval / 2).max(Duration::from_millis(250))
}
