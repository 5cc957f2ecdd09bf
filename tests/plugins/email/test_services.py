"""Our adapters against services that are written down from the vendors' documents."""

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import web

from core.sdk import OutgoingMessage, ReconnectNeeded, Refused, RetryLater, Unknown
from plugins.email.apis import calling
from plugins.email.channel import EmailChannel, check_settings
from plugins.email.settings import EmailSettings
from tests.stand_ins import mail_services as services
from tests.stand_ins.mail_services import DROP, error

SERVICES = {
    "ses": (services.Ses, {"region": "us-east-1", "access_key_id": services.Ses.key,
                           "secret_access_key": services.Ses.secret}),
    "sendgrid": (services.SendGrid, {"api_key": services.SendGrid.api_key}),
    "mailgun": (services.Mailgun, {"domain": services.Mailgun.domain,
                                   "api_key": services.Mailgun.api_key}),
    "postmark": (services.Postmark, {"server_token": services.Postmark.token}),
    "resend": (services.Resend, {"api_key": services.Resend.api_key}),
}  # fmt: skip
KEY = "7.4711.AAAAAAAAAAAAAAAA-_09"
TAG = "7-4711-AAAAAAAAAAAAAAAA-_09"


@pytest_asyncio.fixture(params=list(SERVICES))
async def service(request):
    async with services.serving(SERVICES[request.param][0]()) as opened:
        opened.kind = request.param
        yield opened


def account(service, **changes):
    return {"kind": service.kind, "endpoint": service.url, **SERVICES[service.kind][1], **changes}


def settings(*providers, **more):
    return EmailSettings.model_validate(
        {"from_address": "shop@example.com", "from_name": '小店 "A"', "providers": list(providers),
         "reply_to": "answers@example.com", **more}
    )  # fmt: skip


def message(to="a@example.com", key=KEY, avoid=frozenset()):
    content = {"subject": "林，好久不见", "html": "<p>您好</p>", "text": "您好"}
    return OutgoingMessage(key, to, content, "marketing", "https://x.example/u/1", avoid=avoid)


async def send(service, **more):
    async with EmailChannel().open(settings(account(service))) as session:
        return await session.send(message(**more))


async def test_a_message_arrives_as_it_was_written(service):
    receipt = await send(service)
    assert receipt.provider == service.kind
    assert receipt.provider_id
    (taken,) = service.taken
    assert taken["to"] == "a@example.com"
    if "mail" in taken:
        mail = taken["mail"]
        assert mail["subject"] == "林，好久不见"
        assert mail["from"].addresses[0].display_name == '小店 "A"'
        assert mail["reply-to"] == "answers@example.com"
        assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        assert mail.get_body(("html",)).get_content().strip() == "<p>您好</p>"
    else:
        said = str(taken["body"])
        for part in ("林，好久不见", "<p>您好</p>", "小店", "answers@example.com",
                     "<https://x.example/u/1>", "List-Unsubscribe=One-Click"):  # fmt: skip
            assert part in said
    assert TAG in str(taken)


async def test_the_settings_are_tried_with_a_real_call(service):
    await check_settings(settings(account(service)))
    secret = {"ses": "secret_access_key", "postmark": "server_token"}.get(service.kind, "api_key")
    with pytest.raises(ReconnectNeeded):
        await check_settings(settings(account(service, **{secret: "wrong"})))
    assert service.taken == []


async def test_a_connection_that_is_lost_after_the_message_is_unknown(service):
    if service.kind == "resend":
        pytest.skip("it is asked again, with the same key")
    service.script = [DROP]
    with pytest.raises(Unknown):
        await send(service)
    assert len(service.taken) == 1


async def test_a_service_that_is_not_there_is_tried_later(service):
    gone = account(service, endpoint="http://127.0.0.1:9")
    async with EmailChannel().open(settings(gone)) as session:
        with pytest.raises(RetryLater) as caught:
            await session.send(message())
    assert caught.value.provider == service.kind


async def test_a_service_that_does_not_answer_is_unknown(service, monkeypatch):
    if service.kind == "resend":
        pytest.skip("it is asked again, with the same key")
    monkeypatch.setattr(calling, "ANSWER_SECONDS", 0.1)

    async def never(request, _message):
        await asyncio.sleep(2)
        return web.Response()

    service.finish = never
    with pytest.raises(Unknown):
        await send(service)


