"""The runs of journeys, with their flows as they were frozen."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from core.domain.campaigns.flows import stored_flow, stored_options
from core.sdk.flows import Flow, Options
from core.storage.database import Session


@dataclass(frozen=True)
class Journey:
    """A run that customers are on: one version of a campaign's flow.

    `shop_id` is the shop in whose name it speaks, if any.
    """

    run_id: int
    campaign_id: int
    shop_id: int | None
    flow: Flow
    options: Options


def journey_of(row: Mapping[str, Any]) -> Journey:
    """A journey from a run's row (id, campaign_id, flow, options) with its campaign's shop_id."""
    return Journey(
        row["id"], row["campaign_id"], row["shop_id"], _flow(row["flow"]), _options(row["options"])
    )


async def journeys(
    session: Session, condition: str, *args: Any, paused: bool = False
) -> list[Journey]:
    """Running journeys whose runs `r` fulfil an SQL condition, whose parameters begin at $2.

    With `paused` those that are held as well.
    """
    states = "('running', 'paused')" if paused else "('running')"
    rows = await session.sql.fetch(
        f"""SELECT r.id, r.campaign_id, r.flow, r.options, c.shop_id FROM campaign_runs r
            JOIN campaigns c ON c.merchant_id = r.merchant_id AND c.id = r.campaign_id
            WHERE r.merchant_id = $1 AND c.kind = 'journey' AND r.state IN {states}
              AND {condition} ORDER BY r.id""",
        session.merchant_id, *args,
    )  # fmt: skip
    return [journey_of(row) for row in rows]


# a run's flow never changes, and reading it is dearer than a look at the database
_flow = lru_cache(maxsize=1_000)(stored_flow)
_options = lru_cache(maxsize=1_000)(stored_options)
