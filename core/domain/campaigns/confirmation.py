"""Sending the message that asks to confirm a consent, at most once."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from markupsafe import escape

from core.domain.campaigns.control import check_channel
from core.domain.campaigns.flows import campaign_channel
from core.domain.campaigns.links import confirmation_key, confirmation_url
from core.domain.campaigns.opening import opened_channel
from core.domain.campaigns.policy import SEALED_CONTACTS, contact_address, skip_reason_sql
from core.domain.customers.consent import Word, check_word
from core.domain.customers.consent_requests import VALID, make_request, new_secret
from core.guard import PluginFailed, guarded
from core.registry import Registry
from core.sdk.channels import Channel, ChannelSession, OutgoingMessage
from core.sdk.errors import (
    Faults,
    InvalidInput,
    OutsideError,
    ReconnectNeeded,
    Refused,
    RetryLater,
    Unknown,
    WrongState,
)
from core.storage import jobs
from core.storage.database import Database, Work
from core.storage.jobs import Job

KIND = "consent.confirm"

SUBJECT = "请确认 · Please confirm: {sender}"
PLAIN = "{sender}：请确认您同意接收我们的消息。Please confirm that you agree to our messages: {url}"
HTML = """<p>{sender}</p>
<p>您（或有人用您的地址）同意了以下内容，请确认：<br>
You, or somebody with your address, agreed to this. Please confirm it:</p>
<blockquote>{text}</blockquote>
<p><a href="{url}">确认 · Confirm</a></p>
<p>如果不是您，请忽略本消息。链接 {days} 天内有效。<br>
If it was not you, do nothing. The link is valid for {days} days.</p>"""


class _NotYet(Exception):
    """Certainly not sent: the job is tried again. It says nothing of the recipient."""


async def start_confirmation(
    w: Work,
    registry: Registry,
    customer_id: int,
    *,
    channel: str,
    purpose: str,
    shop_id: int,
    text: str,
    text_version: str,
    source: str,
    base_url: str,
) -> tuple[int, int]:
    """Ask a customer to confirm a consent by a link; returns the ids of the request and the job.

    `base_url` starts the link. Raises NotFound, InvalidInput, WrongState, PluginDisabled.
    """
    faults = Faults()
    with faults:
        await check_channel(w, registry, channel)
        contact = campaign_channel(registry, channel).contact
        if contact not in SEALED_CONTACTS:
            raise InvalidInput(
                "only channels that write to phone numbers or email addresses ask to confirm a "
                "consent", ("input", "channel"),
            )  # fmt: skip
    if faults:
        with faults:
            await check_word(w, Word(
                channel, purpose, "granted", source, shop_id, text, text_version
            ))  # fmt: skip
        faults.tell()
    request_id = await make_request(
        w, customer_id, channel=channel, contact=contact,
        purpose=purpose, shop_id=shop_id, text=text, text_version=text_version, source=source,
    )  # fmt: skip
    params = {"request_id": request_id, "base_url": base_url}
    return request_id, await jobs.enqueue(w, KIND, params, total=1)


class ConfirmationSending:
    """The job. Its result is {"state": sent | skipped | refused | unknown, "reason": ...}.

    That the message is being handed over is recorded before it is: a job found like this is
    unknown, and the message is never sent again blindly.
    """

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """See JobKind."""
        if job.checkpoint.get("handed_over"):
            return _ended("unknown", "the worker ended while it was sending")
        async with db.read(job.merchant_id) as session:
            row = await session.sql.fetchrow(
                """SELECT r.id, r.channel, r.text, COALESCE(s.name, m.name) AS sender
                   FROM consent_requests r JOIN merchants m ON m.id = r.merchant_id
                   LEFT JOIN shops s ON s.merchant_id = r.merchant_id AND s.id = r.shop_id
                   WHERE r.merchant_id = $1 AND r.id = $2""",
                job.merchant_id, job.params["request_id"],
            )  # fmt: skip
        if row is None:
            return _ended("skipped", "erased")
        channel = campaign_channel(self._registry, row["channel"])
        async with self._opened(db, job.merchant_id, channel) as session:
            message = await _mark(db, job, channel, row)
            if isinstance(message, str):
                return _ended("skipped", message)
            plugin = self._registry.channels[channel.name].plugin
            timeout = self._registry.manifests[plugin].timeout
            return await _hand_over(db, job, plugin, timeout, session, message)

    @asynccontextmanager
    async def _opened(
        self, db: Database, merchant_id: int, channel: Channel
    ) -> AsyncIterator[ChannelSession]:
        async with AsyncExitStack() as stack:
            opening = opened_channel(db, self._registry, merchant_id, channel.name)
            try:
                opened, _ = await stack.enter_async_context(opening)
            except (RetryLater, PluginFailed):
                raise _NotYet(f"channel {channel.name} cannot be reached") from None
            except OutsideError as error:
                raise WrongState(f"the channel cannot be used: {error}") from None
            yield opened


async def _mark(
    db: Database, job: Job, channel: Channel, row: Mapping[str, Any]
) -> OutgoingMessage | str:
    """The message, once it is recorded that it is being handed over; or why there is none."""
    kind = channel.contact
    reason = skip_reason_sql(contact_address(kind), "service", "r.channel", "r.shop_id")
    async with job.step(db) as w:
        found = await w.sql.fetchrow(
            f"""SELECT r.customer_id, c.{kind}_sealed AS sealed,
                       c.{kind}_index IS NOT DISTINCT FROM r.address_index AS same_address,
                       {reason} AS reason
                FROM consent_requests r
                JOIN customers c ON c.merchant_id = r.merchant_id AND c.id = r.customer_id
                WHERE r.merchant_id = $1 AND r.id = $2 AND r.state = 'pending'
                  AND r.expires_at > $3 FOR NO KEY UPDATE OF r""",
            w.merchant_id, row["id"], w.now,
        )  # fmt: skip
        if found is None:
            return "replaced"
        if not found["same_address"]:
            return "address_changed"
        if found["reason"]:
            return str(found["reason"])
        url = confirmation_url(
            job.params["base_url"], w.merchant_id, await new_secret(w, row["id"])
        )
        place = f"customers.{kind}|{w.merchant_id}|{found['customer_id']}"
        message = OutgoingMessage(
            confirmation_key(w.keyring, w.merchant_id, row["id"]),
            w.keyring.open(found["sealed"], place),
            _content(channel, row["sender"], row["text"], url),
            "service",
        )
        job.checkpoint, job.done = {"handed_over": True}, 1
    return message


async def _hand_over(
    db: Database,
    job: Job,
    plugin: str,
    seconds: float,
    session: ChannelSession,
    message: OutgoingMessage,
) -> dict[str, Any]:
    try:
        await guarded(plugin, job.merchant_id, seconds, session.send(message))
    except (RetryLater, ReconnectNeeded) as error:
        async with job.step(db):
            job.checkpoint, job.done = {}, 0
        if isinstance(error, RetryLater):
            raise _NotYet(f"channel of plugin {plugin} asks to try again later") from None
        raise WrongState(f"the channel cannot be used: {error}") from None
    except Refused:
        return _ended("refused", "the channel does not take messages for this address")
    except (Unknown, PluginFailed):
        return _ended("unknown", "nobody knows whether the message was sent")
    return _ended("sent", None)


def _content(channel: Channel, sender: str, text: str, url: str) -> dict[str, str]:
    """The message in a channel's fields: a subject, HTML, or plain text."""
    content = {}
    for field in channel.fields:
        if field.name == "subject":
            content[field.name] = SUBJECT.format(sender=" ".join(sender.split()))
        elif field.html:
            content[field.name] = HTML.format(
                sender=escape(sender), text=escape(text), url=escape(url), days=VALID.days
            )
        elif field.required:
            content[field.name] = PLAIN.format(sender=sender, url=url)
    return content


def _ended(state: str, reason: str | None) -> dict[str, Any]:
    return {"state": state, "reason": reason}
