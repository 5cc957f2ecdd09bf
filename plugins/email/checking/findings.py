"""What a check finds, and how it is told."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "warning", "error"]
MARKS: dict[Level, str] = {"good": "ok  ", "warning": "look", "error": "BAD "}


@dataclass(frozen=True)
class Finding:
    """One thing about a domain; `cure` says what to do."""

    level: Level
    about: str
    message: str
    cure: str | None = None

    def __str__(self) -> str:
        text = f"{MARKS[self.level]} {self.about}: {self.message}"
        return f"{text}\n     -> {self.cure}" if self.cure else text


def good(about: str, message: str) -> Finding:
    return Finding("good", about, message)


def warning(about: str, message: str, cure: str) -> Finding:
    return Finding("warning", about, message, cure)


def bad(about: str, message: str, cure: str) -> Finding:
    return Finding("error", about, message, cure)
