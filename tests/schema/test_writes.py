"""What writes do beyond the happy path: idempotency, absent and null, errors with their paths."""

import asyncio

import orjson
import pytest

START = """mutation ($id: ID!, $key: String!) {
  campaignStart(id: $id, input: {idempotencyKey: $key}) {
  run { id } errors { code message path retryable } } }"""
UPDATE = """mutation ($id: ID!, $input: CustomerUpdateInput!) {
  customerUpdate(id: $id, input: $input) {
  customer { name province city email { value } } errors { code path } } }"""
UPSERT = """mutation ($input: OrdersUpsertInput!) { ordersUpsert(input: $input) {
  results { externalId outcome } errors { code path message } } }"""


async def test_a_repeated_start_gives_the_first_run(api, world):
    async def start(campaign, key):
        found = await api.data(world.token, START, id=world.ids[campaign], key=key)
        return found["campaignStart"]

    answers = await asyncio.gather(*(start("Campaign", "k") for _ in range(4)))
    assert all(answer["errors"] == [] for answer in answers), answers
    assert len({answer["run"]["id"] for answer in answers}) == 1
    reused = await start("Sent", "k")
    assert reused["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert reused["errors"][0]["path"] == ["input", "idempotencyKey"]
    again = await start("Campaign", "other")
    assert again["errors"][0]["code"] == "WRONG_STATE"
    # a refused start leaves its key free
    assert (await start("Campaign", "other"))["errors"][0]["code"] == "WRONG_STATE"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"name": "张三", "province": "浙江省", "email": {"value": "ann@example.com"}}),
        ({"province": None},
         {"name": "张三", "province": None, "email": {"value": "ann@example.com"}}),
        ({"email": None}, {"name": "张三", "province": "浙江省", "email": None}),
        ({"name": "A", "email": "B@Example.com"},
         {"name": "A", "province": "浙江省", "email": {"value": "b@example.com"}}),
    ],
)  # fmt: skip
async def test_absent_keeps_and_null_clears(api, world, given, expected):
    answer = await api.data(world.token, UPDATE, id=world.ids["Customer"], input=given)
    assert answer["customerUpdate"]["errors"] == []
    found = answer["customerUpdate"]["customer"]
    assert {key: found[key] for key in expected} == expected


async def test_all_that_is_wrong_with_an_update_is_told_at_once(api, world):
    wrong = {"name": "", "birthday": "2999-01-01", "country": "China", "email": "a@",
             "phone": "138****0000"}  # fmt: skip
    answer = await api.data(world.token, UPDATE, id=world.ids["Customer"], input=wrong)
    assert answer["customerUpdate"]["customer"] is None
    assert {(error["code"], *error["path"]) for error in answer["customerUpdate"]["errors"]} == {
        ("INVALID_INPUT", "input", field) for field in wrong
    }
    # without contact data the update shares a transaction with others
    del wrong["phone"], wrong["email"]
    answer = await api.data(world.token, UPDATE, id=world.ids["Customer"], input=wrong)
    assert len(answer["customerUpdate"]["errors"]) == 3


@pytest.mark.parametrize(
    "phone", ["13800138001", "+86 138-0013-8001", "（86）１３８００１３８００１"]
)
async def test_a_phone_number_may_be_written_in_many_ways(api, world, phone):
    query = UPDATE.replace("email {", "phone {")
    answer = await api.data(world.token, query, id=world.ids["Customer"], input={"phone": phone})
    assert answer["customerUpdate"]["customer"]["phone"] == {"value": "+8613800138001"}


async def test_a_phone_number_is_text(api, world):
    answer = await api(world.token, UPDATE, id=world.ids["Customer"], input={"phone": 13800138001})
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert 'write it as text, such as "+8613800138000"' in error["message"]
    assert "at .phone" in error["message"]


async def test_names_in_json_are_told_as_they_were_given(api, world):
    answer = await api.data(
        world.token,
        """mutation ($input: RecipeSwitchOnInput!) {
          recipeSwitchOn(input: $input) { errors { message path } } }""",
        input={
            "recipe": "usage_tutorial", "idempotencyKey": "r",
            "parameters": {"productIds": ["1"], "product": "x", "link": "https://x.example"},
        },
    )  # fmt: skip
    missing, extra = answer["recipeSwitchOn"]["errors"]
    assert missing["path"] == ["input", "parameters", "product_ids"]
    assert extra["path"] == ["input", "parameters", "productIds"]
    assert "there is no parameter 'productIds'; there are channel, hours, link" in extra["message"]


