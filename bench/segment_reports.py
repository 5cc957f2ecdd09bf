"""Reports on the lifecycle and on value of all customers: what a query waits for, or its job."""

import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from bench.large import show
from core.domain.lifecycle.calendar import calendar_of
from core.domain.lifecycle.report import Step, report_days, stage_moves, stage_report
from core.domain.lifecycle.rfm import distribution
from core.installation import Installation

TURNS = 3


async def reports(opened: Installation, merchant_id: int) -> None:
    """A year by month, a quarter by day, the moves of a month, and the RFM distribution."""
    async with opened.db.read(merchant_id) as session:
        calendar = await calendar_of(session)
        today = calendar.today
        year = report_days(today - timedelta(days=365), today, Step.MONTH)
        quarter = report_days(today - timedelta(days=90), today, Step.DAY)
        asked: dict[str, Callable[[], Awaitable[Any]]] = {
            "year": lambda: stage_report(session, calendar, year),
            "quarter_by_day": lambda: stage_report(session, calendar, quarter),
            "moves": lambda: stage_moves(session, calendar, today - timedelta(days=30), today),
            "rfm": lambda: distribution(session, calendar, "CNY"),
        }
        for name, ask in asked.items():
            taken = []
            for _ in range(TURNS):
                started = time.perf_counter()
                await ask()
                taken.append((time.perf_counter() - started) * 1000)
            show(f"report_{name}_ms", statistics.median(taken), "ms")
