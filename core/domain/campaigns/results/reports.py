"""The report of a run: made once when its attribution window has closed, and kept as it was."""

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson

from core.domain.campaigns.results.attribution import credit_period
from core.domain.campaigns.results.bootstrap import Group, Lift
from core.domain.campaigns.results.figures import (
    By,
    Figures,
    figures_by,
    figures_by_day,
    figures_of,
    sales_by_shop,
)
from core.domain.campaigns.results.lift import Run, Score, lift_curve, lift_of_run, read_run
from core.domain.campaigns.results.windows import DEFAULTS, MAX_HOURS, in_force, windows
from core.domain.lifecycle.calendar import ALL_SHOPS, calendar_of
from core.sdk.errors import WrongState
from core.sdk.events import CampaignReported
from core.storage.database import SYSTEM, Database, Session, Work

logger = logging.getLogger(__name__)

BATCH = 100
LONGEST_DEFAULT = max(max(hours.values()) for hours in DEFAULTS.values())


async def report_content(session: Session, run: Run) -> dict[str, Any]:
    """All figures of a run, as JSON values: amounts as in `Figures`, times as text."""
    calendar = await calendar_of(session, run.shop_id or ALL_SHOPS)
    runs = [run.id]
    lift = await lift_of_run(session, calendar, run)
    content = {
        "time_zone": calendar.zone,
        "currency": calendar.currency,
        "total": figures_json(await figures_of(session, runs)),
        **{
            f"by_{by.name.lower()}": [
                dict(zip(by.names, key, strict=True)) | figures_json(one)
                for key, one in (await figures_by(session, runs, by)).items()
            ]
            for by in (By.VARIANT, By.PROVIDER)
        },
        "by_day": [asdict(one) for one in await figures_by_day(session, calendar, runs)],
        "by_shop": [asdict(one) for one in await sales_by_shop(session, runs)],
        "lift": lift and lift_json(lift),
        "lift_curve": [
            asdict(one) for one in await lift_curve(session, calendar, run, Score.NET_SALES)
        ],
        "windows": [
            {"channel": one.channel, "touch": one.touch, "hours": one.hours}
            for one in in_force(await windows(session), run.began_at)
        ],
    }
    made: dict[str, Any] = orjson.loads(orjson.dumps(content, default=str))
    return made


def figures_json(found: Figures) -> dict[str, Any]:
    """Figures with their rates; rates and returns are decimals as text."""
    currencies = sorted({*found.revenue, *found.cost})
    return asdict(found) | {
        "arrival": found.arrival,
        "response": found.response,
        "returns": {currency: found.returned(currency) for currency in currencies},
    }


def lift_json(lift: Lift) -> dict[str, Any]:
    """A lift with its groups and differences."""

    def group(one: Group) -> dict[str, int]:
        return {"customers": one.customers, "buyers": one.buyers, "amount": one.amount}

    def difference(name: str) -> dict[str, Any]:
        found = getattr(lift, name)
        return asdict(found) | {"verdict": found.verdict.value}

    return {
        "treated": group(lift.treated),
        "control": group(lift.control),
        "conversion": difference("conversion"),
        "revenue": difference("revenue"),
        "incremental_buyers": lift.incremental_buyers,
        "incremental_sales": lift.incremental_sales,
    }


async def write_due_reports(db: Database) -> list[tuple[int, int]]:
    """Write the report of each ended run whose window has closed; returns (merchant, run)."""
    written = []
    for merchant_id, run_id in await _due(db):
        try:
            if await write_report(db, merchant_id, run_id):
                written.append((merchant_id, run_id))
        except Exception:
            logger.exception("run %s: its report cannot be written", run_id)
    return written


async def write_report(
    db: Database, merchant_id: int, run_id: int, *, anew: bool = False, actor: str = "system"
) -> bool:
    """Write a run's report, unless it has one; `anew` replaces that. Returns whether it did.

    The orders of its time are credited once more before. Raises NotFound, WrongState for a run
    whose window has not closed.
    """
    async with db.read(merchant_id) as session:
        run = await read_run(session, run_id)
        if run.finished_at is None or run.finished_at + run.longest > session.now:
            raise WrongState("the attribution window of the run has not closed yet", ("id",))
    await credit_period(db, merchant_id, run.began_at, run.finished_at + run.longest)
    async with db.work(merchant_id, actor) as w:
        # of two workers one writes it
        await w.sql.execute(
            "SELECT 1 FROM campaign_runs WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
            merchant_id, run_id,
        )  # fmt: skip
        there = await w.sql.fetchval(
            "SELECT id FROM campaign_reports WHERE merchant_id = $1 AND run_id = $2",
            merchant_id, run_id,
        )  # fmt: skip
        if there is not None and not anew:
            return False
        await _store(w, run, await report_content(w, run))
        if there is not None:
            w.audit("campaign.report_recomputed", {"run_id": run_id})
        else:
            w.emit(CampaignReported(run.campaign_id, run_id))
        await w.notify("campaign", run.campaign_id)
    return True


async def _store(w: Work, run: Run, content: dict[str, Any]) -> None:
    await w.sql.execute(
        """INSERT INTO campaign_reports (merchant_id, run_id, content, actor, made_at)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (merchant_id, run_id) DO UPDATE
           SET content = excluded.content, actor = excluded.actor, made_at = excluded.made_at""",
        w.merchant_id, run.id, orjson.dumps(content).decode(), w.actor, w.now,
    )  # fmt: skip


async def _due(db: Database) -> list[tuple[int, int]]:
    """Runs without a report that ended longer ago than any window of their merchant.

    A cancelled run of which nothing was sent has nothing to report.
    """
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            f"""SELECT r.merchant_id, r.id FROM campaign_runs r
                WHERE r.finished_at BETWEEN $1 AND $2
                  AND r.finished_at + make_interval(hours => GREATEST({LONGEST_DEFAULT},
                      (SELECT max(w.hours) FROM attribution_windows w
                       WHERE w.merchant_id = r.merchant_id))) <= $2
                  AND NOT EXISTS (SELECT 1 FROM campaign_reports p
                      WHERE p.merchant_id = r.merchant_id AND p.run_id = r.id)
                  AND EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = r.merchant_id
                      AND d.run_id = r.id AND d.state = 'sent')
                ORDER BY r.finished_at LIMIT $3""",
            session.now - 2 * timedelta(hours=MAX_HOURS), session.now, BATCH,
        )  # fmt: skip
    return [(row["merchant_id"], row["id"]) for row in rows]
