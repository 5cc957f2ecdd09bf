"""Webhooks: which servers are told of what, and what was delivered to them."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.shops.webhooks import redelivery
from core.domain.shops.webhooks import webhooks as domain
from core.domain.shops.webhooks.topics import known_topics, shown
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import (
    JSON,
    Node,
    PermissionName,
    changes,
    global_id,
    need_id,
    read_id,
    version_seen,
)
from core.schema.webhook_documents import check_document
from core.schema.where import DateTimeFilter, StringFilter
from core.storage.database import Session


@strawberry.enum(description="Why a webhook sends nothing.")
class WebhookPauseReason(Enum):
    PERSON = strawberry.enum_value("person", description="Somebody paused it.")
    FAILURES = strawberry.enum_value(
        "failures", description="Its server failed 10 times in a row, over an hour at least."
    )
    GONE = strawberry.enum_value("gone", description="Its server answered 410 Gone.")


@strawberry.enum(description="How far a message has come.")
class WebhookMessageState(Enum):
    PENDING = strawberry.enum_value("pending", description="It is tried, or waits to be.")
    DONE = strawberry.enum_value("done", description="The server answered 200 to 299.")
    FAILED = strawberry.enum_value("failed", description="It was tried for about a day in vain.")


@strawberry.type(description="A type of event that webhooks can be told of.")
class WebhookTopic:
    name: str
    fields: list[str] = strawberry.field(
        description="What such an event says; a document's variables, and what filters ask for."
    )


@strawberry.type(description="One try to deliver a message.")
class WebhookAttempt(Node):
    at: datetime
    status: int | None = strawberry.field(description="Of HTTP; null without an answer.")
    detail: str | None = strawberry.field(description="Why there was no answer.")
    milliseconds: int = strawberry.field(description="From the call to the head of the answer.")


@strawberry.type(description="An event on its way to a webhook, or arrived; kept for 30 days.")
class WebhookMessage(Node):
    row: strawberry.Private[Any]
    topic: str
    event: JSON = strawberry.field(description="The event's fields.")
    happened_at: datetime
    test: bool = strawberry.field(description="Whether it was sent by `webhookTest`.")
    state: WebhookMessageState
    status: int | None = strawberry.field(description="Of the last answer.")
    detail: str | None = strawberry.field(description="Why the last try had no answer.")
    next_at: datetime | None = strawberry.field(description="When it is tried again.")
    created_at: datetime
    ended_at: datetime | None

    @field("WEBHOOKS_READ", description="Every try, the first first.")
    def attempts(self, info: Info) -> list[WebhookAttempt]:
        return info.context.children("webhook.attempts", self.row["id"], attempts_by_message)


@strawberry.input
class WebhookMessageStateFilter:
    eq: strawberry.Maybe[WebhookMessageState]
    in_: strawberry.Maybe[list[WebhookMessageState]] = strawberry.field(name="in", default=None)


@strawberry.input
class WebhookMessageWhere:
    state: strawberry.Maybe[WebhookMessageStateFilter]
    topic: strawberry.Maybe[StringFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["WebhookMessageWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["WebhookMessageWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["WebhookMessageWhere"] = strawberry.field(name="not", default=None)


@strawberry.type(description="A server of yours that is told of events.")
class Webhook(Node):
    row: strawberry.Private[Any]
    name: str
    url: str
    topics: list[str]
    filter: JSON | None = strawberry.field(description="Values by field of the event.")
    document: str | None = strawberry.field(
        description="The query whose answer is sent as `data`; null sends the event's own fields."
    )
    permissions: list[PermissionName] = strawberry.field(description="What the document may read.")
    paused_at: datetime | None
    pause_reason: WebhookPauseReason | None
    failures: int = strawberry.field(description="Tries that failed since the last that did not.")
    failing_since: datetime | None
    previous_secret_until: datetime | None = strawberry.field(
        description="Until when the secret before the last rotation signs as well."
    )
    version: int
    created_at: datetime
    updated_at: datetime

    @field("WEBHOOKS_READ", description="What was sent or will be, the last first.")
    async def messages(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: WebhookMessageWhere | None = None,
    ) -> Connection[WebhookMessage]:
        scope = ("m.webhook_id", self.row["id"])
        return await page(info, MESSAGES, where, None, first, after, scope)


@strawberry.input
class WebhookCreateInput:
    name: str
    url: str = strawberry.field(description="https; redirects are not followed.")
    topics: list[str] = strawberry.field(
        description="Names of `webhookTopics`, or of your own events (custom.…)."
    )
    filter: JSON | None = strawberry.field(
        default=None,
        description="Values by field, each one value or a list; an event has to have them all.",
    )
    document: str | None = strawberry.field(
        default=None,
        description="One query; its variables are named as fields of the events. Absent: the "
        "event's own fields are sent.",
    )
    permissions: list[PermissionName] = strawberry.field(
        default_factory=list, description="What the document may read; you need them yourself."
    )


@strawberry.input(description="Absent fields stay as they are.")
class WebhookUpdateInput:
    name: strawberry.Maybe[str]
    url: strawberry.Maybe[str]
    topics: strawberry.Maybe[list[str]]
    filter: strawberry.Maybe[JSON | None] = strawberry.field(
        default=None, description="Null lets every event through."
    )
    document: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description="Null sends the events' own fields."
    )
    permissions: strawberry.Maybe[list[PermissionName]]
    if_version: int | None = version_seen()


@strawberry.input
class WebhookSecretRotateInput:
    overlap_hours: int = strawberry.field(
        default=24, description="So long the old secret signs as well: 0 to 720."
    )


@strawberry.input
class WebhookRedeliverInput:
    since: datetime = strawberry.field(description="When the first message was recorded.")
    until: datetime = strawberry.field(description="Messages recorded then are not sent.")
    states: list[WebhookMessageState] = strawberry.field(
        default_factory=lambda: [WebhookMessageState.FAILED],
        description="Which messages; failed ones if absent.",
    )


SECRET = "Put it where the server checks signatures. Shown only now."  # noqa: S105 - no password


@strawberry.type
class WebhookCreatePayload:
    webhook: Webhook | None = None
    secret: str | None = strawberry.field(default=None, description=SECRET)
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookUpdatePayload:
    webhook: Webhook | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookDeletePayload:
    id: strawberry.ID | None = strawberry.field(default=None, description="Of what is gone.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookSecretRotatePayload:
    webhook: Webhook | None = None
    secret: str | None = strawberry.field(default=None, description=SECRET)
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookPausePayload:
    webhook: Webhook | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookResumePayload:
    webhook: Webhook | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookTestPayload:
    message: WebhookMessage | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookRedeliverPayload:
    count: int | None = strawberry.field(default=None, description="Messages sent again.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookMessageRedeliverPayload:
    message: WebhookMessage | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def webhook_of(session: Session, row: Any) -> Webhook:
    until, reason = row["previous_until"], row["pause_reason"]
    return Webhook(
        id=global_id("Webhook", row["id"]),
        row=row,
        name=row["name"],
        url=row["url"],
        topics=orjson.loads(row["topics"]),
        filter=JSON(orjson.loads(row["conditions"])) if row["conditions"] != "{}" else None,
        document=row["document"],
        permissions=[PermissionName(name) for name in orjson.loads(row["permissions"])],
        paused_at=row["paused_at"],
        pause_reason=WebhookPauseReason(reason) if reason else None,
        failures=row["failures"],
        failing_since=row["failing_since"],
        previous_secret_until=until if until is not None and until > session.now else None,
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def message_of(row: Any) -> WebhookMessage:
    return WebhookMessage(
        id=global_id("WebhookMessage", row["id"]),
        row=row,
        topic=row["topic"],
        event=JSON(shown(row["topic"], orjson.loads(row["payload"]))),
        happened_at=row["happened_at"],
        test=row["test"],
        state=WebhookMessageState(row["state"]),
        status=row["status"],
        detail=row["detail"],
        next_at=row["next_at"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


MESSAGES = Listing(
    "webhookMessages", "webhook_messages m", "m",
    {"state": "m.state", "topic": "m.topic", "created_at": "m.created_at"}, {}, message_of,
)  # fmt: skip


async def webhooks_by_id(session: Session, pks: list[int]) -> dict[int, Webhook]:
    rows = await session.sql.fetch(
        "SELECT * FROM webhooks WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: webhook_of(session, row) for row in rows}


async def messages_by_id(session: Session, pks: list[int]) -> dict[int, WebhookMessage]:
    rows = await session.sql.fetch(
        "SELECT * FROM webhook_messages WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: message_of(row) for row in rows}


async def attempts_by_message(session: Session, pks: list[int]) -> dict[int, list[WebhookAttempt]]:
    rows = await session.sql.fetch(
        """SELECT * FROM webhook_attempts WHERE merchant_id = $1 AND message_id = ANY($2)
           ORDER BY id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[WebhookAttempt]] = {}
    for row in rows:
        found.setdefault(row["message_id"], []).append(_attempt_of(row))
    return found


