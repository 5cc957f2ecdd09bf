"""Buyers who agree on the platform to be written to by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.domain.customers.consent import set_consent
from core.domain.customers.identify import Person, identify, lock_customers, save
from core.sdk import PluginContext
from core.sdk.answers import Row, text
from plugins.taobao.messages import AGREED, content
from plugins.taobao.values import moment

SOURCE = "taobao"


@dataclass(frozen=True)
class Agreement:
    """A buyer's yes; `shop` is the platform's number of the shop in which he is `ouid`."""

    key: str
    shop: str
    ouid: str
    at: datetime


def agreements(found: Sequence[Row]) -> list[Agreement]:
    """Those among the message service's messages, the oldest first."""
    told = []
    for row in found:
        ouid = text(content(row).get("ouid")) if row.get("topic") == AGREED else None
        at, shop = moment(row.get("pub_time")), text(row.get("user_id"))
        if ouid is not None and at is not None and shop is not None:
            told.append(Agreement(str(row["id"]), shop, ouid, at))
    return sorted(told, key=lambda one: one.at)


async def record(context: PluginContext, channel: str, told: Sequence[Agreement]) -> None:
    """Keep them as consents of the shops' buyers, who need not have bought yet.

    What a customer said since is not overturned, so a message may come twice.
    """
    if not told:
        return
    async with context.database.work(context.merchant_id) as w:
        rows = await w.sql.fetch(
            """SELECT external_id, id FROM shops
               WHERE merchant_id = $1 AND platform = 'taobao' AND external_id = ANY($2::text[])""",
            w.merchant_id, [one.shop for one in told],
        )  # fmt: skip
        shops = {row["external_id"]: row["id"] for row in rows}
        await lock_customers(w)
        for one in told:
            shop_id = shops.get(one.shop)
            if shop_id is None:
                continue
            people = [Person(one.at, one.ouid)]
            found = await identify(w, shop_id, "ouid", people)
            await save(w, found, people, {}, SOURCE)
            (customer_id,) = found.ids
            if customer_id is None:
                continue
            said_since = await w.sql.fetchval(
                """SELECT EXISTS (SELECT 1 FROM consents
                       WHERE merchant_id = $1 AND customer_id = $2 AND channel = $3
                         AND purpose = 'marketing' AND at >= $4)""",
                w.merchant_id, customer_id, channel, one.at,
            )  # fmt: skip
            if not said_since:
                evidence = {"message": one.key, "at": one.at.isoformat()}
                await set_consent(
                    w, customer_id, channel, "marketing", "granted", SOURCE, evidence,
                    shop_id=shop_id,
                )  # fmt: skip
