"""Texts over the API: tried, measured, checked, and sent as a test to one's own staff."""

import pytest

from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.content.trial import PER_HOUR
from core.domain.campaigns.flows import parse_flow
from core.domain.shops.plugins import _store
from core.schema.scalars import global_id
from core.testing.smtp import smtp_sink
from tests.sending_kit import enable_email

MESSAGE = """query ($message: MessageInput!, $customerId: ID!, $orderId: ID) {
  messagePreview(message: $message, customerId: $customerId, orderId: $orderId) {
    message { content { field text } error } errors { code message path } } }"""
TEST = """mutation ($id: ID!, $input: CampaignTestSendInput!) {
  campaignTestSend(id: $id, input: $input) {
    state detail content { field text } errors { code message path } } }"""
CHECK = """query ($id: ID!) { campaignCheck(id: $id) {
  ready findings { level message path } errors { code } } }"""
START = """mutation ($id: ID!) { campaignStart(id: $id, input: { idempotencyKey: "k" }) {
  run { id } errors { message path } } }"""


def content(subject, html):
    return [{"field": "subject", "text": subject}, {"field": "html", "text": html}]


def letter(subject, html="x"):
    return {"channel": "email", "content": content(subject, html)}


async def ask(api, world, query, token=None, **variables):
    answer = await api(token or world.token, query, **variables)
    assert "errors" not in answer, answer
    (found,) = answer["data"].values()
    return found


async def journey(world, **texts):
    """A draft on paid orders, of as many messages as there are texts; its id."""
    steps = [
        {"kind": "send", "key": key, "channel": "email", "message_class": "service",
         "variants": [{"content": one} for one in variants]}
        for key, variants in texts.items()
    ]  # fmt: skip
    flow = parse_flow({"trigger": {"kind": "event", "type": "order.created"}, "steps": steps})
    async with world.merchant.work() as w:
        registry = world.merchant.installation.registry
        pk = await create_flow_campaign(w, registry, name="of texts", flow=flow)
    return global_id("Campaign", pk)


async def test_a_text_is_tried_for_a_customer_and_an_order(api, world):
    ids = world.ids
    text = letter("{{ customer.name }}: {{ order.number }} {{ order.total | money: 'CNY' }}")
    found = await ask(
        api, world, MESSAGE, message=text, customerId=ids["Customer"], orderId=ids["Order"]
    )
    assert found["message"]["content"][0]["text"] == "张三: E1 ¥99.00"
    found = await ask(api, world, MESSAGE, message=text, customerId=ids["Customer"])
    assert found["message"]["error"].startswith("subject: order.number has no value")
    found = await ask(
        api, world, MESSAGE, message=text, customerId=ids["Second"], orderId=ids["Order"]
    )
    assert found["errors"][0]["path"] == ["input", "orderId"]
    found = await ask(api, world, MESSAGE, message=letter("{{ x }}"), customerId=ids["Customer"])
    assert found["errors"][0]["path"] == ["input", "content", "subject"]


async def test_names_are_masked_without_the_right(api, world):
    token = await world.limited("CUSTOMERS_READ", "CAMPAIGNS_READ")
    text = letter("{{ customer.name }}")
    found = await ask(api, world, MESSAGE, token, message=text, customerId=world.ids["Customer"])
    assert found["message"]["content"][0]["text"] == "张**"


async def test_each_step_and_variant_of_a_journey_is_tried(api, world):
    campaign = await journey(
        world, first=[{"subject": "a", "html": "x"}],
        then=[{"subject": "b", "html": "x"}, {"subject": "{{ order.number }}", "html": "x"}],
    )  # fmt: skip
    query = """query ($id: ID!, $c: ID!, $o: ID, $step: String, $variant: Int! = 0) {
      campaignMessagePreview(
        id: $id, customerId: $c, orderId: $o, step: $step, variant: $variant
      ) { message { content { text } } errors { message path } } }"""
    given = {"id": campaign, "c": world.ids["Customer"], "o": world.ids["Order"]}
    found = await ask(api, world, query, **given, step="then", variant=1)
    assert found["message"]["content"][0]["text"] == "E1"
    found = await ask(api, world, query, **given)
    assert "first, then" in found["errors"][0]["message"]
    found = await ask(api, world, query, **given, step="first", variant=1)
    assert found["errors"][0]["path"] == ["input", "variant"]


