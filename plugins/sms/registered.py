"""Signatures and templates as they stand at the providers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar

from core.sdk import (
    Faults,
    HuikeError,
    MessageClass,
    NotFound,
    OutsideError,
    PluginContext,
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


@dataclass(frozen=True)
class NewTemplate:
    """A template to be handed in; `remark` is for the reviewers."""

    provider: str
    name: str
    text: str
    message_class: MessageClass
    abroad: bool
    remark: str


async def submit(context: PluginContext, new: NewTemplate) -> StoredTemplate:
    """Check a template, hand it in for review and put it down as pending.

    Raises InvalidInput, Several, NotFound, WrongState, TemplateRefused; the cause of the last is
    Unknown where the provider may have taken it all the same.
    """
    settings = check(context, new)
    await loaded(aiohttp)
    async with connections() as http:
        opened = made(settings.providers, http, context)[new.provider]
        if not isinstance(opened, Registering):
            raise WrongState(
                f"{new.provider} takes any text: it needs no templates", ("input", "provider")
            )
        try:
            code = await opened.submit(
                new.name, new.text, new.message_class, new.abroad, new.remark
            )
        except OutsideError as error:
            raise TemplateRefused(str(error), ("input",)) from error
    given = None if new.abroad else new.message_class
    template = Registered(code, "pending", new.name, new.text, given, new.abroad)
    async with context.database.work(context.merchant_id) as w:
        await _store_templates(w, new.provider, [template])
        w.audit("sms_template.submitted", {"provider": new.provider, "code": code})
        return StoredTemplate(
            new.provider, code, new.name, new.text, given, new.abroad, "pending", "", w.now
        )


def told(template: StoredTemplate) -> dict[str, Any]:
    """A template as JSON values, for `stored`."""
    return {**asdict(template), "synced_at": template.synced_at.isoformat()}


def stored(values: Mapping[str, Any]) -> StoredTemplate:
    """The template that `told` made the values of."""
    return StoredTemplate(**{**values, "synced_at": datetime.fromisoformat(values["synced_at"])})


def check(context: PluginContext, new: NewTemplate) -> SmsSettings:
    """Check a template without asking the provider; returns the settings.

    Raises InvalidInput, NotFound, Several.
    """
    settings, faults = context.settings, Faults()
    assert isinstance(settings, SmsSettings)
    if new.provider not in {one.name for one in settings.providers}:
        path = ("input", "provider")
        faults.add(NotFound("there is no such provider in the settings", path))
    for field, value, most in (
        ("name", new.name, NAME_LIMIT), ("text", new.text, TEXT_LIMIT),
        ("remark", new.remark, REMARK_LIMIT),
    ):  # fmt: skip
        if not 0 < len(value.strip()) <= most:
            faults.wrong(f"give 1 to {most} characters", field)
    for wrong in wrong_with_template(new.text, new.message_class, settings.opt_out, new.abroad):
        faults.wrong(wrong, "text")
    faults.tell()
    return settings