def said(kind, status, name, words):
    """An error in a service's own form."""
    return {
        "ses": lambda: error(status, {"message": words}, x_amzn_ErrorType=f"{name}:http://x"),
        "sendgrid": lambda: error(status, {"errors": [{"message": words, "field": name}]}),
        "mailgun": lambda: error(status, {"message": words}),
        "postmark": lambda: error(status, {"ErrorCode": name, "Message": words}),
        "resend": lambda: error(status, {"statusCode": status, "name": name, "message": words}),
    }[kind]()


ANSWERS = [
    ("ses", 429, "TooManyRequestsException", "Maximum sending rate exceeded.", RetryLater),
    ("ses", 400, "LimitExceededException", "Daily message quota exceeded.", RetryLater),
    ("ses", 400, "ThrottlingException", "Rate exceeded", RetryLater),
    ("ses", 400, "MessageRejected", "Email address is not verified.", ReconnectNeeded),
    ("ses", 400, "MessageRejected", "Invalid content", Refused),
    ("ses", 400, "MailFromDomainNotVerifiedException", "not verified", ReconnectNeeded),
    ("ses", 400, "AccountSuspendedException", "suspended", ReconnectNeeded),
    ("ses", 400, "SendingPausedException", "paused", ReconnectNeeded),
    ("ses", 404, "NotFoundException", "Configuration set does not exist", ReconnectNeeded),
    ("ses", 403, "AccessDeniedException", "not authorized", ReconnectNeeded),
    ("ses", 403, "SignatureDoesNotMatch", "does not match", ReconnectNeeded),
    ("ses", 403, "ExpiredTokenException", "expired", ReconnectNeeded),
    ("ses", 400, "BadRequestException", "Missing final '@domain'", Refused),
    ("ses", 500, "InternalFailure", "internal", Unknown),
    ("ses", 503, "ServiceUnavailable", "down", RetryLater),
    ("sendgrid", 400, "to", "Does not contain a valid address.", Refused),
    ("sendgrid", 400, "from", "The from address is not a verified sender", ReconnectNeeded),
    ("sendgrid", 401, "", "authorization grant is invalid", ReconnectNeeded),
    ("sendgrid", 401, "", "Maximum credits exceeded", ReconnectNeeded),
    ("sendgrid", 403, "from", "does not match a verified Sender Identity", ReconnectNeeded),
    ("sendgrid", 413, "", "too large", Refused),
    ("sendgrid", 429, "", "too many requests", RetryLater),
    ("sendgrid", 500, "", "oops", Unknown),
    ("sendgrid", 503, "", "down", RetryLater),
    ("mailgun", 400, "", "'to' parameter is not a valid address", Refused),
    ("mailgun", 401, "", "Forbidden", ReconnectNeeded),
    ("mailgun", 402, "", "Payment required", ReconnectNeeded),
    ("mailgun", 403, "", "Domain is not allowed to send", ReconnectNeeded),
    ("mailgun", 404, "", "Domain not found", ReconnectNeeded),
    ("mailgun", 413, "", "too large", Refused),
    ("mailgun", 429, "", "Too many requests", RetryLater),
    ("mailgun", 500, "", "Internal Server Error", Unknown),
    ("postmark", 401, 10, "Bad or missing token", ReconnectNeeded),
    ("postmark", 422, 300, "Invalid email request", Refused),
    ("postmark", 422, 400, "Sender signature not found", ReconnectNeeded),
    ("postmark", 422, 401, "Sender signature not confirmed", ReconnectNeeded),
    ("postmark", 422, 405, "Not allowed to send", ReconnectNeeded),
    ("postmark", 422, 406, "Inactive recipient", Refused),
    ("postmark", 422, 412, "Account is pending", ReconnectNeeded),
    ("postmark", 422, 1235, "The stream does not exist", ReconnectNeeded),
    ("postmark", 200, 300, "Invalid 'To' address", Refused),
    ("postmark", 429, 429, "Rate limit exceeded", RetryLater),
    ("postmark", 503, 100, "Maintenance", RetryLater),
    ("postmark", 500, 0, "Internal Server Error", Unknown),
    ("resend", 401, "missing_api_key", "Missing API Key", ReconnectNeeded),
    ("resend", 401, "restricted_api_key", "restricted", ReconnectNeeded),
    ("resend", 403, "invalid_api_key", "API key is invalid", ReconnectNeeded),
    ("resend", 403, "validation_error", "The domain is not verified", ReconnectNeeded),
    ("resend", 422, "invalid_from_address", "Invalid `from` field", ReconnectNeeded),
    ("resend", 422, "validation_error", "Invalid `to` field", Refused),
    ("resend", 429, "rate_limit_exceeded", "Too many requests", RetryLater),
    ("resend", 429, "daily_quota_exceeded", "daily quota", RetryLater),
    ("resend", 429, "monthly_quota_exceeded", "monthly quota", ReconnectNeeded),
    ("resend", 409, "concurrent_idempotent_requests", "in progress", Unknown),
    ("resend", 500, "application_error", "oops", Unknown),
]


