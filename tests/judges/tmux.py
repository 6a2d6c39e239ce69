# SPDX-License-Identifier: MIT OR Apache-2.0
"""A shell in a real tmux."""

import os
import subprocess
import time

# A machine may be very slow; nothing is measured here.
PATIENCE = 300


class Tmux:
    """One window of 80 columns and 24 lines with a shell in it."""

    def __init__(self, shell, environment=()):
        self._number = f"judge{os.getpid()}"
        words = ["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24"]
        for name, value in dict(environment).items():
            words += ["-e", f"{name}={value}"]
        self(*words, *shell)

    def __call__(self, *words):
        done = subprocess.run(["tmux", "-L", self._number, *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"tmux {words}: {done.stderr}")
        return done.stdout

    def keys(self, *keys):
        """Presses keys by tmux' names: text, Enter, C-z."""
        self("send-keys", *keys)

    def line(self, text):
        """Types a line."""
        self("send-keys", "-l", text)
        self("send-keys", "Enter")

    def screen(self):
        return self("capture-pane", "-p")

    def tells(self, *formats):
        """What tmux knows of the terminal: alternate_on, cursor_flag, pane_pid."""
        return self("display-message", "-p", " ".join(f"#{{{one}}}" for one in formats)).strip()

    def resize(self, columns, lines):
        self("resize-window", "-x", str(columns), "-y", str(lines))

    def wait(self, what, holds):
        """Waits until the screen is as it should be; that screen."""
        end = time.monotonic() + PATIENCE
        while True:
            screen = self.screen()
            if holds(screen):
                return screen
            if time.monotonic() > end:
                raise RuntimeError(f"{what} does not come; there is\n{screen}")
            time.sleep(0.02)

    def shows(self, words):
        return self.wait(words, lambda screen: words in screen)

    def hides(self, words):
        return self.wait(f"the end of {words}", lambda screen: words not in screen)

    def close(self):
        self("kill-server")
