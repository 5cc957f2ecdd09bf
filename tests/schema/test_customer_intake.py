"""Customers of the merchant's own systems."""

from tests.schema import operations

UPSERT = operations.text("customers-upsert")


async def upsert(api, token, *customers, **more):
    answer = await api(token, UPSERT, input={"customers": list(customers), **more})
    assert "errors" not in answer, answer
    return answer["data"]["customersUpsert"]


def outcomes(payload):
    return [result["outcome"] for result in payload["results"]]


async def test_new_known_and_unchanged(api, merchant):
    card = {"refs": [{"kind": "card", "value": "M1"}], "phone": "137 0013 7000", "name": "王五"}
    first = await upsert(api, merchant.token, card, {"email": "A@b.cn"})
    assert outcomes(first) == ["CREATED", "CREATED"]
    assert outcomes(await upsert(api, merchant.token, card)) == ["UNCHANGED"]
    # by the phone alone, in another form
    again = await upsert(api, merchant.token, {"phone": "+8613700137000", "city": "杭州市"})
    assert outcomes(again) == ["UPDATED"]
    assert again["results"][0]["customer"] == first["results"][0]["customer"]
    kept = await upsert(
        api, merchant.token, {"phone": "13700137000", "name": "别人"}, existing="FILL"
    )
    assert outcomes(kept) == ["UNCHANGED"]


async def test_one_that_fits_two_is_suggested_for_merging(api, merchant):
    made = await upsert(
        api, merchant.token, {"refs": [{"kind": "card", "value": "1"}]},
        {"refs": [{"kind": "card", "value": "2"}]},
    )  # fmt: skip
    both = {"refs": [{"kind": "card", "value": "1"}, {"kind": "card", "value": "2"}]}
    payload = await upsert(api, merchant.token, both, {"phone": "13700137000"})
    assert outcomes(payload) == ["AMBIGUOUS", "CREATED"]
    assert payload["results"][0]["customer"] is None
    query = "{ mergeSuggestions { nodes { first { id } second { id } } } }"
    (pair,) = (await api.data(merchant.token, query))["mergeSuggestions"]["nodes"]
    ids = {result["customer"]["id"] for result in made["results"]}
    assert {pair["first"]["id"], pair["second"]["id"]} == ids


async def test_all_faults_in_one_answer_and_nothing_stored(api, merchant):
    payload = await upsert(
        api, merchant.token, {"phone": "13700137000"}, {"name": "nobody"},
        {"phone": "138****0000", "birthday": "1826-01-01", "country": "XX"},
        {"email": "a@b.cn", "name": "x" * 201, "tags": [" "]},
    )  # fmt: skip
    assert payload["results"] is None
    paths = [".".join(error["path"][2:]) for error in payload["errors"]]
    assert paths == ["1", "2.birthday", "2.phone", "2.country", "3.name", "3.tags"]
    count = "{ customers { count { value } } }"
    assert (await api.data(merchant.token, count))["customers"]["count"]["value"] == 0


async def test_a_yes_never_overrules_a_no(api, merchant):
    yes = {"channel": "email", "status": "GRANTED", "evidence": "form"}
    no = {"channel": "email", "status": "DENIED"}
    await upsert(api, merchant.token, {"email": "a@b.cn", "consents": [no]})
    await upsert(api, merchant.token, {"email": "a@b.cn", "consents": [yes]})
    unproven = {"channel": "email", "status": "GRANTED"}
    await upsert(api, merchant.token, {"email": "c@b.cn", "consents": [unproven]})
    query = "{ customers(sort: [{field: CREATED_AT}]) { nodes { consents { status } } } }"
    found = (await api.data(merchant.token, query))["customers"]["nodes"]
    assert [one["consents"] for one in found] == [[{"status": "DENIED"}], [{"status": "UNPROVEN"}]]


async def test_another_merchants_shop_is_not_found(api, merchant, stranger):
    payload = await upsert(
        api, merchant.token, {"phone": "13700137000"}, shopId=stranger.ids["Shop"]
    )
    assert payload["errors"][0]["code"] == "NOT_FOUND"
