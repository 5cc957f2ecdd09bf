"""Custom fields in templates: checked when written, loaded only when named."""

import pytest

from core.domain.campaigns.campaigns import update_campaign
from core.domain.campaigns.content import message, values
from core.domain.campaigns.content.message import Content, Recipient, Sender
from core.domain.campaigns.content.templates import Liquid
from core.domain.campaigns.content.variables import known_variables
from core.domain.campaigns.content.writing import check_content
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.preview import preview_campaign
from core.domain.campaigns.sending import send_run
from core.domain.customers.field_values import FieldChange, set_fields
from core.domain.customers.fields import create_field, delete_field
from core.sdk import ContentField, Several
from core.sdk.errors import HuikeError
from core.testing.smtp import smtp_sink
from tests.sending_kit import add_customers, campaign_row, enable_email, make_campaign, states

KNOWN = known_variables({"custom.size", "custom.n2", "sms.last"})
SENDER = Sender("m", None, "Asia/Shanghai")


class Letter:
    name = title = "letter"
    contact = "email"
    concurrency = 1
    fields = (ContentField("html", "Message", html=True),)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ customer.fields.custom.size }}|{{ customer.name }}", "&lt;L&gt;|Lin"),
        ("{{customer.fields.custom.n2}}{{ customer.fields.sms.last | default:  }}", "3"),
        ("{% if customer.fields.custom.size == '<L>' %}large{% endif %}", "large"),
        ("{{ customer.fields['custom'].n2 | plus: 1 }}", "4"),
    ],
)
def test_templates_are_filled_in(template, expected, monkeypatch):
    lin = Recipient("Lin", None, None, "", "", {
        "customer.fields.custom.size": "<L>", "customer.fields.custom.n2": "3",
    })  # fmt: skip
    made = Content(Letter(), {"html": template}, SENDER, KNOWN)
    assert made.render(lin)["html"] == expected
    monkeypatch.setattr(message, "template", Liquid)
    made = Content(Letter(), {"html": template}, SENDER, KNOWN)
    assert made.render(lin)["html"] == expected


def test_only_the_fields_that_are_named_are_asked_for():
    made = Content(Letter(), {"html": "{{ customer.fields.custom.size }}"}, SENDER, KNOWN)
    assert made.names == {"customer.fields.custom.size"}


@pytest.mark.parametrize(
    "template",
    ["{{ customer.fields.custom.gone }}", "{{ customer.fields }}", "{{ customer.fields.custom }}",
     "{{ customer.fields.custom.size.x }}"],
)  # fmt: skip
def test_fields_that_do_not_exist_are_refused(template):
    with pytest.raises((HuikeError, Several), match="does not exist"):
        check_content(Letter(), {"html": template}, KNOWN)


CONTENT = {
    "subject": "{{ customer.fields.custom.size }}",
    "html": '<a href="{{ unsubscribe_url }}">{{ customer.fields.custom.member }}</a>',
}


async def define(w):
    await create_field(w, "custom", "custom", "size", "Size", "text")
    return await create_field(w, "custom", "custom", "member", "Member", "bool")


async def test_messages_carry_the_values(merchant):
    db, registry = merchant.installation.db, merchant.installation.registry
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        ids = await add_customers(merchant, ["a@example.com", "b@example.com"])
        with pytest.raises((HuikeError, Several), match=r"custom\.size"):
            await make_campaign(merchant, CONTENT)
        async with merchant.work() as w:
            await define(w)
            for pk, size in zip(ids, ("Large", "Small"), strict=True):
                given = [FieldChange("custom.size", size), FieldChange("custom.member", True)]
                await set_fields(w, pk, given, "custom")
        campaign_id = await make_campaign(merchant, CONTENT, name="second")
        async with merchant.read() as session:
            found = await preview_campaign(session, registry, campaign_id)
        assert [one.content["subject"] for one in found.samples] == ["Large", "Small"]
        async with merchant.work() as w:
            run_id = await start_campaign(w, registry, campaign_id)
        await send_run(db, registry, merchant.id, run_id, "http://localhost")
        assert await states(merchant, run_id) == {"sent": 2}
        text = b"".join(sink.messages)
        assert b"Subject: Large" in text
        assert b"Subject: Small" in text


async def test_without_fields_nothing_is_loaded(merchant, monkeypatch):
    async def never(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(values, "read_fields", never)
    db, registry = merchant.installation.db, merchant.installation.registry
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        await add_customers(merchant, ["a@example.com"])
        campaign_id = await make_campaign(merchant)
        async with merchant.work() as w:
            run_id = await start_campaign(w, registry, campaign_id)
        await send_run(db, registry, merchant.id, run_id, "http://localhost")
        assert await states(merchant, run_id) == {"sent": 1}


async def test_a_field_that_is_deleted_later_pauses_the_campaign_with_the_reason(merchant):
    db, registry = merchant.installation.db, merchant.installation.registry
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        await add_customers(merchant, ["a@example.com"])
        async with merchant.work() as w:
            field_id = await define(w)
        campaign_id = await make_campaign(merchant, CONTENT)
        async with merchant.work() as w:
            await update_campaign(w, registry, campaign_id, {"name": "renamed"})
            run_id = await start_campaign(w, registry, campaign_id)
            await delete_field(w, "custom", field_id)
        await send_run(db, registry, merchant.id, run_id, "http://localhost")
    row = await campaign_row(merchant, campaign_id)
    assert row["state"] == "paused"
    assert "custom.member" in row["pause_reason"]
