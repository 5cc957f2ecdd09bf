"""Bringing messages to webhooks' servers: each webhook by itself, so that none waits for another.

A message is taken by moving its next try into the future, in a transaction of its own; a worker
that dies while it calls has it called again after that. The server tells such calls by their id.
The body is made at each try, so that nothing of it is kept, and what was erased is not sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from core.domain.shops.outbound import (
    ANSWER_SECONDS,
    MAX_ATTEMPTS,
    Answer,
    post,
    retry_pause,
    spread,
)
from core.domain.shops.webhooks.signing import secrets_of, signature
from core.domain.shops.webhooks.topics import shown
from core.domain.shops.webhooks.webhooks import Settings, settings_of
from core.sdk.events import WebhookPaused
from core.sdk.ids import join_id
from core.sdk.large import httpx2
from core.sdk.outbound import http_client
from core.storage.database import SYSTEM, Database, Work

AT_ONCE = 10
TAKEN = timedelta(seconds=90)
BODY_BYTES = 256 * 1024
DETAIL_LIMIT = 500
PAUSE_FAILURES, PAUSE_AFTER = 10, timedelta(hours=1)
"""So many failures in a row, over so long at least, pause a webhook."""
GONE = 410


class DocumentFailed(Exception):
    """A webhook's document gave no data; the message says why."""


Render = Callable[[int, int, Settings, Mapping[str, Any]], Awaitable[Any]]
"""The data that the document of a webhook (merchant, id, settings) makes of an event's fields.

Raises DocumentFailed.
"""


async def webhooks_due(db: Database) -> list[tuple[int, int]]:
    """(merchant, webhook) of those with messages that are due."""
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            """SELECT h.merchant_id, h.id FROM webhooks h
               WHERE h.paused_at IS NULL AND EXISTS (
                       SELECT FROM webhook_messages m
                       WHERE m.merchant_id = h.merchant_id AND m.webhook_id = h.id
                         AND m.state = 'pending' AND m.next_at <= $1)
                  OR h.paused_at IS NOT NULL AND EXISTS (
                       SELECT FROM webhook_messages m
                       WHERE m.merchant_id = h.merchant_id AND m.webhook_id = h.id
                         AND m.state = 'pending' AND m.test AND m.next_at <= $1)""",
            session.now,
        )
    return [(row["merchant_id"], row["id"]) for row in rows]


async def deliver_due(db: Database, merchant_id: int, webhook_id: int, render: Render) -> bool:
    """Bring a webhook the messages that are due, up to AT_ONCE; returns whether more may be due."""
    async with db.work(merchant_id) as w:
        hook = await w.sql.fetchrow(
            "SELECT * FROM webhooks WHERE merchant_id = $1 AND id = $2", merchant_id, webhook_id
        )
        if hook is None:
            return False
        rows = await _take(w, webhook_id, tests_only=hook["paused_at"] is not None)
        keys = secrets_of(w, hook) if rows else []
    if not rows:
        return False
    async with http_client(ANSWER_SECONDS) as client:
        calls = (_attempt(db, client, hook, keys, row, render) for row in rows)
        answers = await asyncio.gather(*calls)
    async with db.work(merchant_id) as w:
        # the webhook before its messages, as who deletes or resumes it
        await _judge(w, webhook_id, [
            answer for row, answer in zip(rows, answers, strict=True) if not row["test"]
        ])  # fmt: skip
        await _record(w, rows, answers)
    return len(rows) == AT_ONCE


async def _take(w: Work, webhook_id: int, tests_only: bool) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await w.sql.fetch(
        """WITH due AS MATERIALIZED (
               SELECT id FROM webhook_messages
               WHERE merchant_id = $1 AND webhook_id = $2 AND state = 'pending'
                 AND next_at <= $3 AND (test OR NOT $6)
               ORDER BY next_at, id LIMIT $5 FOR UPDATE SKIP LOCKED)
           UPDATE webhook_messages m SET attempts = m.attempts + 1, next_at = $4
           FROM due WHERE m.merchant_id = $1 AND m.id = due.id RETURNING m.*""",
        w.merchant_id, webhook_id, w.now, w.now + TAKEN, AT_ONCE, tests_only,
    )  # fmt: skip
    return rows


