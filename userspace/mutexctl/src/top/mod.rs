// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl top`: who moves how much, as it happens.
//!
//! [`state`] is what is looked at, [`input`] changes it, [`draw`] shows it; none of them knows a
//! terminal. Threads of their own wait for keys, for signals, and for images ([`images`]); this
//! file brings together what they say.

mod detail;
mod draw;
mod filter_line;
mod history;
mod images;
mod input;
mod listing;
mod row;
mod rows;
mod sample;
mod screen;
mod state;
mod theme;
mod totals;
mod unit;
mod view;

#[cfg(test)]
mod tests;

use std::io;
use std::io::IsTerminal;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use ratatui::crossterm::event;
use ratatui::crossterm::event::Event;
use signal_hook::consts::SIGCONT;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGTSTP;
use signal_hook::iterator::Signals;

pub use self::listing::Listing;
pub use self::listing::Query;
pub use self::row::Manner;
pub use self::row::Row;
pub use self::sample::Sample;
pub use self::unit::Unit;
pub use self::view::Column;
pub use self::view::View;

use self::filter_line::FilterLine;
use self::history::Histories;
use self::images::Images;
use self::input::Wish;
use self::screen::Screen;
use self::state::Order;
use self::state::State;
use self::theme::Theme;
use crate::cli::TopArgs;
use crate::color;
use crate::failure::Failure;
use crate::source::Source;
use crate::target::Target;

/// What a thread has to say.
enum Message {
    Terminal(Event),
    /// There will be no more keys.
    TerminalIsGone,
    Signal(i32),
    Sample(Sample),
    /// Nothing could be read, and why; with what it was to be read into.
    Trouble(String, Sample),
}

/// Asks for an image, to be read into this; of a recording for the one with that number.
struct Request(Sample, usize);

/// Shows what happens until somebody has seen enough.
pub fn run(source: Source, args: &TopArgs) -> Result<(), Failure> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !io::stdout().is_terminal() || is_dumb {
        let instead = "`mutexctl connections --sort rate_in --top 20 --watch` needs none";
        return Err(Failure::Usage(format!(
            "top needs a terminal that can move its cursor: {instead}"
        )));
    }
    let (mut images, number) = Images::open(source)?;
    let mut sample = Sample::default();
    images.read(&mut sample, number.unwrap_or(0))?;
    let mut state = State::new(sample, args.view);
    state.is_live = images.are_live();
    state.recorded = number.zip(images.count());
    apply(&mut state, args)?;

    let (sender, messages) = mpsc::channel();
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGCONT]);
    let cannot = |error: io::Error| Failure::writing("to the terminal", &error);
    watch_signals(signals.map_err(cannot)?, sender.clone());
    let requests = read_images(images, sender.clone());
    let theme = Theme { has_colors: color::is_on() };
    let screen = Screen::take().map_err(cannot)?;
    watch_keys(sender);
    let end = Loop { state, theme, messages, requests, spare: Some(Sample::default()) }.run(screen);
    match end.map_err(|error| Failure::writing(Target::Output, &error))? {
        End::Quit => Ok(()),
        // The terminal is itself again; now the signal does what it always does.
        End::Signal(signal) => {
            signal_hook::low_level::emulate_default_handler(signal).map_err(cannot)
        }
    }
}

/// What the command line wants to begin with.
fn apply(state: &mut State, args: &TopArgs) -> Result<(), Failure> {
    state.interval = args.interval;
    state.unit = if args.bits { Unit::Bits } else { Unit::Bytes };
    state.shows_closed = args.closed;
    let filter = FilterLine::new(&args.filter.join(" "), state.view.filtered());
    state.look_mut().filter = filter.map_err(Failure::usage)?;
    if let Some(sort) = &args.sort {
        let (name, is_reversed) =
            sort.strip_prefix('-').map_or((sort.as_str(), false), |name| (name, true));
        let mut columns = state.view.columns().iter().filter(|column| column.is_order());
        let column = columns.find(|column| column.title() == name).copied();
        let column = column.ok_or_else(|| {
            let known: Vec<_> =
                state.view.columns().iter().filter(|c| c.is_order()).map(|c| c.title()).collect();
            Failure::Usage(format!(
                "{} have no column `{name}`; there are {}",
                state.view.name(),
                known.join(", ")
            ))
        })?;
        state.look_mut().order = Order { column, is_reversed };
    }
    state.arrange();
    Ok(())
}

