"""Work by the clock: what the pretended carrier has to tell, missing receipts, and templates."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from core.domain.campaigns.handed_over import HandedOver, handed_over, without_receipt
from core.domain.campaigns.links import message_key
from core.domain.campaigns.receipts import take_receipts
from core.domain.campaigns.replies import take_replies
from core.sdk import (
    DeliveryReceipt,
    OutsideError,
    PluginContext,
    Reply,
    RetryLater,
    SoughtMessage,
)
from core.sdk.channels import ReceiptStatus
from core.sdk.large import aiohttp, loaded
from plugins.sms.channel import SmsChannel
from plugins.sms.http import connections
from plugins.sms.making import made
from plugins.sms.providers.protocol import Finding, Provider, Registering, Sought
from plugins.sms.records import recorded
from plugins.sms.registered import store
from plugins.sms.settings import SmsSettings

PORTION = 1000
SOUGHT = 200
LOOKS = {"half a day": timedelta(hours=12), "three days": timedelta(days=3)}
"""How old a message without an end is when it is asked for: most have one at the first look, and at
the second the carriers have given up the others."""
MISSING_FOR = timedelta(days=25)
"""Vendors forget a message after 30 days."""
AGES = {"sms_sandbox": 30, "sms_messages": 400, "sms_spending": 400}
"""Days after which rows are of no use any more."""
REPLIES = {"opts_out": "R", "replies": "谢谢"}
Providers = Mapping[str, Provider]
STATUSES: dict[str, ReceiptStatus] = {"bad_number": "bounced", "undelivered": "undelivered"}


async def tell_of_sandbox(context: PluginContext) -> None:
    """Receipts and replies of the pretended carrier that are due."""
    while await _tell_some(context):
        pass


async def _tell_some(context: PluginContext) -> bool:
    channel = SmsChannel()
    async with context.database.work(context.merchant_id) as w:
        rows = await w.sql.fetch(
            """UPDATE sms_sandbox s SET due_at = NULL
               FROM (SELECT id FROM sms_sandbox WHERE merchant_id = $1 AND due_at <= $2
                     ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) AS due
               WHERE s.merchant_id = $1 AND s.id = due.id
               RETURNING s.id, s.provider, s.fate, s.due_at""",
            w.merchant_id, w.now, PORTION,
        )  # fmt: skip
        await take_receipts(w, channel, [_receipt(w, row) for row in rows])
        answering = {row["id"]: REPLIES[row["fate"]] for row in rows if row["fate"] in REPLIES}
        people = await handed_over(w, channel, list(answering))
        await take_replies(w, channel, [
            Reply(f"sandbox:{one.delivery_id}", one.to, answering[one.delivery_id], w.now,
                  key=one.key)
            for one in people
        ])  # fmt: skip
    return len(rows) == PORTION


def _receipt(w: Any, row: Any) -> DeliveryReceipt:
    status = STATUSES.get(row["fate"], "delivered")
    return DeliveryReceipt(
        f"sandbox:{row['id']}", status, w.now, key=message_key(w.keyring, w.merchant_id, row["id"]),
        provider=row["provider"], of_person=status == "bounced",
        detail=None if status == "delivered" else row["fate"],
    )  # fmt: skip


async def ask_for_missing(context: PluginContext) -> None:
    """Ask for the messages of which nobody told the end, at each age of LOOKS once.

    Raises RetryLater when a provider cannot say; then the same ones are asked for next time.
    """
    settings = context.settings
    assert isinstance(settings, SmsSettings)
    failing: dict[str, str] = {}
    await loaded(aiohttp)
    async with connections() as http:
        providers = made(settings.providers, http, context)
        for name, age in LOOKS.items():
            await _look(context, providers, name, age, failing)
    if failing:
        raise RetryLater("; ".join(f"{name}: {words}" for name, words in failing.items()))


async def _look(
    context: PluginContext, providers: Providers, name: str, age: timedelta, failing: dict[str, str]
) -> None:
    async with context.database.read(context.merchant_id) as session:
        until = session.now - age
        since = await session.sql.fetchval(
            """SELECT GREATEST(max(asked_until), $3::timestamptz) FROM sms_sweeps
               WHERE merchant_id = $1 AND name = $2""",
            session.merchant_id, name, session.now - MISSING_FOR,
        )  # fmt: skip
    after: int | None = 0
    while after is not None:
        after = await _ask_for_some(context, providers, (since, until), after, failing)
    if failing:
        return
    async with context.database.work(context.merchant_id) as w:
        await w.sql.execute(
            """INSERT INTO sms_sweeps (merchant_id, name, asked_until) VALUES ($1, $2, $3)
               ON CONFLICT (merchant_id, name) DO UPDATE SET asked_until = excluded.asked_until""",
            w.merchant_id, name, until,
        )  # fmt: skip


async def _ask_for_some(
    context: PluginContext,
    providers: Providers,
    sent: tuple[datetime, datetime],
    after: int,
    failing: dict[str, str],
) -> int | None:
    async with context.database.read(context.merchant_id) as session:
        messages, last = await without_receipt(session, SmsChannel(), after, *sent, SOUGHT)
        known = await recorded(session, [one.key for one in messages])
    ends = await asyncio.gather(*(_ended(one, known, providers, failing) for one in messages))
    async with context.database.work(context.merchant_id) as w:
        await take_receipts(w, SmsChannel(), [one for one in ends if one is not None])
    return last


async def _ended(
    one: HandedOver,
    known: Mapping[str, tuple[str, str]],
    providers: Providers,
    failing: dict[str, str],
) -> DeliveryReceipt | None:
    name, serial = known.get(one.key, (one.provider or "", one.key))
    provider = providers.get(name)
    if provider is None or name in failing or not isinstance(provider, Finding):
        return None
    sought = SoughtMessage(one.key, one.to, name, one.at)
    try:
        return await provider.ended(Sought(sought, serial, one.provider_id))
    except OutsideError as error:
        failing[name] = str(error)
        return None


async def sync(context: PluginContext) -> None:
    """Bring signatures and templates to the state that they have at the providers."""
    settings = context.settings
    assert isinstance(settings, SmsSettings)
    problems: list[str] = []
    await loaded(aiohttp)
    async with connections() as http:
        for name, provider in made(settings.providers, http, context).items():
            if not isinstance(provider, Registering):
                continue
            try:
                signatures, templates = await provider.signatures(), await provider.templates()
            except OutsideError as error:
                problems.append(f"{name}: {error}")
                continue
            async with context.database.work(context.merchant_id) as w:
                await store(w, name, signatures, templates)
    if problems:
        raise RetryLater("; ".join(problems))


async def forget(context: PluginContext) -> None:
    """Delete what is of no use any more."""
    async with context.database.work(context.merchant_id) as w:
        for table, days in AGES.items():
            await w.sql.execute(
                f"DELETE FROM {table} WHERE merchant_id = $1 AND at < $2",
                w.merchant_id, w.now - timedelta(days=days),
            )  # fmt: skip
