"""A merchant's webhooks: which server is told of what, and with which body."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson

from core.domain.shops.merchants import check_name
from core.domain.shops.permissions import check_permissions
from core.domain.shops.staff.oidc_provider import is_safe
from core.domain.shops.webhooks.signing import new_secret, place, secrets_of
from core.domain.shops.webhooks.topics import check_filter, check_topics
from core.registry import Registry
from core.sdk import outbound
from core.sdk.errors import (
    AlreadyExists,
    Faults,
    InvalidInput,
    NotFound,
    WrongState,
)
from core.sdk.versions import check_version
from core.storage.database import Session, Work

LIMIT = 50
OVERLAP_LIMIT = timedelta(days=30)

Need = Callable[[str], None]
"""Raises unless the caller has the right."""


@dataclass(frozen=True)
class Settings:
    """What a merchant decides about a webhook.

    `filter` has values by field of the events; `document` is a GraphQL query that was checked
    against the schema, None for the event's own fields; it is run with `permissions`.
    """

    name: str
    url: str
    topics: Sequence[str]
    filter: Mapping[str, Any]
    document: str | None
    permissions: Sequence[str]


def settings_of(row: Any) -> Settings:
    """The settings in a webhook's row."""
    return Settings(
        row["name"], row["url"], orjson.loads(row["topics"]), orjson.loads(row["conditions"]),
        row["document"], orjson.loads(row["permissions"]),
    )  # fmt: skip


Check = Callable[[Settings], None]
"""Raises InvalidInput unless the document fits the schema, the topics and the permissions."""


async def create_webhook(
    w: Work, registry: Registry, given: Settings, need: Need, check: Check
) -> tuple[int, str]:
    """Make a webhook; returns its id and its secret.

    The caller needs its permissions: nobody has sent what they may not see. Raises InvalidInput,
    AlreadyExists, WrongState beyond LIMIT.
    """
    checked = _checked(registry, given, need, check)
    # one after the other, so that the limit holds
    await w.sql.execute("SELECT 1 FROM merchants WHERE id = $1 FOR NO KEY UPDATE", w.merchant_id)
    count = await w.sql.fetchval(
        "SELECT count(*) FROM webhooks WHERE merchant_id = $1", w.merchant_id
    )
    if count >= LIMIT:
        raise WrongState(f"there are {LIMIT} webhooks already: delete one", ("input",))
    (pk,) = await w.new_ids("webhooks", 1)
    secret = new_secret()
    await _store(
        w, checked,
        """INSERT INTO webhooks (id, merchant_id, name, url, topics, conditions, document,
               permissions, created_at, updated_at, secret_sealed, failures)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, 0)""",
        pk, w.keyring.seal(secret, place("secret", w.merchant_id, pk)),
    )  # fmt: skip
    w.audit("webhook.created", {"webhook": pk, **_said(checked)})
    return pk, secret


async def update_webhook(
    w: Work, registry: Registry, pk: int, given: Mapping[str, Any], need: Need, check: Check,
    if_version: int | None = None,
) -> None:  # fmt: skip
    """Change settings; `given` has those that change. The next attempt of any message has them.

    The caller needs the permissions of before and after. Raises as `create_webhook`, NotFound,
    and Conflict for a webhook of another version than `if_version`.
    """
    row = await find_webhook(w, pk, lock=True)
    stored = settings_of(row)
    for permission in stored.permissions:
        need(permission)
    check_version(row["version"], if_version)
    checked = _checked(registry, Settings(**{**vars(stored), **given}), need, check)
    await _store(
        w, checked,
        """UPDATE webhooks SET name = $3, url = $4, topics = $5, conditions = $6, document = $7,
               permissions = $8, updated_at = $9, version = version + 1
           WHERE id = $1 AND merchant_id = $2""",
        pk,
    )  # fmt: skip
    w.audit("webhook.updated", {"webhook": pk, "fields": sorted(given), **_said(checked)})


async def delete_webhook(w: Work, pk: int) -> None:
    """Delete a webhook with its messages, sent or not. Raises NotFound."""
    await find_webhook(w, pk, lock=True)
    await w.sql.execute(
        """DELETE FROM webhook_attempts WHERE merchant_id = $1 AND message_id IN (
               SELECT id FROM webhook_messages WHERE merchant_id = $1 AND webhook_id = $2)""",
        w.merchant_id, pk,
    )  # fmt: skip
    await w.sql.execute(
        "DELETE FROM webhook_messages WHERE merchant_id = $1 AND webhook_id = $2",
        w.merchant_id, pk,
    )  # fmt: skip
    await w.sql.execute(
        "DELETE FROM webhooks WHERE merchant_id = $1 AND id = $2", w.merchant_id, pk
    )
    w.audit("webhook.deleted", {"webhook": pk})


