"""Batches over the API: what becomes of the others when one record is wrong."""

import asyncio

import pytest

from core.schema.scalars import camel, global_id

AT = "2026-06-01T10:00:00+08:00"


def order(number, **more):
    return {"externalId": f"B{number}", "state": "COMPLETED", "currency": "CNY", "total": "5",
            "paid": "5", "orderedAt": AT, "buyerId": f"b{number}", **more}  # fmt: skip


def refund(number, **more):
    return {"externalId": f"R{number}", "orderExternalId": "B0", "state": "REQUESTED",
            "amount": "5", "requestedAt": AT, **more}  # fmt: skip


def review(number, **more):
    return {"externalId": f"V{number}", "orderExternalId": "B0", "at": AT, **more}


def parcel(number, **more):
    return {"orderExternalId": "B0", "trackingNumber": f"T{number}", **more}


def person(number, **more):
    return {"name": f"n{number}", "phone": f"1390000111{number}", **more}


BATCHES = {
    "orders": (order, {"total": "-1", "externalId": " "}, 2),
    "refunds": (refund, {"quantity": 0}, 1),
    "reviews": (review, {"stars": 9}, 1),
    "parcels": (parcel, {"trackingNumber": " "}, 1),
    "customers": (person, {"phone": "1390", "country": "XX", "birthday": "2999-01-01"}, 3),
}


async def upsert(api, world, name, records, **given):
    query = """mutation ($input: %sUpsertInput!) { answer: %sUpsert(input: $input) {
        results { outcome } errors { code path } } }""" % (name.capitalize(), name)  # noqa: UP031
    shop = {} if name == "customers" else {"shopId": world.ids["Shop"]}
    data = await api.data(world.token, query, input={name: records, **shop, **given})
    return data["answer"]


@pytest.mark.parametrize("name", BATCHES)
async def test_one_wrong_record_ends_the_batch_or_is_left_out(api, world, name):
    make, fault, faults = BATCHES[name]
    records = [make(0), make(1, **fault), make(2)]
    answer = await upsert(api, world, name, records)
    assert answer["results"] is None
    assert [error["path"][:3] for error in answer["errors"]] == [["input", name, "1"]] * faults
    assert await upsert(api, world, name, records, onError="ABORT") == answer
    kept = await upsert(api, world, name, records, onError="CONTINUE")
    assert kept["errors"] == answer["errors"]
    first, wrong, last = kept["results"]
    assert wrong is None
    assert first == last
    # nothing of the first two calls was done, so that both are new now
    assert first["outcome"] in ("CREATED", "WAITING")
    again = await upsert(api, world, name, records, onError="CONTINUE")
    assert again["results"][0]["outcome"] in ("UNCHANGED", "WAITING", "UPDATED")


async def test_a_batch_of_faults_only_is_told(api, world):
    answer = await upsert(api, world, "orders", [order(1, total="-1")], onError="CONTINUE")
    assert answer["results"] == [None]
    assert len(answer["errors"]) == 1


@pytest.mark.parametrize("policy", ["ABORT", "CONTINUE"])
async def test_too_many_are_refused_as_a_whole(api, world, policy):
    answer = await upsert(api, world, "parcels", [parcel(0)] * 501, onError=policy)
    assert answer["results"] is None
    assert [error["path"] for error in answer["errors"]] == [["input", "parcels"]]


SETS = {
    "customersTagsAdd": {"tags": ["vip"]},
    "customersTagsRemove": {"tags": ["vip"]},
    "customersConsentSet": {"channel": "email", "status": "GRANTED", "source": "form"},
    "segmentListAdd": {},
    "segmentListRemove": {},
}