def order(**changes):
    return {
        "externalId": "U1", "state": "COMPLETED", "currency": "CNY", "total": "10.00",
        "paid": "10.00", "orderedAt": "2026-06-01T10:00:00+08:00", **changes,
    }  # fmt: skip


async def upsert(api, world, orders):
    values = {"shopId": world.ids["Shop"], "orders": orders}
    return (await api.data(world.token, UPSERT, input=values))["ordersUpsert"]


async def test_upsert_is_idempotent(api, world):
    orders = [order(), order(externalId="U2")]
    first = await upsert(api, world, orders)
    assert [one["outcome"] for one in first["results"]] == ["CREATED", "CREATED"]
    second = await upsert(api, world, orders)
    assert [one["outcome"] for one in second["results"]] == ["UNCHANGED", "UNCHANGED"]


async def test_every_fault_of_a_batch_is_told_at_once(api, world):
    orders = [
        order(), order(externalId=" "), order(total="1.005"), order(paid="-1"),
        order(currency="yuan"), order(lines=[{"externalId": "1", "title": "x", "quantity": 0}]),
    ]  # fmt: skip
    found = await upsert(api, world, orders)
    assert found["results"] is None
    assert [error["path"] for error in found["errors"]] == [
        ["input", "orders", "1", "externalId"],
        ["input", "orders", "2", "total"],
        ["input", "orders", "3", "paid"],
        ["input", "orders", "4", "currency"],
        ["input", "orders", "5", "lines", "0", "quantity"],
    ]
    page = await api.data(
        world.token, '{ orders(where: {externalId: {eq: "U1"}}) { nodes { id } } }'
    )
    assert page["orders"]["nodes"] == []


async def test_a_batch_is_bounded(api, world):
    found = await upsert(api, world, [order()] * 501)
    assert found["errors"][0]["message"] == "at most 500 orders at once"


async def test_nobody_gives_away_more_rights_than_their_own(api, world):
    token = await world.limited("TOKENS_WRITE")
    query = """mutation { tokenCreate(input: {name: "x", permissions: [PII_PHONE]}) {
        secret errors { code } } }"""
    answer = await api(token, query)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_revoked_token_ends_at_once(api, world):
    query = """mutation { tokenCreate(input: {name: "x", permissions: [SHOPS_READ]}) {
        token { id } secret } }"""
    made = (await api.data(world.token, query))["tokenCreate"]
    assert (await api.data(made["secret"], "{ merchant { name } }"))["merchant"]
    revoke = "mutation ($id: ID!) { tokenRevoke(id: $id) { token { revokedAt } } }"
    await api.data(world.token, revoke, id=made["token"]["id"])
    answer = await api(made["secret"], "{ merchant { name } }")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ({"province": {"anyOf": ["浙江省"]}}, None),
        ({"hasPhone": True}, None),
        ({"hasPhone": False}, {"not": {"hasPhone": True}}),
        (
            {"any": [{"orderSum": {"currency": "CNY", "atLeast": "99.5"}}, {"not": {"all": []}}]},
            None,
        ),
        ({"orderCount": {"atLeast": 2, "orders": {"shopIds": ["SHOP"]}}}, None),
        (
            {
                "boughtThen": {
                    "first": {"productIds": ["A1"], "states": ["TO_SHIP"]},
                    "then": {"amount": {"currency": "CNY", "atMost": "9.5"}},
                }
            },
            None,
        ),
        ({"parcel": {"within": {"event": "FIRST_SEEN", "daysAfterAtMost": 9}}}, None),
    ],
)
async def test_a_stored_rule_reads_back_as_it_was_given(api, world, rule, shown):
    if "orderCount" in rule:
        shops = {"orders": {"shopIds": [world.ids["Shop"]]}}
        rule = {"orderCount": {**rule["orderCount"], **shops}}
    query = """mutation ($rule: SegmentRuleInput!) {
        segmentCreate(input: {name: "r", rule: $rule}) {
        segment { id rule preview { preview { count } } } errors { code message path } } }"""
    found = (await api.data(world.token, query, rule=rule))["segmentCreate"]
    assert found["errors"] == []
    assert found["segment"]["rule"] == (shown or rule)
    update = """mutation ($id: ID!, $rule: SegmentRuleInput!) {
        segmentUpdate(id: $id, input: {rule: $rule}) { segment { rule } errors { code } } }"""
    values = {"id": found["segment"]["id"], "rule": found["segment"]["rule"]}
    again = (await api.data(world.token, update, **values))["segmentUpdate"]
    assert again["segment"]["rule"] == found["segment"]["rule"]


