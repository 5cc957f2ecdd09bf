"""What is kept of messages on their way, and of templates: the plugin's SQL."""

from collections.abc import Sequence
from typing import Any

from core.domain.campaigns.links import read_message_key
from plugins.sms.budget import Spend
from plugins.sms.templates import Template, Templates

SCOPES = ","


async def record(w: Any, handed: Sequence[tuple[str, str, str, str, str, Spend]]) -> None:
    """Put down messages that are about to go out: key, provider, serial, signature, prefix, and
    the money that was reserved.

    Messages that are of no delivery, such as tests, are passed over.
    """
    rows = [
        (delivery_id, *rest, spend.cost, SCOPES.join(spend.limits))
        for key, *rest, spend in handed
        if (delivery_id := read_message_key(w.keyring, w.merchant_id, key)) is not None
    ]
    await w.sql.execute(
        """INSERT INTO sms_messages AS m
               (merchant_id, id, provider, serial, signature, prefix, reserved, scopes, at)
           SELECT $1, u.*, $2 FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[],
                                          $7::text[], $8::bigint[], $9::text[]) AS u
           ON CONFLICT (merchant_id, id) DO UPDATE SET provider = excluded.provider,
               serial = excluded.serial, signature = excluded.signature,
               prefix = excluded.prefix, reserved = excluded.reserved, scopes = excluded.scopes,
               at = excluded.at""",
        w.merchant_id, w.now, *(list(column) for column in zip(*rows, strict=True)),
        *([] if rows else [[]] * 7),
    )  # fmt: skip


async def unreserved(w: Any, keys: Sequence[str]) -> list[Spend]:
    """What was reserved for messages that certainly were not sent, without the limits.

    It is told once for each.
    """
    rows = await w.sql.fetch(
        """WITH held AS MATERIALIZED (
               SELECT id, reserved, scopes FROM sms_messages
               WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND reserved > 0
               ORDER BY id FOR UPDATE)
           UPDATE sms_messages m SET reserved = 0 FROM held
           WHERE m.merchant_id = $1 AND m.id = held.id RETURNING held.reserved, held.scopes""",
        w.merchant_id, list(_ids(w, keys)),
    )  # fmt: skip
    return [
        Spend(row["reserved"], dict.fromkeys(row["scopes"].split(SCOPES), 0)) for row in rows
    ]  # fmt: skip


async def recorded(session: Any, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(provider, serial) of the messages of these keys, as far as they were begun."""
    ids = _ids(session, keys)
    rows = await session.sql.fetch(
        """SELECT id, provider, serial FROM sms_messages
           WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
        session.merchant_id, list(ids),
    )  # fmt: skip
    return {ids[row["id"]]: (row["provider"], row["serial"]) for row in rows}


def _ids(session: Any, keys: Sequence[str]) -> dict[int, str]:
    """The keys by the ids of their deliveries, as far as they are of any."""
    return {
        delivery_id: key for key in keys
        if (delivery_id := read_message_key(session.keyring, session.merchant_id, key)) is not None
    }  # fmt: skip


async def approved_templates(session: Any) -> dict[str, Templates]:
    """The merchant's approved templates by provider, the newest first."""
    rows = await session.sql.fetch(
        """SELECT provider, code, text, message_class, abroad FROM sms_templates
           WHERE merchant_id = $1 AND state = 'approved' ORDER BY provider, id DESC""",
        session.merchant_id,
    )
    by_provider: dict[str, list[Template]] = {}
    for row in rows:
        template = Template(row["code"], row["text"], row["message_class"], row["abroad"])
        by_provider.setdefault(row["provider"], []).append(template)
    return {provider: Templates(found) for provider, found in by_provider.items()}