async def _attempt(
    db: Database,
    client: "httpx2.AsyncClient",
    hook: asyncpg.Record,
    keys: Sequence[str],
    row: asyncpg.Record,
    render: Render,
) -> Answer:
    data: Any = shown(row["topic"], orjson.loads(row["payload"]))
    if hook["document"] is not None:
        try:
            data = await render(hook["merchant_id"], hook["id"], settings_of(hook), data)
        except DocumentFailed as error:
            return Answer(None, f"the document failed: {error}"[:DETAIL_LIMIT])
    body = orjson.dumps(
        {"type": row["topic"], "timestamp": row["happened_at"].isoformat(), "data": data},
        default=str,
    )
    if len(body) > BODY_BYTES:
        return Answer(None, f"the body is larger than {BODY_BYTES} bytes: ask for less")
    message_id, seconds = join_id("WebhookMessage", row["id"]), int(db.clock().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "huike-webhook",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature(keys, message_id, seconds, body),
    }
    return await post(client, hook["url"], body, headers)


async def _record(w: Work, rows: Sequence[asyncpg.Record], answers: Sequence[Answer]) -> None:
    states = [_state(row, answer) for row, answer in zip(rows, answers, strict=True)]
    ids, statuses = [row["id"] for row in rows], [one.status for one in answers]
    details = [one.detail for one in answers]
    await w.sql.execute(
        """UPDATE webhook_messages m SET status = x.status, detail = x.detail, state = x.state,
               next_at = CASE WHEN x.state = 'pending' THEN x.next_at END,
               ended_at = CASE WHEN x.state <> 'pending' THEN $2::timestamptz END
           FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::timestamptz[],
                       $8::smallint[]) AS x (id, status, detail, state, next_at, attempts)
           WHERE m.merchant_id = $1 AND m.id = x.id AND m.state = 'pending'
             AND m.attempts = x.attempts""",
        w.merchant_id, w.now, ids, statuses, details, states,
        [w.now + spread(retry_pause(row["attempts"])) for row in rows],
        [row["attempts"] for row in rows],
    )  # fmt: skip
    await w.sql.execute(
        """INSERT INTO webhook_attempts (merchant_id, message_id, at, status, detail, milliseconds)
           SELECT $1, m.id, $2, x.status, x.detail, x.milliseconds
           FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::int[])
                AS x (id, status, detail, milliseconds)
           JOIN webhook_messages m ON m.merchant_id = $1 AND m.id = x.id""",
        w.merchant_id, w.now, ids, statuses, details, [one.milliseconds for one in answers],
    )  # fmt: skip


def _state(row: asyncpg.Record, answer: Answer) -> str:
    if answer.taken:
        return "done"
    return "failed" if row["test"] or row["attempts"] >= MAX_ATTEMPTS else "pending"


async def _judge(w: Work, webhook_id: int, answers: Sequence[Answer]) -> None:
    """Count failures in a row, and pause the webhook when there are too many of them."""
    if not answers:
        return
    if any(answer.taken for answer in answers):
        await w.sql.execute(
            """UPDATE webhooks SET failures = 0, failing_since = NULL
               WHERE merchant_id = $1 AND id = $2 AND failures > 0""",
            w.merchant_id, webhook_id,
        )  # fmt: skip
        return
    paused = await w.sql.fetchrow(
        """WITH counted AS (
               SELECT id, failures + $3 AS failures, COALESCE(failing_since, $4) AS since,
                      paused_at IS NULL AND ($5 OR failures + $3 >= $6
                          AND COALESCE(failing_since, $4) <= $7) AS pause
               FROM webhooks WHERE merchant_id = $1 AND id = $2 FOR UPDATE)
           UPDATE webhooks h SET failures = c.failures, failing_since = c.since,
               paused_at = CASE WHEN c.pause THEN $4 ELSE h.paused_at END,
               pause_reason = CASE WHEN NOT c.pause THEN h.pause_reason
                                   WHEN $5 THEN 'gone' ELSE 'failures' END
           FROM counted c WHERE h.merchant_id = $1 AND h.id = c.id
           RETURNING c.pause, h.failures, h.failing_since, h.pause_reason""",
        w.merchant_id, webhook_id, len(answers), w.now,
        any(answer.status == GONE for answer in answers), PAUSE_FAILURES, w.now - PAUSE_AFTER,
    )  # fmt: skip
    if paused is not None and paused["pause"]:
        w.emit(WebhookPaused(webhook_id, paused["failures"], paused["failing_since"].isoformat()))
        w.audit("webhook.paused", {"webhook": webhook_id, "reason": paused["pause_reason"]})
