"""What providers tell of messages afterwards: stored as it came, then matched and folded.

Receipts come before the send is recorded, after it, twice, late and in any order, so the state of
a message is a fold of all its receipts that does not depend on their order:

- complained > delivered > bounced > undelivered > accepted: the highest is shown. A message that
  was delivered stays delivered, whatever comes later; the contradiction is kept beside it.
- any receipt settles a message of unknown fate: the provider had it. One of accepted, delivered
  and complained outweighs also what the worker or the provider's search said before, and such a
  message is not sent again.
- a complaint, or a bounce that is the address's own fault, puts the address on the list of
  suppressions of the channel.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from core.domain.campaigns.ledger import PROVEN
from core.domain.campaigns.links import read_message_key
from core.domain.campaigns.policy import address_of
from core.domain.campaigns.told import cut, told
from core.domain.customers.suppressions import address_index, suppress_all
from core.registry import Registry
from core.sdk.channels import Channel, DeliveryReceipt
from core.sdk.facets import Query
from core.storage.database import SYSTEM, Database, Work

logger = logging.getLogger(__name__)

RANK = "array_position(ARRAY['accepted', 'undelivered', 'bounced', 'delivered', 'complained'], {})"
MATCH_DAYS = 7
"""For so long a receipt waits for its message."""
PORTION = 1000


async def take_receipts(w: Work, channel: Channel, receipts: Sequence[DeliveryReceipt]) -> int:
    """Store receipts of a channel and let them take effect; returns how many were new.

    Those whose message is not known (yet) are kept, and matched when it is.
    """
    keys = [
        None if receipt.key is None else read_message_key(w.keyring, w.merchant_id, receipt.key)
        for receipt in receipts
    ]
    said = [told(receipt) for receipt in receipts]
    rows = await w.sql.fetch(
        """INSERT INTO delivery_receipts (merchant_id, channel, event_key, status, of_person, at,
               delivery_id, provider, provider_id, address_index, parts, cost, currency, detail,
               received_at)
           SELECT $1, $2, r.event_key, r.status, r.of_person, r.at,
                  (SELECT d.id FROM deliveries d
                   WHERE d.merchant_id = $1 AND d.id = r.delivery_id AND d.channel = $2),
                  r.provider, r.provider_id, r.address_index, r.parts, r.cost, r.currency,
                  r.detail, $3
           FROM unnest($4::text[], $5::text[], $6::boolean[], $7::timestamptz[], $8::bigint[],
                       $9::text[], $10::text[], $11::bytea[], $12::smallint[], $13::bigint[],
                       $14::text[], $15::text[])
                AS r (event_key, status, of_person, at, delivery_id, provider, provider_id,
                      address_index, parts, cost, currency, detail)
           ON CONFLICT (merchant_id, channel, event_key) DO NOTHING RETURNING id""",
        w.merchant_id, channel.name, w.now,
        [cut(r.event_key) for r in receipts], [r.status for r in receipts],
        [r.of_person for r in receipts], [r.at for r in receipts], keys,
        [one.provider for one in said], [one.provider_id for one in said],
        [None if r.to is None else address_index(w.keyring, w.merchant_id, r.to)
         for r in receipts],
        [one.parts for one in said], [one.cost for one in said],
        [one.currency for one in said], [cut(r.detail) for r in receipts],
    )  # fmt: skip
    stored = [row["id"] for row in rows]
    await _find_messages(w, channel, stored)
    await _take_effect(w, channel, stored)
    return len(stored)


async def match_waiting(db: Database, registry: Registry) -> None:
    """Look again for the messages of receipts that came too early, of every merchant."""
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            """SELECT DISTINCT merchant_id, channel FROM delivery_receipts
               WHERE delivery_id IS NULL AND provider_id IS NOT NULL AND received_at > $1""",
            session.now - timedelta(days=MATCH_DAYS),
        )
    for row in rows:
        owned = registry.channels.get(row["channel"])
        if owned is not None:
            try:
                await _match_channel(db, row["merchant_id"], owned.value)
            except Exception:
                logger.exception("receipts of merchant %s are not matched", row["merchant_id"])


async def _match_channel(db: Database, merchant_id: int, channel: Channel) -> None:
    after: int | None = 0
    while after is not None:
        async with db.work(merchant_id) as w:
            rows = await w.sql.fetch(
                """SELECT id FROM delivery_receipts
                   WHERE merchant_id = $1 AND channel = $2 AND delivery_id IS NULL
                     AND provider_id IS NOT NULL AND received_at > $3 AND id > $4
                   ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED""",
                merchant_id, channel.name, w.now - timedelta(days=MATCH_DAYS), after, PORTION,
            )  # fmt: skip
            waiting = [row["id"] for row in rows]
            matched = await _find_messages(w, channel, waiting)
            await _take_effect(w, channel, matched)
        after = waiting[-1] if len(waiting) == PORTION else None


async def _find_messages(w: Work, channel: Channel, receipt_ids: Sequence[int]) -> list[int]:
    """Match receipts with messages by the provider's id; returns those that were matched.

    Where several messages share the id, the address decides; without one nothing is matched.
    """
    q = Query(w.merchant_id, w.now, "UTC")
    address = address_of(channel, q.arg, None, "d.order_id")
    rows = await w.sql.fetch(
        f"""UPDATE delivery_receipts r SET delivery_id = found.delivery_id
            FROM (SELECT r.id, min(d.id) AS delivery_id
                  FROM delivery_receipts r
                  JOIN deliveries d ON d.merchant_id = $1 AND d.provider_id = r.provider_id
                       AND d.channel = r.channel
                       AND (r.provider IS NULL OR d.provider IS NULL OR r.provider = d.provider)
                  LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = d.customer_id
                  WHERE r.merchant_id = $1 AND r.id = ANY({q.arg(list(receipt_ids), "bigint[]")})
                    AND r.delivery_id IS NULL
                    AND (r.address_index IS NULL OR r.address_index = {address.index})
                  GROUP BY r.id HAVING count(*) = 1) AS found
            WHERE r.merchant_id = $1 AND r.id = found.id RETURNING r.id""",
        *q.args,
    )
    return [row["id"] for row in rows]


async def _take_effect(w: Work, channel: Channel, receipt_ids: Sequence[int]) -> None:
    await _fold(w, receipt_ids)
    q = Query(w.merchant_id, w.now, "UTC")
    index = address_of(channel, q.arg, None, "d.order_id").index
    rows = await w.sql.fetch(
        f"""SELECT a.status, array_agg(DISTINCT a.index) AS indexes
            FROM (SELECT r.status, COALESCE(r.address_index, {index}) AS index
                  FROM delivery_receipts r
                  LEFT JOIN deliveries d ON d.merchant_id = $1 AND d.id = r.delivery_id
                  LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = d.customer_id
                  WHERE r.merchant_id = $1 AND r.id = ANY({q.arg(list(receipt_ids), "bigint[]")})
                    AND (r.status = 'complained' OR r.status = 'bounced' AND r.of_person)) a
            WHERE a.index IS NOT NULL GROUP BY a.status""",
        *q.args,
    )
    for row in rows:
        await suppress_all(w, channel.name, row["indexes"], row["status"])


async def _fold(w: Work, receipt_ids: Sequence[int]) -> None:
    """Fold all receipts of the messages that these receipts are about into the ledger."""
    proven = f"""(d.state = 'unknown'
                  OR t.status IN {PROVEN} AND d.state IN ('pending', 'failed', 'skipped'))"""
    latest = "(array_agg({0} ORDER BY r.at DESC, r.id DESC) FILTER (WHERE {0} IS NOT NULL))[1]"
    rows: list[Any] = await w.sql.fetch(
        f"""WITH meant AS (
                SELECT DISTINCT delivery_id AS id FROM delivery_receipts
                WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND delivery_id IS NOT NULL),
            held AS MATERIALIZED (
                SELECT d.id FROM deliveries d JOIN meant ON meant.id = d.id
                WHERE d.merchant_id = $1 ORDER BY d.id FOR NO KEY UPDATE OF d),
            told AS (
                SELECT r.delivery_id,
                       (array_agg(r.status ORDER BY {RANK.format("r.status")} DESC, r.at))[1]
                           AS status,
                       min(r.at) FILTER (WHERE r.status IN ('delivered', 'complained'))
                           AS delivered_at,
                       (array_agg(r.detail ORDER BY {RANK.format("r.status")} DESC, r.at))[1]
                           AS detail,
                       {latest.format("r.parts")} AS parts, {latest.format("r.cost")} AS cost,
                       {latest.format("r.currency")} AS currency,
                       {latest.format("r.provider")} AS provider,
                       {latest.format("r.provider_id")} AS provider_id
                FROM held JOIN delivery_receipts r
                  ON r.merchant_id = $1 AND r.delivery_id = held.id
                GROUP BY r.delivery_id)
            UPDATE deliveries d SET receipt = t.status, delivered_at = t.delivered_at,
                parts = COALESCE(t.parts, d.parts), cost = COALESCE(t.cost, d.cost),
                currency = COALESCE(t.currency, d.currency),
                provider = COALESCE(d.provider, t.provider),
                provider_id = COALESCE(d.provider_id, t.provider_id), detail = t.detail,
                state = CASE WHEN {proven} THEN 'sent' ELSE d.state END,
                reason = CASE WHEN {proven} THEN NULL ELSE d.reason END,
                sent_at = CASE WHEN {proven} THEN LEAST(d.updated_at, t.delivered_at)
                               ELSE d.sent_at END,
                updated_at = $3
            FROM told t WHERE d.merchant_id = $1 AND d.id = t.delivery_id
            RETURNING d.run_id""",
        w.merchant_id, list(receipt_ids), w.now,
    )  # fmt: skip
    for run_id in sorted({row["run_id"] for row in rows}):
        campaign_id = await w.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, run_id,
        )  # fmt: skip
        await w.notify("campaign", campaign_id)