async def attempts_by_id(session: Session, pks: list[int]) -> dict[int, WebhookAttempt]:
    rows = await session.sql.fetch(
        "SELECT * FROM webhook_attempts WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: _attempt_of(row) for row in rows}


def _attempt_of(row: Any) -> WebhookAttempt:
    return WebhookAttempt(
        id=global_id("WebhookAttempt", row["id"]),
        at=row["at"],
        status=row["status"],
        detail=row["detail"],
        milliseconds=row["milliseconds"],
    )


def checked_by(info: Info) -> domain.Check:
    """Checks documents against the schema of this request."""
    return lambda settings: check_document(info.schema, settings)


@strawberry.type
class WebhookQueries:
    @field("WEBHOOKS_READ", description="All of them, the newest first; there are 50 at most.")
    async def webhooks(self, info: Info) -> list[Webhook]:
        async with info.context.read() as session:
            rows = await session.sql.fetch(
                "SELECT * FROM webhooks WHERE merchant_id = $1 ORDER BY id DESC",
                session.merchant_id,
            )
            return [webhook_of(session, row) for row in rows]

    @field("WEBHOOKS_READ")
    async def webhook(self, info: Info, id: strawberry.ID) -> Webhook | None:
        pk = read_id("Webhook", id)
        return await info.context.load("webhooks", pk, webhooks_by_id) if pk else None

    @field("WEBHOOKS_READ", description="What webhooks can be told of, beside your own events.")
    async def webhook_topics(self, info: Info) -> list[WebhookTopic]:
        return [WebhookTopic(name=name, fields=list(found))
                for name, found in known_topics().items()]  # fmt: skip


@strawberry.type
class WebhookMutations:
    @mutation(
        "WEBHOOKS_WRITE", WebhookCreatePayload,
        description="Tell a server of yours of events, signed with a secret of its own.",
    )  # fmt: skip
    async def webhook_create(
        self, info: Info, input: WebhookCreateInput
    ) -> WebhookCreatePayload | None:
        context = info.context
        given = domain.Settings(
            input.name, input.url, input.topics, filter_of(input.filter), input.document,
            input.permissions,
        )  # fmt: skip
        async with context.work() as w:
            registry = context.installation.registry
            pk, secret = await domain.create_webhook(
                w, registry, given, context.need, checked_by(info)
            )
            made = (await webhooks_by_id(w, [pk]))[pk]
        return WebhookCreatePayload(webhook=made, secret=secret)

    @mutation(
        "WEBHOOKS_WRITE", WebhookUpdatePayload,
        description="Change a webhook; what waits is sent as it is set then. You need its "
        "permissions, of before and after.",
    )  # fmt: skip
    async def webhook_update(
        self, info: Info, id: strawberry.ID, input: WebhookUpdateInput
    ) -> WebhookUpdatePayload | None:
        context, pk, given = info.context, need_id("Webhook", id), changes(input)
        if "filter" in given:
            given["filter"] = filter_of(given["filter"])
        async with context.work() as w:
            registry = context.installation.registry
            await domain.update_webhook(
                w, registry, pk, given, context.need, checked_by(info), input.if_version
            )
            return WebhookUpdatePayload(webhook=(await webhooks_by_id(w, [pk]))[pk])

    @mutation(
        "WEBHOOKS_WRITE", WebhookDeletePayload,
        description="Its log goes too, and what was not sent yet is not sent.",
    )  # fmt: skip
    async def webhook_delete(self, info: Info, id: strawberry.ID) -> WebhookDeletePayload | None:
        async with info.context.work() as w:
            await domain.delete_webhook(w, need_id("Webhook", id))
        return WebhookDeletePayload(id=id)

    @mutation(
        "WEBHOOKS_WRITE", WebhookSecretRotatePayload,
        description="Make a new secret; both sign until the overlap is over.",
    )  # fmt: skip
    async def webhook_secret_rotate(
        self, info: Info, id: strawberry.ID, input: WebhookSecretRotateInput
    ) -> WebhookSecretRotatePayload | None:
        pk = need_id("Webhook", id)
        async with info.context.work() as w:
            secret = await domain.rotate_secret(w, pk, timedelta(hours=input.overlap_hours))
            found = (await webhooks_by_id(w, [pk]))[pk]
        return WebhookSecretRotatePayload(webhook=found, secret=secret)

    @mutation(
        "WEBHOOKS_WRITE", WebhookPausePayload,
        description="Send nothing for now; what happens waits, for 30 days at most.",
    )  # fmt: skip
    async def webhook_pause(self, info: Info, id: strawberry.ID) -> WebhookPausePayload | None:
        pk = need_id("Webhook", id)
        async with info.context.work() as w:
            await domain.pause_webhook(w, pk)
            return WebhookPausePayload(webhook=(await webhooks_by_id(w, [pk]))[pk])

    @mutation(
        "WEBHOOKS_WRITE", WebhookResumePayload,
        description="Send again, what has waited first.",
    )  # fmt: skip
    async def webhook_resume(self, info: Info, id: strawberry.ID) -> WebhookResumePayload | None:
        pk = need_id("Webhook", id)
        async with info.context.work() as w:
            await domain.resume_webhook(w, pk)
            return WebhookResumePayload(webhook=(await webhooks_by_id(w, [pk]))[pk])

    @mutation(
        "WEBHOOKS_WRITE", WebhookTestPayload,
        description="Send the newest event of its topics, once, also while it is paused. Ask for "
        "the message again to see what came of it.",
    )  # fmt: skip
    async def webhook_test(self, info: Info, id: strawberry.ID) -> WebhookTestPayload | None:
        async with info.context.work() as w:
            pk = await redelivery.send_test(w, need_id("Webhook", id))
            return WebhookTestPayload(message=(await messages_by_id(w, [pk]))[pk])

    @mutation(
        "WEBHOOKS_WRITE", WebhookRedeliverPayload,
        description="Send the messages of a span of time again, under their ids.",
    )  # fmt: skip
    async def webhook_redeliver(
        self, info: Info, id: strawberry.ID, input: WebhookRedeliverInput
    ) -> WebhookRedeliverPayload | None:
        pk, states = need_id("Webhook", id), [str(state.value) for state in input.states]
        async with info.context.work() as w:
            count = await redelivery.redeliver_range(w, pk, input.since, input.until, states)
        return WebhookRedeliverPayload(count=count)

    @mutation(
        "WEBHOOKS_WRITE", WebhookMessageRedeliverPayload,
        description="Send one message again, under its id.",
    )  # fmt: skip
    async def webhook_message_redeliver(
        self, info: Info, id: strawberry.ID
    ) -> WebhookMessageRedeliverPayload | None:
        pk = need_id("WebhookMessage", id)
        async with info.context.work() as w:
            await redelivery.redeliver(w, pk)
            return WebhookMessageRedeliverPayload(message=(await messages_by_id(w, [pk]))[pk])


def filter_of(given: Any) -> Any:
    """A filter as it is checked: none is an empty one."""
    return {} if given is None else given