async def test_a_test_is_sent_once_and_counts_nowhere(api, world):
    async def deliveries():
        async with world.merchant.read() as session:
            return await session.sql.fetchval(
                "SELECT count(*) FROM deliveries WHERE merchant_id = $1", world.merchant.id
            )

    before = await deliveries()
    async with smtp_sink() as sink:
        await enable_email(world.merchant, sink.port)
        given = {
            "to": "Me@Example.com", "customerId": world.ids["Customer"], "idempotencyKey": "one",
        }  # fmt: skip
        for _ in range(2):
            found = await ask(api, world, TEST, id=world.ids["Campaign"], input=given)
            assert (found["state"], found["errors"]) == ("SENT", [])
        ((_, to),) = sink.accepted
        assert to.lower() == "me@example.com"
        (data,) = sink.messages
        assert b"=?utf-8?b?W+a1i+ivlV0g" in data  # [测试]
        assert b"/unsubscribe/" in data
        answer = await api(
            world.token, TEST, id=world.ids["Campaign"], input=given | {"to": "b@example.com"}
        )
        error = answer["data"]["campaignTestSend"]["errors"][0]
        assert error["code"] == "IDEMPOTENCY_KEY_REUSED"
    async with world.merchant.read() as session:
        data = await session.sql.fetchval(
            "SELECT data FROM audit_log WHERE merchant_id = $1 AND action = 'campaign.tested'",
            world.merchant.id,
        )
    assert await deliveries() == before
    assert "example.com" not in data


async def test_tests_are_refused_and_limited(api, world):
    async with smtp_sink() as sink:
        await enable_email(world.merchant, sink.port)
        campaign = await journey(world, only=[{"subject": "{{ order.number }}", "html": "x"}])

        async def send(key, **more):
            given = {"to": "me@example.com", "customerId": world.ids["Customer"]} | more
            given["idempotencyKey"] = str(key)
            return await ask(api, world, TEST, id=campaign, input=given)

        found = await send("no order")
        assert "order.number has no value" in found["errors"][0]["message"]
        assert (await send("bad", to="nobody"))["errors"][0]["path"] == ["input", "to"]
        async with world.merchant.work() as w:
            index = w.keyring.blind_index("email", w.merchant_id, "gone@example.com")
            await w.sql.execute(
                """INSERT INTO suppressions (merchant_id, channel, address_index, reason, at)
                   VALUES ($1, 'email', $2, 'complaint', $3)""",
                w.merchant_id, index, w.now,
            )  # fmt: skip
        assert (await send("gone", to="gone@example.com"))["errors"][0]["path"] == ["input", "to"]
        assert (await send("one", orderId=world.ids["Order"]))["state"] == "SENT"
        async with world.merchant.work() as w:
            await w.sql.execute(
                """INSERT INTO idempotency_keys
                       (merchant_id, operation, key, input_hash, created_at)
                   SELECT $1, 'campaignTestSend', 'n' || n, '\\x00', $2
                   FROM generate_series(1, $3) n""",
                w.merchant_id, w.now, PER_HOUR,
            )  # fmt: skip
        found = await send("two", orderId=world.ids["Order"])
        assert found["errors"][0]["code"] == "TOO_MANY_TESTS"
        assert len(sink.accepted) == 1


HTML = """<a href="javascript:x()">a</a><a>b</a><a href="https://u:p@x.cn">c</a>
<a href="https://c.cn/{{ customer.name }}">d</a><a href="mailto:a@b.cn">e</a>
<img src="/logo.png"><img src="https://a.cn/1.png" alt="" width="9">"""


