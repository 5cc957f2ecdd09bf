"""Signatures and templates as they stand at the providers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from core.sdk import (
    HuikeError,
    InvalidInput,
    MessageClass,
    NotFound,
    OutsideError,
    PluginContext,
    Several,
    WrongState,
)
from core.sdk.large import aiohttp, loaded
from plugins.sms.http import connections
from plugins.sms.making import made
from plugins.sms.providers.protocol import Registered, Registering
from plugins.sms.settings import SmsSettings
from plugins.sms.templates import State, wrong_with_template

NAME_LIMIT = 30
TEXT_LIMIT = 500
REMARK_LIMIT = 100


class TemplateRefused(HuikeError):
    """The provider did not take a template in for review."""

    code: ClassVar[str] = "SMS_TEMPLATE_REFUSED"
    cause: ClassVar[str] = "The SMS provider did not take the template in for review."
    cure: ClassVar[str] = "Correct what the message says; the provider's own words are in it."


@dataclass(frozen=True)
class StoredSignature:
    """A signature as it stood at a provider at `synced_at`."""

    provider: str
    name: str
    state: State
    reason: str
    synced_at: datetime


@dataclass(frozen=True)
class StoredTemplate:
    """A template as it stood at a provider at `synced_at`."""

    provider: str
    code: str
    name: str
    text: str
    message_class: MessageClass | None
    abroad: bool | None
    state: State
    reason: str
    synced_at: datetime


async def store(
    w: Any, provider: str, signatures: Sequence[Registered], templates: Sequence[Registered]
) -> None:
    """Take over a provider's lists; what is not on them any more is cancelled."""
    await w.sql.execute(
        """INSERT INTO sms_signatures (merchant_id, provider, name, state, reason, synced_at)
           SELECT $1, $2, u.*, $3 FROM unnest($4::text[], $5::text[], $6::text[]) AS u
           ON CONFLICT (merchant_id, provider, name) DO UPDATE
               SET state = excluded.state, reason = excluded.reason, synced_at = $3""",
        w.merchant_id, provider, w.now, [one.name for one in signatures],
        [one.state for one in signatures], [one.reason for one in signatures],
    )  # fmt: skip
    await _store_templates(w, provider, templates)
    for table in ("sms_signatures", "sms_templates"):
        await w.sql.execute(
            f"""UPDATE {table} SET state = 'cancelled', synced_at = $3
                WHERE merchant_id = $1 AND provider = $2 AND synced_at < $3""",
            w.merchant_id, provider, w.now,
        )  # fmt: skip


async def _store_templates(w: Any, provider: str, templates: Sequence[Registered]) -> None:
    await w.sql.execute(
        """INSERT INTO sms_templates (merchant_id, provider, code, name, text, message_class,
                                      abroad, state, reason, synced_at)
           SELECT $1, $2, u.*, $3 FROM unnest($4::text[], $5::text[], $6::text[], $7::text[],
                                              $8::boolean[], $9::text[], $10::text[]) AS u
           ON CONFLICT (merchant_id, provider, code) DO UPDATE
               SET name = excluded.name, text = excluded.text, state = excluded.state,
                   message_class = excluded.message_class, abroad = excluded.abroad,
                   reason = excluded.reason, synced_at = $3""",
        w.merchant_id, provider, w.now, [one.code for one in templates],
        [one.name for one in templates], [one.text for one in templates],
        [one.message_class for one in templates], [one.abroad for one in templates],
        [one.state for one in templates], [one.reason for one in templates],
    )  # fmt: skip


async def stored_signatures(session: Any) -> list[StoredSignature]:
    """The merchant's signatures, by provider and name."""
    rows = await session.sql.fetch(
        """SELECT provider, name, state, reason, synced_at FROM sms_signatures
           WHERE merchant_id = $1 ORDER BY provider, name""",
        session.merchant_id,
    )
    return [StoredSignature(**row) for row in rows]


async def stored_templates(session: Any) -> list[StoredTemplate]:
    """The merchant's templates, by provider and code."""
    rows = await session.sql.fetch(
        """SELECT provider, code, name, text, message_class, abroad, state, reason, synced_at
           FROM sms_templates WHERE merchant_id = $1 ORDER BY provider, code""",
        session.merchant_id,
    )
    return [StoredTemplate(**row) for row in rows]


async def submit(
    context: PluginContext,
    provider: str,
    name: str,
    text: str,
    message_class: MessageClass,
    abroad: bool,
    remark: str,
) -> StoredTemplate:
    """Check a template, hand it in for review and put it down as pending.

    Raises InvalidInput, Several, NotFound, WrongState, TemplateRefused.
    """
    settings = context.settings
    assert isinstance(settings, SmsSettings)
    _check(settings, name, text, message_class, abroad, remark)
    await loaded(aiohttp)
    async with connections() as http:
        opened = made(settings.providers, http, context).get(provider)
        if opened is None:
            raise NotFound("there is no such provider in the settings", ("input", "provider"))
        if not isinstance(opened, Registering):
            raise WrongState(f"{provider} takes any text: it needs no templates", ("input",))
        try:
            code = await opened.submit(name, text, message_class, abroad, remark)
        except OutsideError as error:
            raise TemplateRefused(str(error), ("input",)) from error
    given = None if abroad else message_class
    template = Registered(code, "pending", name, text, given, abroad)
    async with context.database.work(context.merchant_id) as w:
        await _store_templates(w, provider, [template])
        w.audit("sms_template.submitted", {"provider": provider, "code": code})
        return StoredTemplate(provider, code, name, text, given, abroad, "pending", "", w.now)


def _check(
    settings: SmsSettings, name: str, text: str, message_class: MessageClass, abroad: bool,
    remark: str,
) -> None:  # fmt: skip
    errors: list[HuikeError] = [
        InvalidInput(f"give 1 to {most} characters", ("input", field))
        for field, value, most in (
            ("name", name, NAME_LIMIT), ("text", text, TEXT_LIMIT),
            ("remark", remark, REMARK_LIMIT),
        )
        if not 0 < len(value.strip()) <= most
    ]  # fmt: skip
    errors += [
        InvalidInput(wrong, ("input", "text"))
        for wrong in wrong_with_template(text, message_class, settings.opt_out, abroad)
    ]
    if errors:
        raise Several(errors)
