"""Parcels, refunds and reviews of orders that are not known yet: kept until the order comes."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

import orjson
from pydantic import TypeAdapter

from core.sdk.orders import ParcelTrace, RefundRecord
from core.sdk.reviews import ReviewRecord
from core.storage.database import Work

Kind = Literal["parcel", "refund", "review"]
TRACES = TypeAdapter(list[ParcelTrace])
REFUNDS = TypeAdapter(list[RefundRecord])
REVIEWS = TypeAdapter(list[ReviewRecord])


async def hold(
    w: Work, shop_id: int, kind: Kind, records: Sequence[ParcelTrace | RefundRecord | ReviewRecord]
) -> None:
    """Keep records until `release`. Of a refund and a review the last one told is kept; traces add
    up."""
    rows = []
    for record in records:
        if isinstance(record, ParcelTrace):
            # a hash of the news: the same twice is kept once, later news beside it
            external_id = f"{record.parcel.tracking_number} {_digest(record)}"
        else:
            external_id = record.external_id
        rows.append((record.order_external_id, external_id, orjson.dumps(record).decode()))
    latest = {row[:2]: row for row in rows}
    if latest:
        await w.sql.execute(
            """INSERT INTO waiting_records
                   (merchant_id, shop_id, order_external_id, kind, external_id, record, at)
               SELECT $1, $2, u.order_id, $3, u.external_id, u.record::jsonb, $4
               FROM unnest($5::text[], $6::text[], $7::text[])
                   AS u (order_id, external_id, record)
               ON CONFLICT (merchant_id, shop_id, order_external_id, kind, external_id)
                   DO UPDATE SET record = excluded.record, at = excluded.at
                   WHERE COALESCE((waiting_records.record ->> 'modified_at')::timestamptz
                                  <= (excluded.record ->> 'modified_at')::timestamptz, TRUE)""",
            w.merchant_id, shop_id, kind, w.now, *zip(*latest.values(), strict=True),
        )  # fmt: skip


async def release(
    w: Work, shop_id: int, order_external_ids: Sequence[str]
) -> tuple[list[ParcelTrace], list[RefundRecord], list[ReviewRecord]]:
    """Take out what waited for these orders, in the order of its coming."""
    rows = await w.sql.fetch(
        """WITH taken AS (
               DELETE FROM waiting_records
               WHERE merchant_id = $1 AND shop_id = $2 AND order_external_id = ANY($3::text[])
               RETURNING id, kind, record)
           SELECT kind, record FROM taken ORDER BY id""",
        w.merchant_id, shop_id, list(order_external_ids),
    )  # fmt: skip
    found: dict[str, list[str]] = {"parcel": [], "refund": [], "review": []}
    for row in rows:
        found[row["kind"]].append(row["record"])
    return (
        TRACES.validate_json(f"[{','.join(found['parcel'])}]"),
        REFUNDS.validate_json(f"[{','.join(found['refund'])}]"),
        REVIEWS.validate_json(f"[{','.join(found['review'])}]"),
    )


def _digest(record: ParcelTrace) -> str:
    return blake2b(orjson.dumps(record), digest_size=8).hexdigest()
