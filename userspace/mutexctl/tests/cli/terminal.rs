// SPDX-License-Identifier: MIT OR Apache-2.0

//! A terminal that a program runs in, and what is on its screen.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// A program in a terminal of 80 columns and 24 lines.
pub struct Terminal {
    keyboard: File,
    /// The program's side, kept open so that what it has left can be looked at.
    line: File,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    program: Child,
    /// The line's settings before the program came.
    before: String,
}

impl Terminal {
    /// Long enough for a machine that is very slow.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// Runs a program in a session of its own, of which this is the terminal.
    pub fn run(program: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).expect("there are pseudo-terminals");
        rustix::pty::grantpt(&master).expect("it is ours");
        rustix::pty::unlockpt(&master).expect("it is ours");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("it is text");
        let line = File::options().read(true).write(true).open(name).expect("it can be opened");
        let keyboard = File::from(master);
        resize(&keyboard, 80, 24);

        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        let end = || Stdio::from(line.try_clone().expect("there is room"));
        command.stdin(end()).stdout(end()).stderr(end());
        let before = settings(&line);
        let program = command.spawn().expect("it starts");

        let (sender, output) = mpsc::channel();
        let mut reader = keyboard.try_clone().expect("there is room");
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let screen = vt100::Parser::new(24, 80, 0);
        Terminal { keyboard, line, output, screen, program, before }
    }

    pub fn pid(&self) -> u32 {
        self.program.id()
    }

    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("somebody listens");
    }

    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.screen.set_size(lines, columns);
        resize(&self.keyboard, columns, lines);
    }

    /// What is on the screen.
    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen is as it should be.
    pub fn wait(&mut self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + Self::PATIENCE;
        while !is_so(self.screen.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            let output = self.output.recv_timeout(left);
            let bytes = output.unwrap_or_else(|error| {
                panic!("{what} does not come, {error}; there is\n{}", self.text())
            });
            self.screen.process(&bytes);
        }
    }

    /// Waits until these words are on the screen.
    pub fn shows(&mut self, words: &str) {
        self.wait(words, |screen| screen.contents().contains(words));
    }

    /// Waits until these words are not on the screen.
    pub fn hides(&mut self, words: &str) {
        self.wait(&format!("the end of {words}"), |screen| !screen.contents().contains(words));
    }

    /// Waits for the program's end, and for everything that it has written.
    pub fn end(&mut self) -> ExitStatus {
        let status = self.program.wait().expect("it ends");
        self.line.write_all(b"\x1b]0;the end\x07").expect("it is open");
        self.wait("the end", |screen| screen.title() == "the end");
        status
    }

    /// That a program that has ended has left the terminal as it was.
    pub fn is_whole(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", self.text());
        assert_eq!(settings(&self.line), self.before);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that has failed leaves nothing behind.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn settings(line: &File) -> String {
    let settings = rustix::termios::tcgetattr(line).expect("it is a terminal");
    format!("{settings:?}")
}

fn resize(keyboard: &File, columns: u16, lines: u16) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(keyboard, size).expect("it is a terminal");
}
