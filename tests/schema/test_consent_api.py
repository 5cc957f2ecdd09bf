"""Consent and suppressions over GraphQL."""

from datetime import timedelta

import pytest

from core.domain.customers.consent import set_consent, unsubscribe
from core.domain.customers.suppressions import address_index
from core.schema.scalars import global_id, split_id

CONSENTS = """query ($id: ID!, $shop: ID, $channel: String) { customer(id: $id) {
    consents(shopId: $shop, channel: $channel) { channel purpose status shopId } } }"""
HISTORY = """query ($id: ID!, $first: Int!, $after: String) { customer(id: $id) {
    consentHistory(first: $first, after: $after) {
        nodes { status source actor text textVersion evidence evidenceRedacted }
        pageInfo { hasNextPage endCursor } count { value } } } }"""
SET = """mutation ($id: ID!, $input: CustomerConsentSetInput!) {
    customerConsentSet(id: $id, input: $input) { customer { id } errors { code path } } }"""
SET_MANY = """mutation ($input: CustomersConsentSetInput!) {
    customersConsentSet(input: $input) { changed errors { code path } } }"""
IMPORT = """mutation ($input: SuppressionsImportInput!) { suppressionsImport(input: $input) {
    result { added present invalid invalidAt } errors { code path } } }"""
LIST = """query ($address: String, $where: SuppressionWhere) {
    suppressions(address: $address, where: $where) {
        nodes { id channel shopId hashPrefix reason } count { value } } }"""
REMOVE = """mutation ($id: ID!, $input: SuppressionRemoveInput!) {
    suppressionRemove(id: $id, input: $input) { removedId errors { code path } } }"""
POLICY = """mutation ($input: ConsentPolicySetInput!) {
    consentPolicySet(input: $input) { policy { allowUnproven actor } errors { code path } } }"""
POLICIES = """query ($current: Boolean, $channel: String!) {
    consentPolicies(current: $current, where: {channel: {eq: $channel}}) {
        nodes { allowUnproven reason validTo } } }"""


def pk(world):
    return split_id(world.ids["Customer"])[1]


async def say(world, status, shop_id=0, channel="email", **more):
    world.merchant.clock.move(timedelta(seconds=1))
    async with world.merchant.work() as w:
        await set_consent(
            w, pk(world), channel, "marketing", status, "form", shop_id=shop_id, **more
        )


async def test_consents_are_states_or_what_counts_in_a_shop(api, world):
    shop, other = world.merchant.shop_id, global_id("Shop", world.merchant.shop_id + 1_000_000)
    await say(world, "granted")
    await say(world, "denied", shop)
    await say(world, "unproven", channel="sms")

    async def ask(**variables):
        answer = await api.data(world.token, CONSENTS, id=world.ids["Customer"], **variables)
        return [(c["channel"], c["status"], c["shopId"]) for c in answer["customer"]["consents"]]

    assert await ask() == [
        ("email", "GRANTED", None), ("email", "DENIED", world.ids["Shop"]),
        ("sms", "UNPROVEN", None),
    ]  # fmt: skip
    here = [("email", "DENIED", world.ids["Shop"]), ("sms", "UNPROVEN", None)]
    assert await ask(shop=world.ids["Shop"]) == here
    assert await ask(shop=world.ids["Shop"], channel="sms") == here[1:]
    elsewhere = [("email", "GRANTED", None), ("sms", "UNPROVEN", None)]
    assert await ask(shop=other) == await ask(shop=global_id("Shop", 10**9)) == elsewhere
    await say(world, "granted")
    assert await ask(shop=world.ids["Shop"]) == elsewhere


async def test_the_history_shows_its_evidence_to_who_may_see_contact_data(api, world):
    await say(world, "granted", evidence={"ip": "192.0.2.1"}, text="yes", text_version="3")
    await say(world, "denied")
    args = {"id": world.ids["Customer"], "first": 1}
    first = (await api.data(world.token, HISTORY, **args))["customer"]["consentHistory"]
    assert first["count"] == {"value": 2}
    assert first["nodes"][0]["status"] == "DENIED"
    cursor = first["pageInfo"]["endCursor"]
    second = await api.data(world.token, HISTORY, **args, after=cursor)
    assert second["customer"]["consentHistory"]["nodes"] == [
        {"status": "GRANTED", "source": "form", "actor": "system", "text": "yes",
         "textVersion": "3", "evidence": {"ip": "192.0.2.1"}, "evidenceRedacted": False}
    ]  # fmt: skip
    token = await world.limited("CUSTOMERS_READ")
    masked = await api.data(token, HISTORY, id=world.ids["Customer"], first=2)
    nodes = masked["customer"]["consentHistory"]["nodes"]
    assert [(n["evidence"], n["evidenceRedacted"]) for n in nodes] == [(None, False), (None, True)]