@pytest.mark.parametrize("name", SETS)
async def test_customers_who_are_not_there_leave_out_themselves_or_all(api, world, name):
    head, of, about = "", "", {}
    if name.startswith("segment"):
        head, of, about = "$id: ID!, ", "id: $id, ", {"id": world.ids["List"]}
    query = """mutation (%s$input: %sInput!) { answer: %s(%sinput: $input) {
        changed errors { code path } } }""" % (  # noqa: UP031
        head, name[0].upper() + name[1:], name, of,
    )  # fmt: skip
    ids = [world.ids["Customer"], global_id("Customer", 10**9), world.ids["Second"], "?"]
    if name == "customersTagsRemove":
        put = {"tags": ["vip"], "ids": [ids[0], ids[2]]}
        await api.data(world.token, """mutation ($input: CustomersTagsAddInput!) {
            customersTagsAdd(input: $input) { changed } }""", input=put)  # fmt: skip
    if name == "segmentListRemove":
        await api.data(world.token, query.replace("Remove", "Add"),
                       input={"ids": [ids[0], ids[2]]}, **about)  # fmt: skip
    faults = [{"code": "NOT_FOUND", "path": ["input", "ids", place]} for place in ("1", "3")]

    async def ask(**more):
        given = {**SETS[name], **more}
        return (await api.data(world.token, query, input=given, **about))["answer"]

    assert await ask(ids=ids) == {"changed": None, "errors": faults}
    changed = 1 if name == "segmentListAdd" else 2  # one of them is on the list
    assert await ask(ids=ids, onError="CONTINUE") == {"changed": changed, "errors": faults}
    nobody = [ids[1], ids[3]]
    assert (await ask(ids=nobody, onError="CONTINUE"))["changed"] == 0


# -- versions ------------------------------------------------------------------------------------

UPDATES = {
    "shop-update": ("shop", "Shop", {"name": "other"}),
    "customer-update": ("customer", "Customer", {"city": "杭州市"}),
    "segment-update": ("segment", "Segment", {"description": "other"}),
    "campaign-update": ("campaign", "Campaign", {"name": "other"}),
    "customer-note-update": ("note", "CustomerNote", {"text": "other"}),
    "task-update": ("task", "Task", {"text": "other"}),
    "custom-field-update": ("customField", "Field", {"title": "other"}),
    "tier-update": ("tier", "Tier", {"name": "other"}),
    "reward-update": ("reward", "Reward", {"name": "other"}),
    "staff-update": ("staff", "Colleague", {"name": "other"}),
    "webhook-update": ("webhook", "Webhook", {"name": "other"}),
    "coupons-template-update": ("template", "CouponTemplate", {"name": "other"}),
    "packages-rule-update": ("rule", "PackagesRule", {"name": "other"}),
}


@pytest.mark.parametrize("name", UPDATES)
async def test_an_update_holds_for_the_version_that_was_seen(api, world, name):
    noun, kind, change = UPDATES[name]
    field = camel(name.replace("-", "_"))
    kinds = {"CustomerNote": "Note"}
    query = """mutation ($id: ID!, $input: %sInput!) { answer: %s(id: $id, input: $input) {
        %s { version } errors { code path } } }""" % (  # noqa: UP031
        field[0].upper() + field[1:], field, noun,
    )  # fmt: skip
    given = {"id": world.ids[kinds.get(kind, kind)]}

    async def update(**more):
        return (await api.data(world.token, query, input={**change, **more}, **given))["answer"]

    first = (await update())[noun]["version"]
    conflict = [{"code": "CONFLICT", "path": ["input", "ifVersion"]}]
    assert await update(ifVersion=first - 1) == {noun: None, "errors": conflict}
    change[next(iter(change))] += "!"
    assert (await update(ifVersion=first))[noun]["version"] == first + 1
    assert (await update(ifVersion=first))["errors"] == conflict


SETTINGS = {
    "sendingCapSet": ("cap { version }", {"hours": 24, "messages": 3}),
    "sendingHoursSet": ("hours { version }", {"quiet": [{"start": "22:00", "end": "08:00"}]}),
    "sendingRateSet": ("rate { version }", {"channel": "email", "messages": 60}),
    "consentPolicySet": ("policy { version }",
                         {"channel": "email", "allowUnproven": True, "reason": "on paper"}),
    "retentionRuleSet": ("rule { version }", {"days": 60}),
    "lifecycleThresholdsSet": ("lifecycle { version }",
                               {"active": 10, "silent": 20, "sleeping": 30, "reason": "why"}),
    "rfmThresholdsSet": ("rfm { version }", {"currency": "CNY"}),
    "attributionWindowSet": ("windows { version channel touch }",
                             {"channel": "sms", "touch": "CLICK", "hours": 48}),
    "optOutWordsSet": ("wordList { version }", {"words": ["别发了"]}),
    "reviewWordsSet": ("wordList { version }", {"words": ["掉色"]}),
    "staffOidcSet": ("oidc { version }",
                     {"issuer": "https://id.example.com", "clientId": "crm",
                      "redirectUris": ["https://crm.example.com/back"]}),
    "pluginEnable": ("plugin { version: settingsVersion }", {"settings": {}}),
    "packagesStockSet": ("insert { stock { version } }", {"warehouse": "north", "onHand": 5}),
}  # fmt: skip
NAMED = {"retentionRuleSet": "jobs", "pluginEnable": "taobao"}


