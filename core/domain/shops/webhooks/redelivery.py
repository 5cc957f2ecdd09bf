"""Sending to a webhook what was sent before, or something for a test."""

from collections.abc import Sequence
from datetime import datetime

from core.domain.shops.webhooks.webhooks import find_webhook
from core.sdk.errors import InvalidInput, NotFound
from core.storage.database import Work

LOOKED_AT = 1000
"""So many of the newest events are looked through for one to test with."""


async def send_test(w: Work, pk: int) -> int:
    """Send the newest event of the webhook's topics, or one without fields; returns the message.

    It is tried once, also while the webhook is paused, and is no failure of the webhook's.
    Raises NotFound.
    """
    await find_webhook(w, pk)
    message_id: int = await w.sql.fetchval(
        """INSERT INTO webhook_messages (merchant_id, webhook_id, topic, payload, happened_at, test,
               state, attempts, next_at, created_at)
           SELECT $1, h.id, COALESCE(e.type, h.topics ->> 0), COALESCE(e.payload, '{}'),
                  COALESCE(e.created_at, $3), TRUE, 'pending', 0, $3, $3
           FROM webhooks h LEFT JOIN LATERAL (
               SELECT r.* FROM (SELECT * FROM outbox_events WHERE merchant_id = $1
                                ORDER BY id DESC LIMIT $4) r
               WHERE h.topics ? r.type ORDER BY r.id DESC LIMIT 1) e ON TRUE
           WHERE h.merchant_id = $1 AND h.id = $2 RETURNING id""",
        w.merchant_id, pk, w.now, LOOKED_AT,
    )  # fmt: skip
    w.ring("webhooks.deliver", w.merchant_id, pk)
    w.audit("webhook.tested", {"webhook": pk})
    return message_id


async def redeliver(w: Work, message_id: int) -> None:
    """Send a message again at once, under its id, with all its tries. Raises NotFound."""
    pk = await w.sql.fetchval(
        """UPDATE webhook_messages SET state = 'pending', attempts = 0, next_at = $3,
               ended_at = NULL WHERE merchant_id = $1 AND id = $2 RETURNING webhook_id""",
        w.merchant_id, message_id, w.now,
    )  # fmt: skip
    if pk is None:
        raise NotFound("there is no message with this id, or it is too old", ("id",))
    w.ring("webhooks.deliver", w.merchant_id, pk)
    w.audit("webhook.redelivered", {"webhook": pk, "message": message_id})


async def redeliver_range(
    w: Work, pk: int, since: datetime, until: datetime, states: Sequence[str]
) -> int:
    """Send again what was recorded from `since` to before `until`; returns how many messages.

    Tests stay out. Raises NotFound, InvalidInput.
    """
    await find_webhook(w, pk)
    if since >= until:
        raise InvalidInput("the end lies before the beginning", ("input", "until"))
    done: str = await w.sql.execute(
        """UPDATE webhook_messages SET state = 'pending', attempts = 0, next_at = $5,
               ended_at = NULL
           WHERE merchant_id = $1 AND webhook_id = $2 AND created_at >= $3 AND created_at < $4
             AND NOT test AND state = ANY($6::text[])""",
        w.merchant_id, pk, since, until, w.now, list(states),
    )  # fmt: skip
    count = int(done.rpartition(" ")[2])
    w.ring("webhooks.deliver", w.merchant_id, pk)
    w.audit("webhook.redelivered", {"webhook": pk, "messages": count})
    return count
