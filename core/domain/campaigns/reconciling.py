"""Asking providers what became of messages of which nobody knows whether they were sent.

An unknown message is asked for after each pause that its channel names. What the provider
certainly has not accepted is sent again, which is also how another provider takes over. After the
last question it stays unknown, for the merchant to settle.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from core.domain.campaigns import ledger
from core.domain.campaigns.ledger import Verdict
from core.domain.campaigns.links import message_key
from core.domain.campaigns.opening import opened_channel
from core.domain.campaigns.policy import address_columns
from core.domain.campaigns.told import told
from core.guard import PluginFailed
from core.registry import Registry
from core.sdk.channels import Channel, Receipt, Reconciling, SoughtMessage, Trace
from core.sdk.errors import HuikeError, OutsideError, RetryLater, Several
from core.sdk.facets import Query
from core.storage.database import Database, Work
from core.storage.keyring import SealError

logger = logging.getLogger(__name__)

GROUP = 100
CLAIM = timedelta(minutes=2)
"""How long rows are left to the worker that asks for them."""
UNUSABLE = timedelta(hours=1)
"""The pause when the channel cannot be used until the merchant has seen to it."""


def pauses_of(channel: Channel) -> Sequence[timedelta]:
    """The pauses before each question of a channel for a message; none if it cannot be asked."""
    pauses: Sequence[timedelta] = getattr(channel, "reconcile_after", ())
    return pauses


def first_pauses(registry: Registry) -> dict[str, timedelta]:
    """The first pause of each channel that can be asked."""
    found = {name: pauses_of(owned.value) for name, owned in registry.channels.items()}
    return {name: pauses[0] for name, pauses in found.items() if pauses}


async def merchants_with_unknown(db: Database) -> list[int]:
    """Merchants with messages whose fate is to be asked for now."""
    return await db.merchants(
        """SELECT DISTINCT merchant_id FROM deliveries
           WHERE state = 'unknown' AND checks IS NOT NULL AND next_at <= $1""",
        db.clock(),
    )


async def reconcile(db: Database, registry: Registry, merchant_id: int) -> None:
    """Ask for all unknown messages of a merchant that are due, channel by channel."""
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT DISTINCT channel FROM deliveries
               WHERE merchant_id = $1 AND state = 'unknown' AND checks IS NOT NULL
                 AND next_at <= $2 ORDER BY channel""",
            merchant_id, session.now,
        )  # fmt: skip
    for row in rows:
        await _reconcile_channel(db, registry, merchant_id, row["channel"])


async def _reconcile_channel(db: Database, registry: Registry, merchant_id: int, name: str) -> None:
    owned = registry.channels.get(name)
    pauses = pauses_of(owned.value) if owned else ()
    if owned is None or not pauses:
        # the plugin is gone, or no longer offers it
        await _put_off(db, merchant_id, name, None)
        return
    try:
        async with opened_channel(db, registry, merchant_id, name) as (session, call):
            if not isinstance(session, Reconciling):
                logger.error("channel %s has reconcile_after, but its session no find", name)
                await _put_off(db, merchant_id, name, None)
                return
            while rows := await _claim(db, merchant_id, owned.value):
                asked = [row for row in rows if row["message"] is not None]
                answers = await call(session.find([row["message"] for row in asked]))
                await _record(db, merchant_id, pauses, rows, asked, answers)
    except (RetryLater, PluginFailed) as error:
        logger.warning("channel %s cannot be asked now: %s", name, error)
        await _put_off(db, merchant_id, name, CLAIM)
    except (HuikeError, Several, OutsideError) as error:
        logger.warning("channel %s cannot be asked: %s", name, error)
        await _put_off(db, merchant_id, name, UNUSABLE)


