"""The addresses that delivery services post to, one for each kind."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from core.domain.campaigns.receipts import take_receipts
from core.domain.campaigns.replies import take_replies
from core.sdk import (
    Channel,
    DeliveryReceipt,
    PluginContext,
    Refused,
    Reply,
    Text,
    WebRequest,
    WebResponse,
    WebRoute,
)
from plugins.email.settings import (
    EmailSettings,
    Mailgun,
    Postmark,
    Resend,
    SendGrid,
    Ses,
    provider_name,
)
from plugins.email.webhooks import events, signatures, sns

FRESH = timedelta(minutes=5)
RETRIED = timedelta(hours=24)
"""Services repeat what was not taken for up to a day, some with the first signature."""
MAX_BYTES = 2_000_000

Handler = Callable[[Channel, PluginContext, WebRequest], Awaitable[WebResponse]]
P = TypeVar("P", Ses, SendGrid, Mailgun, Postmark, Resend)


def routes(channel: Channel) -> list[WebRoute]:
    """The addresses; what comes there is news of this channel."""
    handlers: Sequence[tuple[str, str, Handler]] = (
        ("ses", "Amazon SES", take_ses), ("sendgrid", "SendGrid", take_sendgrid),
        ("mailgun", "Mailgun", take_mailgun), ("postmark", "Postmark", take_postmark),
        ("resend", "Resend", take_resend),
    )  # fmt: skip
    return [
        WebRoute(
            f"email.{name}", Text(f"News from {title}", f"{title} 的回执"),
            partial(handle, channel), max_bytes=MAX_BYTES,
        )
        for name, title, handle in handlers
    ]  # fmt: skip


async def take_ses(channel: Channel, context: PluginContext, request: WebRequest) -> WebResponse:
    message = _object(request)
    accounts = _accounts(context, Ses)
    for account in accounts:
        if message.get("TopicArn") in account.topic_arns:
            break
    else:
        account = accounts[0]
    await sns.check(message, account.topic_arns, sns.fetch)
    if message["Type"] == "SubscriptionConfirmation":
        await sns.confirm(message, sns.fetch)
        return WebResponse("confirmed\n")
    try:
        event = json.loads(str(message.get("Message")))
    except ValueError:
        event = None
    if isinstance(event, dict):
        now, name = context.database.clock(), provider_name(account)
        await _take(context, channel, events.of_ses(event, str(message["MessageId"]), name, now))
    return WebResponse("ok\n")


async def take_sendgrid(
    channel: Channel, context: PluginContext, request: WebRequest
) -> WebResponse:
    headers, now = request.headers, context.database.clock()
    timestamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
    signature = headers.get("x-twilio-email-event-webhook-signature", "")
    account = _signed_by(
        [one for one in _accounts(context, SendGrid) if one.webhook_key],
        lambda one: signatures.check_sendgrid(
            one.webhook_key or "", timestamp, signature, request.body
        ),
    )
    signatures.check_age(timestamp, now, RETRIED)
    entries = _json(request)
    name = provider_name(account)
    found = [
        news
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        for news in events.of_sendgrid(entry, name, now)
    ]
    await _take(context, channel, found)
    return WebResponse("ok\n")


async def take_mailgun(
    channel: Channel, context: PluginContext, request: WebRequest
) -> WebResponse:
    given, now = _object(request), context.database.clock()
    signed = given.get("signature")
    signed = signed if isinstance(signed, dict) else {}
    timestamp, token = str(signed.get("timestamp", "")), str(signed.get("token", ""))
    account = _signed_by(
        [one for one in _accounts(context, Mailgun) if one.webhook_signing_key],
        lambda one: signatures.check_mailgun(
            _secret(one.webhook_signing_key), timestamp, token, str(signed.get("signature", ""))
        ),
    )
    signatures.check_age(timestamp, now, RETRIED)
    event = given.get("event-data")
    if isinstance(event, dict):
        # the signature covers the token only: each token is good for one event
        name = f"{provider_name(account)}:{token}"
        await _take(context, channel, events.of_mailgun(event, name, provider_name(account), now))
    return WebResponse("ok\n")


async def take_postmark(
    channel: Channel, context: PluginContext, request: WebRequest
) -> WebResponse:
    account = _signed_by(
        [one for one in _accounts(context, Postmark) if one.webhook_password],
        lambda one: signatures.check_password(
            one.webhook_username or "", _secret(one.webhook_password),
            request.headers.get("authorization", ""),
        ),
    )  # fmt: skip
    now = context.database.clock()
    await _take(context, channel, events.of_postmark(_object(request), provider_name(account), now))
    return WebResponse("ok\n")


async def take_resend(channel: Channel, context: PluginContext, request: WebRequest) -> WebResponse:
    headers, now = request.headers, context.database.clock()
    message_id, timestamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    account = _signed_by(
        [one for one in _accounts(context, Resend) if one.webhook_secret],
        lambda one: signatures.check_svix(
            _secret(one.webhook_secret), message_id, timestamp,
            headers.get("svix-signature", ""), request.body,
        ),
    )  # fmt: skip
    signatures.check_age(timestamp, now, FRESH)
    name = provider_name(account)
    await _take(context, channel, events.of_resend(_object(request), message_id, name, now))
    return WebResponse("ok\n")


async def _take(context: PluginContext, channel: Channel, found: Iterable[events.News]) -> None:
    news = list(found)
    async with context.database.work(context.merchant_id, f"provider:{channel.name}") as w:
        receipts = [one for one in news if isinstance(one, DeliveryReceipt)]
        await take_receipts(w, channel, receipts)
        await take_replies(w, channel, [one for one in news if isinstance(one, Reply)])


def _accounts(context: PluginContext, kind: type[P]) -> list[P]:
    """The merchant's accounts with a service, those that can be spoken for. Raises Refused."""
    settings = context.settings
    assert isinstance(settings, EmailSettings)
    found = [one for one in settings.all_providers() if isinstance(one, kind)]
    if not found:
        raise Refused("no such provider is in the settings")
    return found


def _signed_by(accounts: Sequence[P], check: Callable[[P], None]) -> P:
    """The account whose secret the request was signed with. Raises Refused."""
    refused = Refused("the settings have no secret for the webhook")
    for account in accounts:
        try:
            check(account)
            return account
        except Refused as error:
            refused = error
    raise refused


def _secret(value: Any) -> str:
    return str(value.get_secret_value())


def _json(request: WebRequest) -> Any:
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refused("the body is no JSON") from None


def _object(request: WebRequest) -> dict[str, Any]:
    value = _json(request)
    if not isinstance(value, dict):
        raise Refused("the body is no JSON object")
    return value
