"""How many are where in a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.storage.database import Session


@dataclass(frozen=True)
class VersionFigures:
    """One version: how many came in and got through, who is inside by step, who left and why."""

    run_id: int
    version: int
    open: bool
    flow: str
    entered: int = 0
    done: int = 0
    inside: Mapping[int, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


async def version_figures(
    session: Session, campaign_ids: Sequence[int]
) -> dict[int, list[VersionFigures]]:
    """The versions of journeys, the newest first."""
    runs = await session.sql.fetch(
        """SELECT id, campaign_id, version, open, flow FROM campaign_runs
           WHERE merchant_id = $1 AND campaign_id = ANY($2::bigint[]) AND state <> 'missed'
           ORDER BY id DESC""",
        session.merchant_id, list(campaign_ids),
    )  # fmt: skip
    rows = await session.sql.fetch(
        """SELECT run_id, state, reason, CASE WHEN state = 'waiting' THEN step END AS step,
                  count(*) AS n
           FROM enrolments WHERE merchant_id = $1 AND run_id = ANY($2::bigint[])
           GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4""",
        session.merchant_id, [run["id"] for run in runs],
    )  # fmt: skip
    counted: dict[int, list[Any]] = {}
    for row in rows:
        counted.setdefault(row["run_id"], []).append(row)
    found: dict[int, list[VersionFigures]] = {}
    for run in runs:
        found.setdefault(run["campaign_id"], []).append(_figures(run, counted.get(run["id"], [])))
    return found


def _figures(run: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> VersionFigures:
    return VersionFigures(
        run["id"], run["version"], run["open"], run["flow"],
        entered=sum(row["n"] for row in rows),
        done=sum(row["n"] for row in rows if row["state"] == "done"),
        inside={row["step"]: row["n"] for row in rows if row["state"] == "waiting"},
        left={row["reason"]: row["n"] for row in rows if row["state"] == "left"},
    )  # fmt: skip
