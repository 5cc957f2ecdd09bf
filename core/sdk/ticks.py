"""Work that a plugin does by the clock, for each merchant who has it on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from core.sdk.plugin import PluginContext


@dataclass(frozen=True)
class Tick:
    """Code that runs every so often, by one worker at a time for a merchant.

    `name` starts with the plugin's ("sms.reconcile"). A run is stopped after the manifest's
    `timeout`; one that was stopped, or whose worker died, is begun again: it must bear that. An
    error is shown to the merchant, and the next run comes after `retry` at the latest.
    """

    name: str
    every: timedelta
    run: Callable[[PluginContext], Awaitable[None]]
    retry: timedelta = timedelta(minutes=5)