async def test_a_campaign_is_checked_and_does_not_start_with_errors(api, world):
    update = """mutation ($id: ID!, $input: CampaignUpdateInput!) {
      campaignUpdate(id: $id, input: $input) { errors { message } } }"""
    given = {"content": content("s", HTML)}
    assert (await ask(api, world, update, id=world.ids["Campaign"], input=given))["errors"] == []
    found = await ask(api, world, CHECK, id=world.ids["Campaign"])
    assert not found["ready"]
    told = {(one["level"], one["message"].split(":")[0][:40]) for one in found["findings"]}
    assert told == {
        ("ERROR", "the link 'javascript"),
        ("ERROR", "the link '' has no address"),
        ("ERROR", "the link 'https"),
        ("ERROR", "the picture '/logo.png' needs an address"[:40]),
        ("WARNING", "the picture '/logo.png' has no alt text "[:40]),
        ("WARNING", "the picture '/logo.png' has no width"),
        ("WARNING", "it is pictures with hardly any text"),
        ("WARNING", "a marketing message needs a link to unsu"[:40]),
    }
    started = await ask(api, world, START, id=world.ids["Campaign"])
    assert started["run"] is None
    assert len(started["errors"]) == 4
    given = {"content": content("s", '<a href="{{ unsubscribe_url }}">x</a>')}
    await ask(api, world, update, id=world.ids["Campaign"], input=given)
    found = await ask(api, world, CHECK, id=world.ids["Campaign"])
    assert found == {"ready": True, "findings": [], "errors": []}
    assert (await ask(api, world, START, id=world.ids["Campaign"]))["run"]


@pytest.mark.parametrize("sample", [0, 201])
async def test_a_measure_has_bounds(api, world, sample):
    query = """query ($m: MessageInput!, $n: Int!) { messageMeasure(message: $m, sample: $n) {
      customers failed length { least most } parts { least } problems errors { path } } }"""
    found = await ask(api, world, query, m=letter("s"), n=sample)
    assert found["errors"][0]["path"] == ["sample"]
    found = await ask(api, world, query, m=letter("{{ customer.city }}"), n=5)
    assert (found["customers"], found["failed"], found["length"]) == (1, 1, None)
    found = await ask(api, world, query, m=letter("s", "é" * 10), n=5)
    assert found["length"]["most"] == 20
    assert found["parts"] is None


async def test_a_dry_run_tells_what_the_messages_cost(api, world):
    """Two customers, of whom one has a phone, and a text of one part or of three."""
    create = """mutation ($input: CampaignCreateInput!) { campaignCreate(input: $input) {
      campaign { id } errors { message path } } }"""
    dry_run = """query ($id: ID!) { campaign(id: $id) { preview(sample: 0) {
      wouldSend cost { least { amount currency } most { amount currency } } } } }"""

    async def cost_of(text, messages):
        given = {
            "name": f"{text[:20]} {messages}", "channel": "sms", "messageClass": "SERVICE",
            "segmentId": world.ids["Segment"], "content": [{"field": "text", "text": text}],
        }  # fmt: skip
        made = await ask(api, world, create, input=given)
        assert made["errors"] == []
        found = await ask(api, world, dry_run, id=made["campaign"]["id"])
        assert found["preview"]["wouldSend"] == messages
        return found["preview"]["cost"]

    assert await cost_of("你好", 1) is None  # the provider's price is not known
    prices = {"providers": [{"kind": "sandbox", "prices": {"CN": "60"}}], "signature": "小店"}
    async with world.merchant.work() as w:
        await _store(w, "sms", True, prices)
    for text, cost in (("好", "60"), ("好" * 70, "120")):
        amount = {"amount": cost, "currency": "CNY"}
        assert await cost_of(text, 1) == {"least": amount, "most": amount}
    change = """mutation ($id: ID!, $input: CustomerUpdateInput!) {
      customerUpdate(id: $id, input: $input) { errors { code } } }"""
    second = {"phone": "13812345678", "name": "名" * 70}
    await ask(api, world, change, id=world.ids["Second"], input=second)
    found = await cost_of("{{ customer.name }}", 2)
    assert [found[end]["amount"] for end in ("least", "most")] == ["120", "240"]
