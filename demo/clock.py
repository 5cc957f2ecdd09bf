"""The machine's time, moved forward by as much as was asked for."""

from datetime import datetime, timedelta

from core.clock import system_clock


class DemoClock:
    """Never stands still, and never goes back."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self._ahead

    def move_to(self, instant: datetime) -> None:
        """Let the clock show an instant to come."""
        self._ahead += max(timedelta(), instant - self())
