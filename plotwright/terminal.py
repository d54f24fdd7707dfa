"""A text that grows on a terminal, wrapped at words, whose last lines can still change."""

import os
import shutil
import sys
import textwrap
from typing import TextIO


def is_terminal(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def wrap(text: str, width: int) -> list[str]:
    """The lines of `text`, at most `width` characters each."""
    return [line for part in text.split("\n") for line in textwrap.wrap(part, width) or [""]]


class Terminal:
    """Shows a text again and again on standard output, and writes only the lines that have changed.

    A line that has scrolled off the screen stays as it is.
    """

    def __init__(self) -> None:
        size = shutil.get_terminal_size()
        self._width, self._height = max(size.columns - 1, 20), size.lines
        self._lines: list[str] = []

    def show(self, text: str) -> None:
        """Show `text` in the place of the text shown before."""
        lines = wrap(text, self._width)
        same = _same_lines(self._lines, lines)
        if same == len(self._lines) == len(lines):
            return
        back = len(self._lines) - 1 - same  # lines from the cursor up to the first that changes
        if back < 0:
            sys.stdout.write("\n" if self._lines else "")
        else:
            back = min(back, self._height - 1)
            same = len(self._lines) - 1 - back
            sys.stdout.write("\r" + (f"\x1b[{back}A" if back else "") + "\x1b[J")
        sys.stdout.write("\n".join(lines[same:]))
        sys.stdout.flush()
        self._lines = lines

    def leave(self) -> None:
        """Let the text stand; the next one begins below."""
        sys.stdout.write("\n")
        self._lines = []


def _same_lines(one: list[str], other: list[str]) -> int:
    """How many lines the two have in common from the start."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