async def _claim(db: Database, merchant_id: int, channel: Channel) -> list[dict[str, Any]]:
    """Up to GROUP due rows, each with its SoughtMessage, or None where the address is gone."""
    async with db.work(merchant_id) as w:
        q = Query(merchant_id, w.now, "UTC")
        to = address_columns(
            channel, q.arg, "COALESCE(held.shop_id, pi.scope_id)", "held.order_id",
            "held.parcel_id",
        )  # fmt: skip
        name, now = q.arg(channel.name, "text"), q.arg(w.now, "timestamptz")
        rows = await w.sql.fetch(
            f"""WITH due AS MATERIALIZED (
                    SELECT id FROM deliveries WHERE merchant_id = $1 AND channel = {name}
                       AND state = 'unknown' AND checks IS NOT NULL AND next_at <= {now}
                    ORDER BY next_at, id LIMIT {q.arg(GROUP, "bigint")} FOR UPDATE SKIP LOCKED),
                held AS (
                    UPDATE deliveries d SET next_at = {now} + {q.arg(CLAIM, "interval")} FROM due
                    WHERE d.merchant_id = $1 AND d.id = due.id
                    RETURNING d.id, d.customer_id, d.order_id, d.parcel_id, d.checks, d.provider,
                              d.updated_at,
                              (SELECT ca.shop_id FROM campaign_runs ru JOIN campaigns ca
                                 ON ca.merchant_id = $1 AND ca.id = ru.campaign_id
                               WHERE ru.merchant_id = $1 AND ru.id = d.run_id) AS shop_id)
                SELECT held.*, {to.columns} FROM held
                LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = held.customer_id
                {to.join} ORDER BY held.id""",
            *q.args,
        )
        return [dict(row) | {"message": _sought(w, channel.contact, row)} for row in rows]


def _sought(w: Work, kind: str, row: Mapping[str, Any]) -> SoughtMessage | None:
    if row["found"] is not None:
        _, to = row["found"]
    elif row["sealed"] is None:
        return None
    else:
        place = f"customers.{kind}|{w.merchant_id}|{row['customer_id']}"
        try:
            to = w.keyring.open(row["sealed"], place)
        except SealError:
            return None
    key = message_key(w.keyring, w.merchant_id, row["id"])
    return SoughtMessage(key, to, row["provider"], row["updated_at"])


async def _record(
    db: Database,
    merchant_id: int,
    pauses: Sequence[timedelta],
    rows: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    answers: Sequence[Receipt | Trace],
) -> None:
    if len(answers) != len(asked):
        raise PluginFailed(f"{len(answers)} answers to {len(asked)} questions")
    answered = {row["id"]: answer for row, answer in zip(asked, answers, strict=True)}
    async with db.work(merchant_id) as w:
        await ledger.resolve(w, [_verdict(row, pauses, answered.get(row["id"])) for row in rows])


def _verdict(
    row: Mapping[str, Any], pauses: Sequence[timedelta], answer: Receipt | Trace | None
) -> Verdict:
    if isinstance(answer, Receipt):
        said = told(answer)
        return Verdict(
            row["id"], "sent", None, None, said.provider_id, said.provider, said.parts, said.cost,
            said.currency,
        )  # fmt: skip
    if answer is Trace.ABSENT:
        return Verdict(row["id"], "pending", detail="the provider did not have it")
    if answer is None:
        return Verdict(row["id"], "unknown", detail="the address is gone, so nobody can ask")
    asked = row["checks"] + 1
    return Verdict(row["id"], "unknown", pauses[asked] if asked < len(pauses) else None)


async def _put_off(db: Database, merchant_id: int, channel: str, after: timedelta | None) -> None:
    """Ask for a channel's due messages later, or never."""
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            """UPDATE deliveries SET next_at = $3::timestamptz + COALESCE($4::interval, '0'),
                      checks = CASE WHEN $4::interval IS NOT NULL THEN checks END
               WHERE merchant_id = $1 AND channel = $2 AND state = 'unknown'
                 AND checks IS NOT NULL AND next_at <= $3::timestamptz + $5::interval""",
            merchant_id, channel, w.now, after, CLAIM,
        )  # fmt: skip
