"""Text messages measured for customers, and links asked whether they answer."""

import asyncio
from dataclasses import replace

import pytest

from core.domain.campaigns.content.checking import text_findings
from core.domain.campaigns.content.measuring import measure_message
from core.domain.campaigns.content.outside import fault_of
from core.domain.campaigns.flows import message_flow
from core.domain.campaigns.preview import About, preview_message
from core.domain.customers.contacts import seal_phone
from core.registry import Owned
from core.sdk import ContentField, TextRules, outbound
from core.sdk.flows import Send, Variant
from tests.sending_kit import enable_email


class Texts:
    """A channel of text messages as a plugin would bring it; here the email plugin does."""

    name = title = "texts"
    contact = "phone"
    concurrency = 1
    fields = (ContentField("text", "Text"),)

    def open(self, settings):
        raise NotImplementedError

    def text_rules(self, settings):
        return TextRules("小店", "拒收请回复R", 45_000, "CNY")


@pytest.fixture
async def registry(merchant):
    found = merchant.installation.registry
    await enable_email_settings(merchant)
    return replace(found, channels={**found.channels, "texts": Owned("email", Texts())})


async def enable_email_settings(merchant):
    from core.testing.smtp import smtp_sink

    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)


async def add(merchant, *people):
    keyring = merchant.installation.db.keyring
    async with merchant.work() as w:
        for name, phone in people:
            pk = await w.sql.fetchval(
                """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
                   VALUES ($1, $2, 1, $3, $3) RETURNING id""",
                merchant.id, name, w.now,
            )  # fmt: skip
            await w.sql.execute(
                """UPDATE customers SET phone_sealed = $3, phone_index = $4
                   WHERE merchant_id = $1 AND id = $2""",
                merchant.id, pk, seal_phone(keyring, merchant.id, pk, phone),
                keyring.blind_index("phone", merchant.id, phone),
            )  # fmt: skip


async def measured(merchant, registry, text, message_class="marketing", shop_id=None):
    send = Send(key="message", channel="texts", message_class=message_class,
                variants=[Variant(content={"text": text})])  # fmt: skip
    async with merchant.read() as session:
        return await measure_message(
            session, registry, send, 0, shop_id, "https://shop.example", 50
        )


async def test_parts_and_cost_differ_between_customers(merchant, registry):
    await add(merchant, ("李", "+8613812341234"), ("欧阳娜娜" * 3, "+8613812341235"))
    text = "{{ customer.name }}" + "，" * 55 + "拒收请回复R"
    found = await measured(merchant, registry, text, shop_id=merchant.shop_id)
    assert (found.customers, found.failed, found.warnings) == (2, 0, [])
    assert (found.length, found.parts) == ((66, 77), (1, 2))
    assert (found.cost, found.currency) == ((45_000, 90_000), "CNY")


async def test_what_is_wrong_with_a_text_is_told(merchant, registry):
    await add(merchant, ("www.a.cn", "+8613812341234"), (None, "+8613812341235"))
    text = "{{ customer.name }}😀"
    found = await measured(merchant, registry, text)
    assert found.failed == 1
    assert found.problems[0].startswith("text: customer.name has no value")
    assert len(found.warnings) == 3
    assert (await measured(merchant, registry, "好", "service")).warnings == []


async def test_links_are_measured_as_short_as_they_are_sent(merchant, registry):
    await add(merchant, ("李", "+8613812341234"))
    found = await measured(merchant, registry, "https://a.cn/" + "x" * 300, "service")
    assert found.length[1] < 60


async def test_abroad_other_lengths_hold(merchant, registry):
    await add(merchant, ("Ann", "+4915112345678"))
    rules = type("Foreign", (Texts,), {"text_rules": lambda self, settings: TextRules()})
    registry = replace(registry, channels={**registry.channels, "texts": Owned("email", rules())})
    found = await measured(merchant, registry, "a" * 160, "service")
    assert found.parts == (1, 1)


@pytest.mark.parametrize("message_class", ["marketing", "service"])
async def test_a_shops_text_is_measured_and_tried(merchant, registry, message_class):
    await add(merchant, ("Ann", "+8613812341234"))
    text = "{{ customer.name }} {{ customer.city | default: '-' }}"
    assert (await measured(merchant, registry, text, message_class, merchant.shop_id)).length
    send = Send(key="message", channel="texts", message_class=message_class,
                variants=[Variant(content={"text": text})])  # fmt: skip
    async with merchant.read() as session:
        (customer_id,) = await session.sql.fetchrow(
            "SELECT id FROM customers WHERE merchant_id = $1", merchant.id
        )
        about = About(customer_id)
        made = await preview_message(session, registry, send, 0, merchant.shop_id, about)
    assert made.content == {"text": "Ann -"}


async def test_texts_are_checked_before_the_start(merchant, registry):
    flow = message_flow(1, "texts", {"text": "好😀 https://{{ customer.name }}.cn/"})
    async with merchant.read() as session:
        found = await text_findings(session, registry, flow)
    assert [one.level for one in found] == ["warning"] * 3
    assert found[0].path == ("input", "flow", "steps", "0", "variants", "0", "content", "text")


@pytest.fixture
async def site():
    """A web server on this machine that answers as the path says; its port."""

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = head.split()[1].strip("/")
        if status == "hang":
            await asyncio.sleep(10)
        assert head.startswith("HEAD ")
        line = "nonsense" if status == "odd" else f"HTTP/1.1 {status} x"
        writer.write(f"{line}\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("path", "fault"),
    [("200", None), ("302", None), ("404", "answers 404"), ("500", "answers 500"), ("405", None),
     ("odd", "cannot be reached: RemoteProtocolError"),
     ("hang", "does not answer within 0.3 seconds")],
)  # fmt: skip
async def test_a_link_is_asked_without_following(site, path, fault, monkeypatch):
    monkeypatch.setattr("core.domain.campaigns.content.outside.SECONDS", 0.3)
    assert await fault_of(f"http://127.0.0.1:{site}/{path}") == fault


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1",
             "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[fe80::1]",
             "[64:ff9b::a00:1]", "224.0.0.1"],
)  # fmt: skip
async def test_nobody_inside_is_asked(site, host):
    with outbound.allowed(()):
        fault = await fault_of(f"http://{host}:{site}/200")
    assert fault is not None
    assert "public" in fault or "cannot be reached" in fault


async def test_a_closed_port_is_told():
    fault = await fault_of("http://127.0.0.1:1/")
    assert fault is not None
    assert fault.startswith("cannot be reached")
