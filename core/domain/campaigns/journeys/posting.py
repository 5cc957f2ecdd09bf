"""Calling merchants' servers for webhook steps: never lost, and never silently doubled.

A call is taken by moving its next try into the future, in a transaction of its own; a worker that
dies while it calls has it called again after that. The server tells such calls by their key.
"""

import asyncio
import hmac
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from core.domain.shops.outbound import (
    ANSWER_SECONDS,
    MAX_ATTEMPTS,
    Answer,
    post,
    retry_pause,
    spread,
)
from core.sdk.errors import NotFound, WrongState
from core.sdk.ids import join_id
from core.sdk.large import httpx2
from core.sdk.outbound import http_client
from core.storage.database import Database, Work
from core.storage.keyring import Keyring

logger = logging.getLogger(__name__)

AT_ONCE = 20
TAKEN = timedelta(seconds=60)


async def post_due(db: Database, merchant_id: int) -> bool:
    """Make some of a merchant's calls that are due; returns whether there were any."""
    rows = await _take(db, merchant_id)
    if rows:
        async with http_client(ANSWER_SECONDS) as client:
            calls = (_post(db, client, row) for row in rows)
            answers = await asyncio.gather(*calls)
        await _record(db, merchant_id, rows, answers)
    return bool(rows)


async def merchants_due(db: Database) -> list[int]:
    """Merchants with calls that are due."""
    return await db.merchants(
        """SELECT DISTINCT merchant_id FROM webhook_calls
           WHERE state = 'pending' AND next_at <= $1""",
        db.clock(),
    )


async def call_again(w: Work, call_id: int) -> None:
    """Have a call that failed made again, from the first try, or one that waits long made now.

    Its key stays the same. Raises NotFound, and WrongState for one that the server has.
    """
    state = await w.sql.fetchval(
        "SELECT state FROM webhook_calls WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, call_id,
    )  # fmt: skip
    if state is None:
        raise NotFound(f"there is no webhook call {call_id}", ("id",))
    if state == "done":
        raise WrongState("your server has taken the call", ("id",))
    # one that is due within TAKEN may be just under way
    await w.sql.execute(
        """UPDATE webhook_calls SET state = 'pending', ended_at = NULL, next_at = $3,
               attempts = CASE state WHEN 'failed' THEN 0 ELSE attempts END
           WHERE merchant_id = $1 AND id = $2 AND (state = 'failed' OR next_at > $4)""",
        w.merchant_id, call_id, w.now, w.now + TAKEN,
    )  # fmt: skip
    w.audit("webhook_call.retried", {"call": call_id})
    w.ring("webhooks.post", w.merchant_id)


def webhook_secret(keyring: Keyring, merchant_id: int) -> str:
    """The secret with which a merchant's server checks that a call comes from here."""
    return keyring.derive("webhook", merchant_id).hex()


def signature(secret: str, seconds: int, body: bytes) -> str:
    """The header Huike-Signature of a body sent at a Unix time."""
    digest = hmac.digest(secret.encode(), f"{seconds}.".encode() + body, "sha256")
    return f"t={seconds},v1={digest.hex()}"


async def _take(db: Database, merchant_id: int) -> list[Mapping[str, Any]]:
    async with db.work(merchant_id) as w:
        rows: list[Mapping[str, Any]] = await w.sql.fetch(
            """WITH due AS MATERIALIZED (
                   SELECT id FROM webhook_calls
                   WHERE merchant_id = $1 AND state = 'pending' AND next_at <= $2
                   ORDER BY next_at, id LIMIT $4 FOR UPDATE SKIP LOCKED)
               UPDATE webhook_calls p SET attempts = p.attempts + 1, next_at = $3
               FROM due, campaign_runs r
               WHERE p.merchant_id = $1 AND p.id = due.id
                 AND r.merchant_id = $1 AND r.id = p.run_id
               RETURNING p.*, r.flow #>> ARRAY['steps', p.step::text, 'key'] AS step_key""",
            merchant_id, w.now, w.now + TAKEN, AT_ONCE,
        )  # fmt: skip
    return rows


async def _post(db: Database, client: "httpx2.AsyncClient", row: Mapping[str, Any]) -> Answer:
    body = _body(row)
    seconds = int(db.clock().timestamp())
    secret = webhook_secret(db.keyring, row["merchant_id"])
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": join_id("WebhookCall", row["id"]),
        "Huike-Signature": signature(secret, seconds, body),
    }
    return await post(client, row["url"], body, headers)


def _body(row: Mapping[str, Any]) -> bytes:
    kinds = {"campaign": "Campaign", "customer": "Customer", "order": "Order"}
    ids = {
        name: None if row[f"{name}_id"] is None else join_id(kind, row[f"{name}_id"])
        for name, kind in kinds.items()
    }
    parcel = row["parcel_id"] and join_id("Parcel", row["parcel_id"])
    return orjson.dumps(
        {**ids, "parcel": parcel, "step": row["step_key"], "at": row["created_at"].isoformat()}
    )


async def _record(
    db: Database, merchant_id: int, rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer]
) -> None:
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            """UPDATE webhook_calls p SET answer = x.answer, detail = x.detail, next_at = x.next_at,
                   state = x.state,
                   ended_at = CASE WHEN x.state <> 'pending' THEN $2::timestamptz END
               FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::timestamptz[], $7::text[],
                           $8::smallint[]) AS x (id, answer, detail, next_at, state, attempts)
               WHERE p.merchant_id = $1 AND p.id = x.id AND p.state = 'pending'
                 AND p.attempts = x.attempts""",
            merchant_id, w.now, [row["id"] for row in rows], [one.status for one in answers],
            [one.detail for one in answers],
            [w.now + spread(retry_pause(row["attempts"])) for row in rows],
            [_state(row, one) for row, one in zip(rows, answers, strict=True)],
            [row["attempts"] for row in rows],
        )  # fmt: skip


def _state(row: Mapping[str, Any], answer: Answer) -> str:
    if answer.taken:
        return "done"
    if row["attempts"] < MAX_ATTEMPTS:
        return "pending"
    logger.warning("webhook call %s is given up: %s", row["id"], answer.status or answer.detail)
    return "failed"
