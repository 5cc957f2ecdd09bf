"""The command `huike`, one module for each group of its commands."""

from core.cli.lean import share_methods

share_methods()  # of the classes that all of these load

from core.cli import (  # noqa: E402 - each adds its commands
    audit,
    channels,
    exporting,
    importing,
    importing_people,
    keys,
    running,
    shops,
    staff,
    tokens,
)
from core.cli.base import EXPECTED, main, run  # noqa: E402
from core.cli.logs import configure_logging  # noqa: E402

__all__ = [
    "EXPECTED",
    "audit",
    "channels",
    "configure_logging",
    "exporting",
    "importing",
    "importing_people",
    "keys",
    "main",
    "run",
    "running",
    "shops",
    "staff",
    "tokens",
]
