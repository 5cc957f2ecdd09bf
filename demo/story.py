"""What the demo says while it works."""

import sys
import time


class DemoFailed(Exception):
    """Something does not add up, or cannot be done; the message says what."""


class Story:
    """Prints stages with their seconds, and lines of progress where there is a terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stage_at = self._started
        self._live = False
        self._said_at = 0.0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def stage(self, text: str) -> None:
        """Begin a stage."""
        self._stage_at = time.monotonic()
        print(f"\n[{self.seconds:5.1f} s] {text}", flush=True)

    def say(self, text: str) -> None:
        """One line of the stage."""
        self._end_live()
        print(f"          {text}", flush=True)

    def done(self, text: str) -> None:
        """The stage's result, with the seconds that it took."""
        self.say(f"{text}  ({time.monotonic() - self._stage_at:.1f} s)")

    def progress(self, done: int, total: int, text: str) -> None:
        """A bar that is drawn anew in place; without a terminal, a line every few seconds."""
        filled = 30 * done // max(total, 1)
        line = f"{'━' * filled}{'·' * (30 - filled)} {done:,}/{total:,}  {text}"
        if sys.stdout.isatty():
            print(f"\r          {line}\033[K", end="", flush=True)
            self._live = True
        elif time.monotonic() - self._said_at > 3:
            self._said_at = time.monotonic()
            print(f"          {line}", flush=True)

    def _end_live(self) -> None:
        if self._live:
            print()
            self._live = False
