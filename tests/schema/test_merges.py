"""Merging over the API: preview, merge, what becomes of old ids, undoing, suggestions."""

from core.domain.campaigns.links import unsubscribe_token
from core.schema.scalars import global_id, read_id

MERGE = """mutation ($id: ID!, $from: ID!, $key: String! = "k", $reason: String! = "same person") {
  customerMerge(id: $id, input: {from: $from, reason: $reason, evidence: {call: 7},
                                 idempotencyKey: $key}) {
    customer { id merges { nodes { id mergedId reason evidence filled actor undoneAt } } }
    merge { id }
    errors { code message path ... on CustomerError { customerId } } } }"""

UNMERGE = """mutation ($id: ID!, $key: String! = "u") {
  customerUnmerge(id: $id, input: {idempotencyKey: $key}) {
    customer { id } restored { id name } merge { undoneAt undoneBy } errors { code path } } }"""

PREVIEW = """query ($id: ID!, $other: ID!) { customerMergePreview(id: $id, other: $other) {
    preview { customer { id } other { id } counts { name moved leftOut }
              fields { name kept conflict } phone { value redacted } consents { channel status }
              lostConsents { channel } warnings { code message } }
    errors { code path } } }"""

ADD = """mutation ($id: ID!, $input: CustomerIdentityAddInput!) {
  customerIdentityAdd(id: $id, input: $input) {
    customer { identities { id kind value scope shopId source createdAt } }
    errors { code path ... on CustomerError { customerId } } } }"""


async def merge(api, world, into="Second", from_="Customer", **more):
    values = {"id": world.ids[into], "from": world.ids[from_]} | more
    return (await api.data(world.token, MERGE, **values))["customerMerge"]


async def test_a_merge_and_what_becomes_of_the_old_id(api, world):
    found = await merge(api, world)
    assert found["errors"] == []
    last = found["customer"]["merges"]["nodes"][0]
    assert (last["mergedId"], last["evidence"]) == (world.ids["Customer"], {"call": 7})
    assert last["filled"] == ["email", "phone", "province"]
    query = "query ($id: ID!) { customer(id: $id) { id } node(id: $id) { id } }"
    old = await api.data(world.token, query, id=world.ids["Customer"])
    assert old == {"customer": {"id": world.ids["Second"]}, "node": {"id": world.ids["Second"]}}
    update = """mutation ($id: ID!) { customerTagsAdd(id: $id, input: {tags: ["x"]}) {
        customer { id } errors { code message path ... on CustomerError { customerId } } } }"""
    (error,) = (await api.data(world.token, update, id=world.ids["Customer"]))["customerTagsAdd"][
        "errors"
    ]
    assert (error["code"], error["path"]) == ("CUSTOMER_MERGED", ["id"])
    assert error["customerId"] == world.ids["Second"]