async def set_one(api, world, field, **more):
    """The version that a setting has then, and the codes of the errors with their paths."""
    shown, given = SETTINGS[field]
    given = {**given, **more}
    if field == "packagesStockSet":
        given["insertId"] = world.ids["PackagesInsert"]
    name, values = ("", {}) if field not in NAMED else ("name: $name, ", {"name": NAMED[field]})
    head = "$name: String!, " if name else ""
    data = await api.data(
        world.token,
        f"""mutation ({head}$input: {field[0].upper()}{field[1:]}Input!) {{
            answer: {field}({name}input: $input) {{ {shown} errors {{ code path }} }} }}""",
        input=given, **values,
    )  # fmt: skip
    answer = data["answer"]
    errors = [(error["code"], error["path"]) for error in answer.pop("errors")]
    (found,) = answer.values()
    if found and field == "packagesStockSet":
        (found,) = found["stock"]
    if found and field == "attributionWindowSet":
        (found,) = [one for one in found if (one["channel"], one["touch"]) == ("sms", "CLICK")]
    return found and found["version"], errors


CONFLICT = [("CONFLICT", ["input", "ifVersion"])]


@pytest.mark.parametrize("field", SETTINGS)
async def test_a_setting_holds_for_the_version_that_was_seen(api, world, field):
    first, errors = await set_one(api, world, field)
    assert errors == []
    assert first >= 1
    assert await set_one(api, world, field, ifVersion=first - 1) == (None, CONFLICT)
    both = [set_one(api, world, field, ifVersion=first) for _ in range(2)]
    assert sorted(await asyncio.gather(*both), key=str) == [(first + 1, []), (None, CONFLICT)]
    assert await set_one(api, world, field) == (first + 2, [])


async def test_a_setting_that_was_taken_away_is_none(api, world):
    field = "sendingHoursSet"
    assert await set_one(api, world, field, ifVersion=0) == (1, [])
    assert await set_one(api, world, field, quiet=[], ifVersion=1) == (None, [])
    assert await set_one(api, world, field, ifVersion=1) == (None, CONFLICT)
    # its first version does not come again: who still shows that would overwrite this one
    assert await set_one(api, world, field, ifVersion=0) == (3, [])
    assert await set_one(api, world, field, ifVersion=1) == (None, CONFLICT)


async def test_a_role_has_a_version_too(api, world):
    await api.data(world.token, """mutation { roleCreate(input: {
        name: "packers", permissions: [ORDERS_READ]}) { role { version } } }""")  # fmt: skip
    query = """mutation ($input: RoleUpdateInput!) { roleUpdate(name: "packers", input: $input) {
        role { permissions version } errors { code path } } }"""

    async def update(permission, **more):
        given = {"permissions": [permission], **more}
        return (await api.data(world.token, query, input=given))["roleUpdate"]

    found = await update("SHOPS_READ", ifVersion=1)
    assert found == {"role": {"permissions": ["SHOPS_READ"], "version": 2}, "errors": []}
    conflict = [{"code": "CONFLICT", "path": ["input", "ifVersion"]}]
    assert await update("ORDERS_READ", ifVersion=1) == {"role": None, "errors": conflict}
    roles = (await api.data(world.token, "{ roles { name version } }"))["roles"]
    assert {"name": "packers", "version": 2} in roles


async def test_a_programme_has_a_version_too(api, world):
    query = """mutation ($input: ProgrammeSetInput!) { programmeSet(input: $input) {
        programme { version } errors { code path } } }"""
    given = {"name": "Club", "currency": "CNY", "rules": {}}

    async def set_(**more):
        data = await api.data(world.token, query, input={**given, **more})
        return data["programmeSet"]

    version = (await set_())["programme"]["version"]
    assert (await set_(ifVersion=version))["programme"]["version"] == version + 1
    assert [error["code"] for error in (await set_(ifVersion=0))["errors"]] == ["CONFLICT"]
