"""What providers push: receipts and replies, read into core's terms.

Alibaba Cloud, Tencent Cloud sign nothing: the address, which nobody can guess, is what tells that a
push comes from them. Twilio signs, and a gateway brings the secret that was agreed on.
"""

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from core.domain.campaigns.receipts import take_receipts
from core.domain.campaigns.replies import take_replies
from core.sdk import (
    DeliveryReceipt,
    InvalidInput,
    PluginContext,
    Refused,
    Reply,
    WebRequest,
    WebResponse,
)
from plugins.sms.channel import SmsChannel
from plugins.sms.providers.aliyun import ended_as, moment
from plugins.sms.providers.gateway import at_path, value_at
from plugins.sms.providers.twilio import receipt_of, signature
from plugins.sms.settings import (
    AliyunSettings,
    GatewaySettings,
    ProviderSettings,
    SmsSettings,
    TencentSettings,
    TwilioSettings,
)
from plugins.sms.texts import full_number

BATCH_SERIAL = "b"
MAX_ITEMS = 5000
JSON = "application/json"
EMPTY_TWIML = "<Response/>"
OPTS_OUT = "STOP"


async def aliyun(context: PluginContext, request: WebRequest) -> WebResponse:
    """SmsReport and SmsUp: a list of receipts, or of what people wrote."""
    provider = _named(context, request, AliyunSettings)
    receipts, replies = [], []
    now = context.database.clock()
    sign = context.database.keyring.sign
    for item in _items(request):
        number = full_number(_text(item, "phone_number"))
        if "content" in item:
            replies.append(Reply(
                f"aliyun:{_text(item, 'sequence_id')}", number, _text(item, "content"),
                moment(item.get("send_time"), now),
            ))  # fmt: skip
            continue
        serial, biz_id = str(item.get("out_id") or ""), _text(item, "biz_id")
        code, delivered = str(item.get("err_code") or ""), item.get("success") is True
        together = serial.startswith(BATCH_SERIAL)
        receipts.append(ended_as(
            sign("sms", f"{biz_id}.{number}.{delivered}.{code}"), delivered, code,
            str(item.get("err_msg") or ""), moment(item.get("report_time"), now), provider,
            key=None if together else serial or None, to=number,
            provider_id=serial if together else biz_id,
        ))  # fmt: skip
    await _take(context, receipts, replies)
    return WebResponse('{"code":0,"msg":"OK"}', content_type=JSON)


async def tencent(context: PluginContext, request: WebRequest) -> WebResponse:
    """A list of receipts, or one reply."""
    provider = _named(context, request, TencentSettings)
    receipts, replies = [], []
    now = context.database.clock()
    for item in _items(request):
        number = full_number(f"{item.get('nationcode') or '86'}{_text(item, 'mobile')}")
        if "report_status" not in item:
            told = f"{number}.{item.get('time')}.{_text(item, 'text')}"
            replies.append(Reply(
                f"tencent:{context.database.keyring.sign('sms', told)}", number,
                _text(item, "text"), _unix(item.get("time"), now),
            ))  # fmt: skip
            continue
        sid, status = _text(item, "sid"), _text(item, "report_status")
        receipts.append(ended_as(
            f"{sid}:{status}", status == "SUCCESS", str(item.get("errmsg") or ""),
            str(item.get("description") or ""), moment(item.get("user_receive_time"), now),
            provider, provider_id=sid,
        ))  # fmt: skip
    await _take(context, receipts, replies)
    return WebResponse('{"result":0,"errmsg":"OK"}', content_type=JSON)


async def twilio(context: PluginContext, request: WebRequest) -> WebResponse:
    """A status of a message, or a reply; a form with a signature over it and the address."""
    form = parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)
    given = dict(form)
    account = _signed_by(context, request, form, given.get("AccountSid", ""))
    sid = given.get("MessageSid") or given.get("SmsSid") or ""
    if not sid:
        raise InvalidInput("the form names no message", ("MessageSid",))
    now = context.database.clock()
    if given.get("SmsStatus") == "received" or "MessageStatus" not in given:
        reply = Reply(
            f"twilio:{sid}", full_number(given.get("From", "")), given.get("Body", ""), now,
            opt_out=given.get("OptOutType", "") == OPTS_OUT,
        )  # fmt: skip
        await _take(context, [], [reply])
        return WebResponse(EMPTY_TWIML, content_type="text/xml")
    told = {
        "status": given["MessageStatus"], "sid": sid, "error_code": given.get("ErrorCode", ""),
    }  # fmt: skip
    receipt = receipt_of(told, account.name, now, key=dict(request.query).get("key"))
    await _take(context, [] if receipt is None else [receipt], [])
    return WebResponse(status=204)


