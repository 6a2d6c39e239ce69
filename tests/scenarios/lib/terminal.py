# SPDX-License-Identifier: MIT OR Apache-2.0
"""A program in a terminal, and what is on its screen, as far as mutexctl uses one."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

from lib import pace

COLUMNS, LINES = 80, 24
# Escape sequences, characters, and what moves the cursor.
WORDS = re.compile(r"\x1b\[([?>]?)([\d;]*)([A-Za-z])|\x1b.|([^\x00-\x1f])|([\r\n\b])", re.DOTALL)


class Terminal:
    """A program in a terminal of its own, 80 by 24."""

    def __init__(self, words):
        self.keyboard, self.line = os.openpty()
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.line)
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.program = subprocess.Popen(["setsid", "--ctty", *words], stdin=self.line, stdout=self.line, stderr=self.line,
                                        env=environment)
        self.cells = [[" "] * COLUMNS for _ in range(LINES)]
        self.row = self.column = 0
        self.modes = set()
        self.rest = b""

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def press(self, keys):
        os.write(self.keyboard, keys.encode())

    def _take(self, seconds):
        ready, _, _ = select.select([self.keyboard], [], [], seconds)
        if not ready:
            return False
        data = self.rest + os.read(self.keyboard, 1 << 16)
        # Whatever is cut off comes with the next piece.
        whole = max(data.rfind(b"\x1b"), 0) if re.search(rb"\x1b(\[[?>]?[\d;]*)?$", data) else len(data)
        while whole and whole == len(data) and data[whole - 1] & 0x80:
            try:
                data.decode()
                break
            except UnicodeDecodeError as error:
                whole = error.start
        self.rest = data[whole:]
        self._show(data[:whole].decode(errors="replace"))
        return True

    def _show(self, text):
        for word in WORDS.finditer(text):
            private, numbers, command, letter, move = word.groups()
            if letter:
                if self.row < LINES and self.column < COLUMNS:
                    self.cells[self.row][self.column] = letter
                self.column += 1
            elif move:
                self.column = 0 if move == "\r" else max(self.column - 1, 0) if move == "\b" else self.column
                self.row += move == "\n"
            elif command in ("h", "l") and private == "?":
                (self.modes.add if command == "h" else self.modes.discard)(numbers)
            elif command == "H":
                row, column = ([int(one or 1) for one in numbers.split(";")] + [1])[:2] if numbers else (1, 1)
                self.row, self.column = row - 1, column - 1
            elif command == "J":
                self.cells = [[" "] * COLUMNS for _ in range(LINES)]
            elif command == "K" and self.row < LINES:
                self.cells[self.row][self.column:] = [" "] * (COLUMNS - self.column)

    def _wait(self, what, holds):
        end = time.monotonic() + 60 * pace.LONGER
        while not holds():
            if not self._take(max(end - time.monotonic(), 0)):
                raise AssertionError(f"{what} does not come; there is\n{self.text()}")

    def shows(self, words):
        """Waits until these words are on the screen."""
        self._wait(words, lambda: words in self.text())

    def hides(self, words):
        """Waits until they are not."""
        self._wait(f"the end of {words}", lambda: words not in self.text())

    def end(self):
        """The status of the program, when it has ended and all it wrote has been seen."""
        status = self.program.wait(timeout=60 * pace.LONGER)
        while self._take(0):
            pass
        return status

    def wrong(self):
        """What a program that has ended has left other than it was."""
        left = [f"mode {mode}" for mode in ("1049",) if mode in self.modes]
        left += [] if "25" in self.modes else ["no cursor"]
        return left + ([] if termios.tcgetattr(self.line) == self.before else ["the line's settings"])