async def test_setting_for_a_shop_names_token_text_and_version(api, world, stranger):
    given = {"channel": "email", "status": "GRANTED", "source": "counter", "text": "我同意",
             "textVersion": "1", "shopId": world.ids["Shop"], "evidence": {"paper": 7}}  # fmt: skip
    answer = await api.data(world.token, SET, id=world.ids["Customer"], input=given)
    assert answer["customerConsentSet"]["errors"] == []
    shown = await api.data(world.token, HISTORY, id=world.ids["Customer"], first=1)
    (node,) = shown["customer"]["consentHistory"]["nodes"]
    assert node["actor"].startswith("token:")
    assert (node["text"], node["textVersion"], node["evidence"]) == ("我同意", "1", {"paper": 7})
    given["shopId"] = stranger.ids["Shop"]
    answer = await api.data(world.token, SET, id=world.ids["Customer"], input=given)
    assert answer["customerConsentSet"]["errors"] == [
        {"code": "NOT_FOUND", "path": ["input", "shopId"]}
    ]


async def many(world, count):
    async with world.merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               SELECT $1, 'x', 1, $3, $3 FROM generate_series(1, $2) RETURNING id""",
            w.merchant_id, count, w.now,
        )  # fmt: skip
    return [global_id("Customer", row["id"]) for row in rows]


async def test_many_customers_get_one_word_or_none_does(api, world, stranger):
    ids = await many(world, 499)
    ref = {"platform": "taobao", "kind": "nick", "id": "n1"}
    word = {"channel": "email", "status": "GRANTED", "source": "fair", "evidence": {"list": "A"}}

    async def set_many(**more):
        answer = await api.data(world.token, SET_MANY, input={**word, **more})
        return answer["customersConsentSet"]

    assert await set_many(ids=ids, externalRefs=[ref]) == {"changed": 500, "errors": []}
    assert await set_many(ids=ids[:2], externalRefs=[ref]) == {"changed": 0, "errors": []}
    assert await set_many(ids=[ids[0], ids[0]], status="DENIED") == {"changed": 1, "errors": []}
    wrong = await set_many(
        ids=[stranger.ids["Customer"], ids[1], "x"], externalRefs=[ref | {"id": "nobody"}],
        status="DENIED",
    )  # fmt: skip
    assert wrong["changed"] is None
    assert [error["path"] for error in wrong["errors"]] == [
        ["input", "ids", "0"], ["input", "ids", "2"], ["input", "externalRefs", "0"],
    ]  # fmt: skip
    for more in ({}, {"ids": ids, "externalRefs": [ref, ref]}):
        assert (await set_many(**more))["errors"][0]["code"] == "INVALID_INPUT"
    assert (await set_many(ids=ids[:1], evidence=[1]))["errors"][0]["path"] == ["input", "evidence"]
    async with world.merchant.read() as session:
        counted = await session.sql.fetch(
            """SELECT status, count(*) AS n FROM consents WHERE merchant_id = $1
               GROUP BY status ORDER BY 1""",
            world.merchant.id,
        )
    assert [tuple(row) for row in counted] == [("denied", 1), ("granted", 499)]


async def test_a_list_of_suppressions_is_taken_in_and_found_by_address(api, world, stranger):
    given = {"channel": "email", "reason": "old system",
             "addresses": ["a@b.cn", "A@B.CN", "nothing", "138 0013 8000"]}  # fmt: skip
    answer = await api.data(world.token, IMPORT, input=given)
    assert answer["suppressionsImport"]["result"] == {
        "added": 2, "present": 1, "invalid": 1, "invalidAt": [2],
    }  # fmt: skip
    too_many = given | {"addresses": ["a@b.cn"] * 10_001}
    answer = await api.data(world.token, IMPORT, input=too_many)
    assert answer["suppressionsImport"]["errors"] == [
        {"code": "INVALID_INPUT", "path": ["input", "addresses"]}
    ]
    found = (await api.data(world.token, LIST, address="１３８００１３８０００"))["suppressions"]
    index = address_index(world.merchant.installation.db.keyring, world.merchant.id, "13800138000")
    assert [node["hashPrefix"] for node in found["nodes"]] == [index.hex()[:8]]
    assert found["count"] == {"value": 1}
    assert (await api.data(stranger.token, LIST, address="a@b.cn"))["suppressions"]["nodes"] == []
    assert (await api(world.token, LIST, address="x"))["errors"][0]["extensions"]["code"] == (
        "BAD_REQUEST"
    )
    for right, other in (("PII_PHONE", "a@b.cn"), ("PII_EMAIL", "13800138000")):
        token = await world.limited("CUSTOMERS_READ", right)  # nobody guesses addresses
        refused = (await api(token, LIST, address=other))["errors"][0]
        assert refused["extensions"]["code"] == "FORBIDDEN"
    by_reason = await api.data(world.token, LIST, where={"reason": {"eq": "old system"}})
    assert len(by_reason["suppressions"]["nodes"]) == 2


async def test_removing_needs_its_own_right_and_a_reason(api, world):
    args = {"id": world.ids["Suppression"], "input": {"reason": "asked by phone"}}
    token = await world.limited("CUSTOMERS_READ", "CUSTOMERS_WRITE", "CONSENT_EVIDENCE")
    refused = await api(token, REMOVE, **args)
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    empty = await api.data(world.token, REMOVE, id=args["id"], input={"reason": " "})
    assert empty["suppressionRemove"]["errors"][0]["path"] == ["input", "reason"]
    done = await api.data(world.token, REMOVE, **args)
    assert done["suppressionRemove"] == {"removedId": args["id"], "errors": []}
    async with world.merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT action, reason, actor FROM suppression_events WHERE merchant_id = $1",
            world.merchant.id,
        )
    assert row["action"] == "removed"
    assert row["reason"] == "asked by phone"
    assert row["actor"].startswith("token:")


async def test_decisions_about_unproven_consent_are_kept(api, world, stranger):
    for allow in (True, False):
        given = {"channel": "email", "allowUnproven": allow, "reason": f"because {allow}"}
        answer = await api.data(world.token, POLICY, input=given)
        assert answer["consentPolicySet"]["policy"]["allowUnproven"] is allow
        assert answer["consentPolicySet"]["policy"]["actor"].startswith("token:")
    kept = (await api.data(world.token, POLICIES, channel="email"))["consentPolicies"]["nodes"]
    assert [node["reason"] for node in kept] == ["because False", "because True"]
    assert [node["validTo"] is None for node in kept] == [True, False]
    current = await api.data(world.token, POLICIES, channel="email", current=True)
    assert [n["allowUnproven"] for n in current["consentPolicies"]["nodes"]] == [False]
    foreign = await api.data(stranger.token, POLICIES, channel="email")
    assert foreign["consentPolicies"]["nodes"] == []


async def test_the_facet_asks_what_counts_in_a_shop(api, world):
    query = "query ($rule: SegmentRuleInput!) { segmentPreview(rule: $rule) { preview { count } } }"
    shop = world.merchant.shop_id

    async def count(**more):
        rule = {"optedIn": {"channel": "email", **more}}
        answer = await api.data(world.token, query, rule=rule)
        return answer["segmentPreview"]["preview"]["count"]

    await say(world, "granted")
    assert (await count(), await count(shopId=world.ids["Shop"])) == (1, 1)
    await say(world, "denied", shop)
    assert (await count(), await count(shopId=world.ids["Shop"])) == (1, 0)
    world.merchant.clock.move(timedelta(seconds=1))
    async with world.merchant.work() as w:
        await unsubscribe(w, pk(world), "email", "link")
    assert (await count(), await count(shopId=world.ids["Shop"])) == (0, 0)
    await say(world, "granted", shop)
    assert (await count(), await count(shopId=world.ids["Shop"])) == (0, 1)


@pytest.mark.parametrize("kind", ["Suppression", "ConsentRequest"])
async def test_they_are_nodes(api, world, stranger, kind):
    query = "query ($id: ID!) { node(id: $id) { id __typename } }"
    found = await api.data(world.token, query, id=world.ids[kind])
    assert found["node"] == {"id": world.ids[kind], "__typename": kind}
    assert (await api.data(world.token, query, id=stranger.ids[kind]))["node"] is None