fn watch_signals(mut signals: Signals, sender: Sender<Message>) {
    thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Message::Signal(signal)).is_err() {
                break;
            }
        }
    });
}

fn watch_keys(sender: Sender<Message>) {
    thread::spawn(move || {
        loop {
            let message = event::read().map_or(Message::TerminalIsGone, Message::Terminal);
            let is_last = matches!(message, Message::TerminalIsGone);
            if sender.send(message).is_err() || is_last {
                break;
            }
        }
    });
}

/// Reads images as they are asked for, so that keys need not wait for them.
fn read_images(mut images: Images, sender: Sender<Message>) -> Sender<Request> {
    let (requests, receiver) = mpsc::channel();
    thread::spawn(move || {
        for Request(mut sample, number) in receiver {
            let message = match images.read(&mut sample, number) {
                Ok(()) => Message::Sample(sample),
                Err(failure) => Message::Trouble(failure.sentence(), sample),
            };
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    requests
}

/// Why it is over.
enum End {
    Quit,
    Signal(i32),
}

/// Brings together what the threads say.
struct Loop {
    state: State,
    theme: Theme,
    messages: Receiver<Message>,
    requests: Sender<Request>,
    /// What the next image is read into; none while one is being read.
    spare: Option<Sample>,
}

impl Loop {
    fn run(mut self, mut screen: Screen) -> io::Result<End> {
        let mut asked = Instant::now();
        loop {
            screen.draw(&mut self.state, self.theme)?;
            let next = asked + self.state.interval;
            let is_on = self.state.is_live && !self.state.is_paused && self.spare.is_some();
            let first = if is_on {
                self.messages.recv_timeout(next.saturating_duration_since(Instant::now()))
            } else {
                self.messages.recv().map_err(RecvTimeoutError::from)
            };
            let first = match first {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => {
                    asked = Instant::now();
                    self.ask();
                    None
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Quit),
            };
            // All that has come is shown at once.
            let rest: Vec<_> = self.messages.try_iter().collect();
            for message in first.into_iter().chain(rest) {
                match self.hear(message) {
                    Next::Go => {}
                    Next::End(end) => return Ok(end),
                    Next::Suspend => screen = screen.suspend()?,
                    Next::Resume => screen = screen.again()?,
                    Next::Refresh => {
                        asked = Instant::now();
                        self.ask();
                    }
                }
            }
        }
    }

    /// Asks for an image, unless one is being read.
    fn ask(&mut self) {
        let number = self.state.recorded.map_or(0, |(number, _)| number);
        if let Some(spare) = self.spare.take() {
            // If its reader is gone, its panic has ended the program.
            let _ = self.requests.send(Request(spare, number));
        }
    }

    fn hear(&mut self, message: Message) -> Next {
        match message {
            Message::Terminal(Event::Key(key)) => match input::key(&mut self.state, key) {
                Wish::Nothing => Next::Go,
                Wish::Quit => Next::End(End::Quit),
                Wish::Suspend => Next::Suspend,
                Wish::Refresh => Next::Refresh,
                Wish::Step(step) => self.step(step),
            },
            // A resized window is drawn anew, as after everything.
            Message::Terminal(_) => Next::Go,
            Message::TerminalIsGone => Next::End(End::Quit),
            Message::Signal(SIGTSTP) => Next::Suspend,
            // Whoever stopped it did not ask, and the shell has used the terminal since.
            Message::Signal(SIGCONT) => Next::Resume,
            Message::Signal(signal) => Next::End(End::Signal(signal)),
            Message::Sample(sample) => {
                self.spare = Some(self.state.take(sample));
                Next::Go
            }
            Message::Trouble(sentence, spare) => {
                // Of what to do there is one thing here: to wait.
                let what = sentence.split("; ").next().unwrap_or_default();
                self.state.trouble = Some(format!("{what}; waiting for it"));
                self.spare = Some(spare);
                Next::Go
            }
        }
    }

    /// Goes to another image of a recording.
    fn step(&mut self, step: isize) -> Next {
        let Some((number, count)) = self.state.recorded else { return Next::Go };
        let next = number.saturating_add_signed(step).min(count.saturating_sub(1));
        if next == number || self.spare.is_none() {
            return Next::Go;
        }
        self.state.recorded = Some((next, count));
        if step != 1 {
            self.state.histories = Histories::default();
        }
        Next::Refresh
    }
}

/// What follows from a message.
enum Next {
    Go,
    End(End),
    Suspend,
    Resume,
    Refresh,
}