async def test_a_repeated_call_merges_once(api, world):
    first, again = await merge(api, world), await merge(api, world)
    assert first["merge"] == again["merge"]
    other = await merge(api, world, reason="another reason")
    assert other["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    refused = await merge(api, world, key="k2")
    assert refused["errors"][0]["code"] == "CUSTOMER_MERGED"
    assert refused["errors"][0]["path"] == ["input", "from"]


async def test_undoing_by_the_merges_id(api, world):
    made = await merge(api, world)
    found = (await api.data(world.token, UNMERGE, id=made["merge"]["id"]))["customerUnmerge"]
    assert found["errors"] == []
    assert found["restored"] == {"id": world.ids["Customer"], "name": "张三"}
    assert found["customer"] == {"id": world.ids["Second"]}
    assert found["merge"]["undoneBy"].startswith("token:")
    again = (await api.data(world.token, UNMERGE, id=made["merge"]["id"]))["customerUnmerge"]
    assert again == found
    other = await api.data(world.token, UNMERGE, id=made["merge"]["id"], key="u2")
    assert other["customerUnmerge"]["errors"] == [{"code": "WRONG_STATE", "path": ["id"]}]
    query = "query ($id: ID!) { customer(id: $id) { merges { nodes { id } count { value } } } }"
    for name in ("Customer", "Second"):
        seen = (await api.data(world.token, query, id=world.ids[name]))["customer"]["merges"]
        assert made["merge"]["id"] in [node["id"] for node in seen["nodes"]]
        assert seen["count"]["value"] == len(seen["nodes"])


async def test_a_preview_says_what_would_happen(api, world):
    consent = """mutation ($id: ID!) { customerConsentSet(id: $id, input: {channel: "email",
        status: GRANTED, source: "form"}) { errors { code } } }"""
    await api.data(world.token, consent, id=world.ids["Second"])
    values = {"id": world.ids["Second"], "other": world.ids["Customer"]}
    found = (await api.data(world.token, PREVIEW, **values))["customerMergePreview"]["preview"]
    assert {c["name"]: (c["moved"], c["leftOut"]) for c in found["counts"]}["orders"] == (1, 0)
    fields = {f["name"]: (f["kept"], f["conflict"]) for f in found["fields"]}
    assert fields["name"] == ("ID", True)
    assert fields["phone"] == ("OTHER", False)
    assert found["phone"] == {"value": "+8613812341234", "redacted": False}
    # the consent was given without an address: it does not hold for the other's
    assert (found["consents"], found["lostConsents"]) == ([], [{"channel": "email"}])
    assert [w["code"] for w in found["warnings"]] == ["consent_narrowed"]
    assert (await merge(api, world))["errors"] == []
    query = "query ($id: ID!) { customer(id: $id) { consents { status } } }"
    after = await api.data(world.token, query, id=world.ids["Second"])
    assert after == {"customer": {"consents": []}}
    gone = (await api.data(world.token, PREVIEW, **values))["customerMergePreview"]
    assert gone["errors"][0]["code"] == "CUSTOMER_MERGED"
    same = {"id": world.ids["Second"], "other": world.ids["Second"]}
    found = (await api.data(world.token, PREVIEW, **same))["customerMergePreview"]
    assert found["errors"] == [{"code": "INVALID_INPUT", "path": ["other"]}]


async def test_ids_added_by_staff(api, world):
    given = {"scope": "SHOP", "shopId": world.ids["Shop"], "kind": "nick", "value": "n1"}
    taken = await api.data(world.token, ADD, id=world.ids["Second"], input=given)
    assert taken["customerIdentityAdd"]["errors"] == [
        {"code": "IDENTITY_TAKEN", "path": ["input", "value"], "customerId": world.ids["Customer"]}
    ]
    own = await api.data(world.token, ADD, id=world.ids["Customer"], input=given)
    assert own["customerIdentityAdd"]["errors"] == []
    app = {"scope": "APP", "appKey": "key", "kind": "buyer_open_uid", "value": "u"}
    found = await api.data(world.token, ADD, id=world.ids["Second"], input=app)
    (identity,) = found["customerIdentityAdd"]["customer"]["identities"]
    assert (identity["scope"], identity["source"]) == ("app", "staff")
    remove = """mutation ($id: ID!, $identity: ID!) {
        customerIdentityRemove(id: $id, input: {identity: $identity}) {
        customer { identities { id } } errors { code path } } }"""
    values = {"id": world.ids["Second"], "identity": identity["id"]}
    gone = (await api.data(world.token, remove, **values))["customerIdentityRemove"]
    assert gone["customer"]["identities"] == []
    again = (await api.data(world.token, remove, **values))["customerIdentityRemove"]
    assert again["errors"] == [{"code": "NOT_FOUND", "path": ["input", "identity"]}]


def given_shop(world):
    return {"scope": "SHOP", "shopId": world.ids["Shop"]}


async def test_ids_that_are_refused(api, world, stranger):
    shop = given_shop(world)
    for given, code, path in (
        ({**shop, "kind": "oaid", "value": "v"}, "INVALID_INPUT", "kind"),
        ({**shop, "kind": "nick", "value": "张**"}, "INVALID_INPUT", "value"),
        ({"scope": "SHOP", "kind": "nick", "value": "v"}, "INVALID_INPUT", "shopId"),
        ({**shop, "appKey": "k", "kind": "nick", "value": "v"}, "INVALID_INPUT", "appKey"),
        ({"scope": "MERCHANT", "kind": "phone", "value": "1"}, "INVALID_INPUT", "kind"),
        ({"scope": "MERCHANT", "kind": " ", "value": "1"}, "INVALID_INPUT", "kind"),
        ({**given_shop(stranger), "kind": "n", "value": "v"}, "NOT_FOUND", "shopId"),
    ):  # fmt: skip
        found = await api.data(world.token, ADD, id=world.ids["Customer"], input=given)
        errors = [{"code": code, "path": ["input", path]}]
        assert found["customerIdentityAdd"]["errors"] == errors, given


async def test_a_suggestion_of_a_merged_customer_waits(api, world):
    query = """{ mergeSuggestions(where: {state: {eq: OPEN}}) {
        nodes { id first { id } second { id } reasons { code } } } }"""
    (found,) = (await api.data(world.token, query))["mergeSuggestions"]["nodes"]
    assert (found["first"]["id"], found["second"]["id"]) == (
        world.ids["Customer"], world.ids["Second"],
    )  # fmt: skip
    accept = """mutation ($id: ID!, $keep: ID) {
        mergeSuggestionAccept(id: $id, input: {idempotencyKey: "a", keep: $keep}) {
        suggestion { state } merge { id customer { id } } errors { code path } } }"""
    wrong = await api.data(world.token, accept, id=found["id"], keep=global_id("Customer", 1))
    assert wrong["mergeSuggestionAccept"]["errors"] == [
        {"code": "INVALID_INPUT", "path": ["input", "keep"]}
    ]
    done = await api.data(world.token, accept, id=found["id"], keep=world.ids["Second"])
    done = done["mergeSuggestionAccept"]
    assert done["suggestion"] == {"state": "ACCEPTED"}
    assert done["merge"]["customer"] == {"id": world.ids["Second"]}
    await api.data(world.token, UNMERGE, id=done["merge"]["id"])
    rejected = """{ mergeSuggestions(where: {state: {eq: REJECTED}}) { nodes { id } } }"""
    (left,) = (await api.data(world.token, rejected))["mergeSuggestions"]["nodes"]
    assert left["id"] == found["id"]


async def test_an_unsubscribe_link_of_a_merged_customer_still_works(api, world):
    keyring = world.merchant.installation.db.keyring
    pk = read_id("Customer", world.ids["Customer"])
    link = f"/unsubscribe/{unsubscribe_token(keyring, world.merchant.id, pk, 'email')}"
    made = await merge(api, world)
    assert (await api.client.post(link)).status_code == 200
    query = "query ($id: ID!) { customer(id: $id) { consents { channel status } } }"
    refused = {"customer": {"consents": [{"channel": "email", "status": "DENIED"}]}}
    assert await api.data(world.token, query, id=world.ids["Second"]) == refused
    await api.data(world.token, UNMERGE, id=made["merge"]["id"])
    for name in ("Customer", "Second"):
        assert await api.data(world.token, query, id=world.ids[name]) == refused


async def test_merging_needs_its_own_permission(api, world):
    token = await world.limited(
        "CUSTOMERS_READ", "CUSTOMERS_WRITE", "PII_PHONE", "PII_EMAIL", "PII_NAME"
    )
    values = {"id": world.ids["Second"], "from": world.ids["Customer"]}
    answer = await api(token, MERGE, **values)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    masked = await world.limited("CUSTOMERS_READ")
    preview = {"id": world.ids["Second"], "other": world.ids["Customer"]}
    found = (await api.data(masked, PREVIEW, **preview))["customerMergePreview"]["preview"]
    assert found["phone"] == {"value": "138****1234", "redacted": True}


async def test_another_merchants_customer_is_not_found(api, world, stranger):
    for ids in (
        {"id": world.ids["Second"], "from": stranger.ids["Customer"]},
        {"id": stranger.ids["Second"], "from": world.ids["Customer"]},
    ):
        found = (await api.data(world.token, MERGE, **ids))["customerMerge"]
        assert found["errors"][0]["code"] == "NOT_FOUND"
    found = await api.data(world.token, UNMERGE, id=stranger.ids["CustomerMerge"])
    assert found["customerUnmerge"]["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]