async def test_a_rule_asks_one_thing_at_a_time(api, world):
    query = "query ($rule: SegmentRuleInput!) { segmentPreview(rule: $rule) { preview { count } } }"
    for rule in ({}, {"hasPhone": True, "hasEmail": True}, {"hasPhone": None}):
        answer = await api(world.token, query, rule=rule)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_rule_of_the_merchants_own_shop(api, world, stranger):
    query = """query ($shop: ID!) {
        segmentPreview(rule: {orderCount: {atLeast: 1, orders: {shopIds: [$shop]}}}) {
        preview { count } errors { code } } }"""
    own = (await api.data(world.token, query, shop=world.ids["Shop"]))["segmentPreview"]
    assert own == {"preview": {"count": 1}, "errors": []}
    other = (await api.data(world.token, query, shop="garbage"))["segmentPreview"]
    assert other == {"preview": None, "errors": [{"code": "INVALID_INPUT"}]}


async def test_uploaded_file_is_taken_in(api, world):
    from core.domain.orders.importing import OrderImport
    from core.schema.scalars import split_id
    from core.storage import jobs

    query = """mutation ($input: OrderImportStartInput!) { orderImportStart(input: $input) {
        job { id state } errors { code message path } } }"""
    columns = [{"field": f, "header": h} for f, h in (
        ("order_id", "No"), ("state", "State"), ("total", "Total"), ("paid", "Paid"),
        ("ordered_at", "At"))]  # fmt: skip
    values = {"shopId": world.ids["Shop"], "file": None, "columns": columns,
              "idempotencyKey": "i1"}  # fmt: skip
    body = {"query": query, "variables": {"input": values}}
    file = "No,State,Total,Paid,At\nF1,completed,5.00,5.00,2026-06-01 10:00:00\n"
    answer = await api.client.post(
        "/graphql",
        data={"operations": orjson.dumps(body).decode(), "map": '{"0": ["variables.input.file"]}'},
        files={"0": ("orders.csv", file.encode())},
        headers={"authorization": f"Bearer {world.token}"},
    )
    found = answer.json()["data"]["orderImportStart"]
    assert found["errors"] == [], found
    _, pk = split_id(found["job"]["id"])
    installation = world.merchant.installation
    job = await jobs.claim(installation.db, world.merchant.id, pk)
    await jobs.perform(installation.db, job, {"orders.import": OrderImport(installation.registry)})
    query = """query ($id: ID!) { job(id: $id) {
        state result error { message } rejects { nodes { message } } } }"""
    done = (await api.data(world.token, query, id=found["job"]["id"]))["job"]
    assert done["state"] == "SUCCEEDED", done
    assert done["result"]["created"] == 1, done


@pytest.mark.parametrize(
    ("mutation", "given"),
    [
        ("campaignSchedule", {"at": "2099-01-01T00:00:00+08:00"}),
        ("campaignRecurrenceSet", {"cron": "0 10 * * TUE"}),
    ],
)
async def test_a_time_is_set_for_the_campaign_that_was_seen(api, world, mutation, given):
    kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
    query = f"""mutation ($id: ID!, $input: {kind}) {{ {mutation}(id: $id, input: $input) {{
        campaign {{ version }} errors {{ code path }} }} }}"""

    async def ask(version):
        values = {"id": world.ids["Campaign"], "input": {**given, "ifVersion": version}}
        return (await api.data(world.token, query, **values))[mutation]

    late = await ask(7)
    assert late["errors"] == [{"code": "CONFLICT", "path": ["input", "ifVersion"]}]
    assert (await ask(1))["campaign"]["version"] == 2
    assert (await ask(1))["errors"][0]["code"] == "CONFLICT"
