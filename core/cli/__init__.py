"""The command `huike`, one module for each group of its commands."""

from core.cli import (  # each adds its commands
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
from core.cli.base import EXPECTED, main, run
from core.cli.logs import configure_logging

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