@pytest.mark.parametrize("kind", list(SERVICES))
async def test_every_answer_means_what_the_vendor_says(kind):
    async with services.serving(SERVICES[kind][0]()) as opened:
        opened.kind = kind
        for _, status, name, words, outcome in [one for one in ANSWERS if one[0] == kind]:
            opened.script = [said(kind, status, name, words)]
            with pytest.raises(Exception) as caught:
                await send(opened)
            where = (status, name, words, caught.value)
            assert isinstance(caught.value, outcome), where
            assert words in str(caught.value), where
        assert opened.taken == []


async def test_a_pause_that_is_asked_for_is_kept():
    async with services.serving(services.Mailgun()) as opened:
        opened.kind = "mailgun"
        opened.script = [error(429, {"message": "slow down"}, Retry_After="90")]
        with pytest.raises(RetryLater) as caught:
            await send(opened)
        assert caught.value.after == timedelta(seconds=90)


async def test_resend_never_takes_a_message_twice():
    async with services.serving(services.Resend()) as opened:
        opened.kind = "resend"
        opened.script = [DROP]
        assert (await send(opened)).provider_id
        assert len(opened.taken) == 1
        assert len(opened.calls) == 2


async def test_another_provider_takes_what_the_first_one_does_not():
    async with services.serving(services.Postmark()) as first, services.serving(
        services.SendGrid()
    ) as second:  # fmt: skip
        first.kind, second.kind = "postmark", "sendgrid"
        both = settings(account(first), account(second))
        first.script = [said("postmark", 429, 429, "slow")]
        async with EmailChannel().open(both) as session:
            assert (await session.send(message())).provider == "sendgrid"
            # it is left alone for a while
            assert (await session.send(message())).provider == "sendgrid"
            assert len(first.calls) == 1
        async with EmailChannel().open(both) as session:
            assert (await session.send(message())).provider == "postmark"
            assert (
                await session.send(message(avoid=frozenset({"postmark"})))
            ).provider == "sendgrid"
            everybody = frozenset({"postmark", "sendgrid"})
            assert (await session.send(message(avoid=everybody))).provider == "postmark"
        first.script = [said("postmark", 422, 405, "no credits")]
        second.script = [said("sendgrid", 401, "", "no credits either")]
        async with EmailChannel().open(both) as session:
            with pytest.raises(ReconnectNeeded, match="no credits"):
                await session.send(message())
        # what a provider refuses or may have taken goes to nobody else
        first.script = [said("postmark", 422, 300, "invalid"), DROP]
        before = len(second.taken)
        async with EmailChannel().open(both) as session:
            with pytest.raises(Refused):
                await session.send(message())
            with pytest.raises(Unknown):
                await session.send(message())
        assert len(second.taken) == before


async def test_a_provider_for_service_messages_only():
    async with services.serving(services.Postmark()) as first:
        first.kind = "postmark"
        async with EmailChannel().open(settings(account(first, for_messages="service"))) as session:
            with pytest.raises(ReconnectNeeded, match="marketing"):
                await session.send(message())
