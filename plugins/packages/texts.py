"""What cards say to their customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.campaigns.content.templates import (
    RenderError,
    analysed,
    paths_named,
    template,
)
from core.domain.campaigns.content.values import Occasion, fetch_values
from core.domain.campaigns.content.variables import base_name


@dataclass(frozen=True)
class Shown:
    """A text for the customer of a parcel."""

    parcel_id: int
    order_id: int
    customer_id: int | None
    text: str | None
    coupon_code: str | None


async def render(session: Any, wanted: Sequence[Shown]) -> list[str | None]:
    """The texts with their customers' values; None where there is no text, or a value that the
    text needs is missing: such a card is left out rather than printed with a gap."""
    sources = {one.text for one in wanted if one.text}
    if not sources:
        return [None] * len(wanted)
    names = {base_name(path) for source in sources for path in paths_named(analysed(source, False))}
    row = await session.sql.fetchrow(
        "SELECT name, time_zone FROM merchants WHERE id = $1", session.merchant_id
    )
    own = await _own(session, sorted({one.order_id for one in wanted}))
    values = await fetch_values(
        session, names, row["time_zone"],
        [Occasion(place, one.customer_id or 0, one.order_id) for place, one in enumerate(wanted)],
    )  # fmt: skip
    made = {
        source: template(source, False, {"merchant.name": row["name"]}, frozenset(names))
        for source in sources
    }
    texts: list[str | None] = []
    for place, one in enumerate(wanted):
        given = {**own.get(one.order_id, {}), **values[place]}
        if one.coupon_code:
            given["coupon.code"] = one.coupon_code
        try:
            texts.append(made[one.text].render(given) if one.text else None)
        except RenderError:
            texts.append(None)
    return texts


async def _own(session: Any, order_ids: list[int]) -> dict[int, dict[str, Any]]:
    """What is known of the customers and shops of orders."""
    rows = await session.sql.fetch(
        """SELECT o.id, c.name, s.name AS shop
           FROM orders o
           JOIN shops s ON s.merchant_id = $1 AND s.id = o.shop_id
           LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = o.customer_id
           WHERE o.merchant_id = $1 AND o.id = ANY($2::bigint[])""",
        session.merchant_id, order_ids,
    )  # fmt: skip
    return {
        row["id"]: {
            name: value
            for name, value in (("customer.name", row["name"]), ("shop.name", row["shop"]))
            if value
        }
        for row in rows
    }