async def gateway(context: PluginContext, request: WebRequest) -> WebResponse:
    """Receipts or replies of a gateway, read as its settings say."""
    query = dict(request.query)
    name = query.get("provider") or _named(context, request, GatewaySettings)
    found = [
        one for one in _providers(context, GatewaySettings)
        if isinstance(one, GatewaySettings) and one.name == name
    ]  # fmt: skip
    if not found:
        raise InvalidInput("say by ?provider= which gateway this comes from", ("provider",))
    settings = found[0]
    secret = request.headers.get("x-push-secret") or query.get("secret", "")
    if not hmac.compare_digest(settings.push_secret.get_secret_value().encode(), secret.encode()):
        raise Refused("the secret is wrong")
    body = _body(request)
    now = context.database.clock()
    await _take(
        context, list(_gateway_receipts(settings, body, now)),
        list(_gateway_replies(context, settings, body, now)),
    )  # fmt: skip
    return WebResponse('{"code":0}', content_type=JSON)


def _gateway_receipts(
    settings: GatewaySettings, body: Any, now: datetime
) -> Iterable[DeliveryReceipt]:
    reading = settings.receipts
    for item in _list(at_path(body, reading.items)) if reading else []:
        assert reading is not None
        identity, status = value_at(item, reading.id), value_at(item, reading.delivered.path)
        if identity is None or status is None:
            continue
        to = value_at(item, reading.to) if reading.to else None
        delivered = status in reading.delivered.values
        bad = not delivered and status in reading.bad_numbers
        yield DeliveryReceipt(
            f"{settings.name}:{identity}:{status}",
            "delivered" if delivered else "bounced" if bad else "undelivered", now,
            key=identity, provider_id=identity, to=full_number(to) if to else None,
            provider=settings.name, of_person=bad, detail=None if delivered else status,
        )  # fmt: skip


def _gateway_replies(
    context: PluginContext, settings: GatewaySettings, body: Any, now: datetime
) -> Iterable[Reply]:
    reading = settings.replies
    for item in _list(at_path(body, reading.items)) if reading else []:
        assert reading is not None
        identity, text = value_at(item, reading.id), value_at(item, reading.text)
        sender = value_at(item, reading.sender)
        if identity is not None and text is not None and sender is not None:
            yield Reply(f"{settings.name}:{identity}", full_number(sender), text, now)


async def _take(
    context: PluginContext, receipts: Sequence[DeliveryReceipt], replies: Sequence[Reply]
) -> None:
    async with context.database.work(context.merchant_id) as w:
        await take_receipts(w, SmsChannel(), receipts)
        await take_replies(w, SmsChannel(), replies)


def _providers(context: PluginContext, kind: type[ProviderSettings]) -> Sequence[ProviderSettings]:
    settings = context.settings
    assert isinstance(settings, SmsSettings)
    return [one for one in settings.providers if isinstance(one, kind)]


def _named(context: PluginContext, request: WebRequest, kind: type[ProviderSettings]) -> str | None:
    """Which provider pushes: the one named by ?provider=, or the only one of its kind."""
    names = [one.name for one in _providers(context, kind)]
    named = dict(request.query).get("provider")
    if not names or (named is not None and named not in names):
        raise Refused("there is no such provider")
    return named or (names[0] if len(names) == 1 else None)


def _signed_by(
    context: PluginContext, request: WebRequest, form: Sequence[tuple[str, str]], account: str
) -> TwilioSettings:
    """The account whose signature the request bears. Raises Refused."""
    given = request.headers.get("x-twilio-signature", "")
    for one in _providers(context, TwilioSettings):
        if not isinstance(one, TwilioSettings) or one.account_sid != account:
            continue
        token = one.auth_token.get_secret_value()
        made = [signature(token, url, form) for url in _with_and_without_port(request.url)]
        if any(hmac.compare_digest(each.encode(), given.encode()) for each in made):
            return one
    raise Refused("the signature is wrong")


def _with_and_without_port(url: str) -> Iterable[str]:
    """Both ways in which the caller may have signed the address."""
    yield url
    parts = urlsplit(url)
    usual = 443 if parts.scheme == "https" else 80
    if parts.port is None and parts.hostname:
        yield parts._replace(netloc=f"{parts.netloc}:{usual}").geturl()
    elif parts.hostname:
        yield parts._replace(netloc=parts.hostname).geturl()


def _items(request: WebRequest) -> list[Mapping[str, Any]]:
    items = _list(_body(request))
    if not all(isinstance(item, Mapping) for item in items):
        raise InvalidInput("the body is no list of objects", ("body",))
    return items


def _body(request: WebRequest) -> Any:
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        pass
    try:  # the text of a reply may end in half a character, which the standard library takes
        taken = json.dumps(json.loads(request.body), ensure_ascii=False)
        return orjson.loads(taken.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise InvalidInput("the body is no JSON", ("body",)) from None


def _list(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    if len(items) > MAX_ITEMS:
        raise InvalidInput(f"at most {MAX_ITEMS} at once", ("body",))
    return items


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput(f"{name} is missing", (name,))
    return str(value)


def _unix(seconds: Any, otherwise: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return otherwise