async def rotate_secret(w: Work, pk: int, overlap: timedelta) -> str:
    """Give a webhook a new secret, and return it; the old one signs as well for `overlap`.

    Raises NotFound, InvalidInput.
    """
    if not timedelta(0) <= overlap <= OVERLAP_LIMIT:
        raise InvalidInput(
            f"the overlap is 0 to {OVERLAP_LIMIT.days} days", ("input", "overlapHours")
        )
    row, secret = await find_webhook(w, pk, lock=True), new_secret()
    await w.sql.execute(
        """UPDATE webhooks SET secret_sealed = $3, previous_sealed = $4, previous_until = $5,
               updated_at = $6 WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, pk, w.keyring.seal(secret, place("secret", w.merchant_id, pk)),
        w.keyring.seal(secrets_of(w, row)[0], place("previous", w.merchant_id, pk)),
        w.now + overlap, w.now,
    )  # fmt: skip
    w.audit("webhook.rotated", {"webhook": pk, "overlap_seconds": int(overlap.total_seconds())})
    return secret


async def pause_webhook(w: Work, pk: int) -> None:
    """Send nothing for now; what happens waits. Pausing again changes nothing. Raises NotFound."""
    row = await find_webhook(w, pk, lock=True)
    if row["paused_at"] is None:
        await w.sql.execute(
            """UPDATE webhooks SET paused_at = $3, pause_reason = 'person', updated_at = $3
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, pk, w.now,
        )  # fmt: skip
        w.audit("webhook.paused", {"webhook": pk})


async def resume_webhook(w: Work, pk: int) -> None:
    """Send again, what has waited at once. Raises NotFound."""
    row = await find_webhook(w, pk, lock=True)
    if row["paused_at"] is None:
        return
    await w.sql.execute(
        """UPDATE webhooks SET paused_at = NULL, pause_reason = NULL, failures = 0,
               failing_since = NULL, updated_at = $3 WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, pk, w.now,
    )  # fmt: skip
    await w.sql.execute(
        """UPDATE webhook_messages SET next_at = $3
           WHERE merchant_id = $1 AND webhook_id = $2 AND state = 'pending' AND next_at > $3""",
        w.merchant_id, pk, w.now,
    )  # fmt: skip
    w.ring("webhooks.deliver", w.merchant_id, pk)
    w.audit("webhook.resumed", {"webhook": pk})


async def find_webhook(session: Session, pk: int, lock: bool = False) -> asyncpg.Record:
    """A webhook's row; `lock` keeps it until the transaction's end. Raises NotFound."""
    row = await session.sql.fetchrow(
        f"""SELECT * FROM webhooks WHERE merchant_id = $1 AND id = $2
            {"FOR UPDATE" if lock else ""}""",
        session.merchant_id, pk,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no webhook with this id", ("id",))
    return row


def check_url(url: str) -> None:
    """Whether messages can be sent there; names are looked up only then. Raises InvalidInput."""
    if not is_safe(url):
        raise InvalidInput(
            "give an https address without user and fragment, of up to 500 characters of ASCII",
            ("input", "url"),
        )
    host = urlsplit(url).hostname or ""
    try:
        outbound.check(str(ip_address(host)))
    except outbound.NotPublic as error:
        raise InvalidInput(f"{host} {error}", ("input", "url")) from None
    except ValueError:
        pass  # a name


def _checked(registry: Registry, given: Settings, need: Need, check: Check) -> Settings:
    """The settings as they are stored. Raises Several of all that is wrong with them."""
    faults = Faults()
    with faults:
        name = check_name(given.name)
    with faults:
        check_url(given.url)
    topics: list[str] | None = None
    with faults:
        topics = check_topics(given.topics)
    with faults:
        check_filter(given.filter, topics)
    permissions = list[str]()
    with faults:
        permissions = check_permissions(registry, given.permissions) if given.permissions else []
        for permission in permissions:
            need(permission)
        if given.document is not None and not permissions:
            raise InvalidInput("a document needs permissions to run with", ("input", "permissions"))
    with faults:
        check(replace(given, topics=topics or [], permissions=permissions))
    faults.tell()
    return Settings(name, given.url, topics or [], given.filter, given.document, permissions)


async def _store(w: Work, given: Settings, statement: str, pk: int, *more: Any) -> None:
    """Run a statement whose parameters from $3 are the settings and the present."""
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                statement, pk, w.merchant_id, given.name, given.url,
                orjson.dumps(given.topics).decode(), orjson.dumps(given.filter).decode(),
                given.document, orjson.dumps(given.permissions).decode(), w.now, *more,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(
            f"there is a webhook named {given.name} already", ("input", "name")
        ) from None


def _said(given: Settings) -> dict[str, Any]:
    return {"topics": list(given.topics), "permissions": list(given.permissions)}
