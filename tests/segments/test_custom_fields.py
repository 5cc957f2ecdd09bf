"""Rules over custom fields, and tags for whole segments."""

import pytest

from core.domain.customers.field_values import FieldChange, set_fields
from core.domain.customers.fields import create_field
from core.domain.customers.tags import tag_customers
from core.domain.segments import tagging as module
from core.domain.segments.compile import sentence
from core.domain.segments.facets import FACETS
from core.domain.segments.fields import check_not_used
from core.domain.segments.preview import preview_segment
from core.domain.segments.segments import create_segment, update_segment
from core.domain.segments.tagging import SegmentTagging, start_tagging
from core.domain.segments.tree import read_tree
from core.registry import Owned
from core.sdk import InvalidInput, NotFound, Say, Several, WrongState
from core.sdk.errors import HuikeError
from core.storage import jobs
from tests.customers.kit import add_customers, logged

BY_NAME = {facet.name: Owned("core", facet) for facet in FACETS}


def stored(**rule):
    return {"version": 1, "rule": {"custom_field": rule}}


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"field": "custom.size"}, "operator"),
        ({"field": "custom.size", "any_of": ["L"], "at_least": "1"}, "together"),
        ({"field": "custom.size", "is_set": True, "is_true": True}, "together"),
        ({"field": "custom.size", "at_least": "2", "at_most": "1"}, "nobody"),
        ({"field": "custom.size", "from_day": "2026-02-01", "to_day": "2026-01-01"}, "nobody"),
        ({"field": "custom.size", "to_day": "9999-12-31"}, "years"),
        ({"field": "custom.size", "from_day": "0001-01-01"}, "years"),
        ({"field": "custom.size", "at_least": "1e400"}, "at most"),
        ({"field": "custom.size", "at_least": "NaN"}, "finite"),
        ({"field": "custom.size", "starts_with": ""}, "empty"),
        ({"field": "custom.size", "any_of": ["x"] * 1001}, "1000"),
        ({"any_of": ["x"]}, "required"),
    ],
)
def test_wrong_rules_are_refused(rule, word):
    with pytest.raises((HuikeError, Several)) as caught:
        read_tree(stored(**rule), BY_NAME)
    assert word in caught.value.errors[0].message


def test_rules_are_said_in_words():
    rule = {"field": "custom.age", "at_least": "18", "at_most": "30"}
    assert sentence(read_tree(stored(**rule), BY_NAME), Say()) == "has in custom.age 18 to 30"
    rule = {"field": "custom.size", "any_of": ["L", "M"]}
    assert sentence(read_tree(stored(**rule), BY_NAME), Say()) == "has in custom.size L or M"


async def test_a_rule_asks_for_fields_that_exist_and_as_their_type_allows(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        await create_field(w, "custom", "custom", "age", "Age", "int")
        good = stored(field="custom.age", at_least="18")
        pk = await create_segment(w, registry, "grown up", good)
        for rule in (
            stored(field="custom.gone", is_set=True),
            stored(field="custom.age", any_of=[]),
            stored(field="custom.age", is_true=True),
        ):
            nested = {"version": 1, "rule": {"all": [{"not": rule["rule"]}]}}
            for call in (
                create_segment(w, registry, "other", nested),
                update_segment(w, registry, pk, {"rule": nested}),
                preview_segment(w, registry, nested),
            ):
                with pytest.raises((HuikeError, Several)) as caught:
                    await call
                (error,) = caught.value.errors
                assert isinstance(error, InvalidInput)
                assert error.path[:6] == ("input", "rule", "all", "0", "not", "customField")
        with pytest.raises(WrongState, match="grown up"):
            await check_not_used(w, "custom.age")
        await check_not_used(w, "custom.other")


async def test_a_segment_by_a_field(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        ids = await add_customers(w, 3)
        await create_field(w, "custom", "custom", "size", "Size", "text")
        await set_fields(w, ids[0], [FieldChange("custom.size", "L" * 70)], "custom")
        await set_fields(w, ids[1], [FieldChange("custom.size", "L" * 70 + "x")], "custom")
        found = await preview_segment(w, registry, stored(field="custom.size", any_of=["L" * 70]))
        assert found.sample == [ids[0]]
        found = await preview_segment(w, registry, stored(field="custom.size", is_set=False))
        assert found.sample == [ids[2]]


async def run(merchant, job_id):
    installation = merchant.installation
    job = await jobs.claim(installation.db, merchant.id, job_id)
    kind = SegmentTagging(installation.registry)
    await jobs.perform(installation.db, job, {kind.name: kind})
    async with merchant.read() as session:
        return await jobs.get(session, job_id)


async def tagged(session):
    rows = await session.sql.fetch(
        "SELECT customer_id FROM customer_tags WHERE merchant_id = $1 AND tag = 'new' ORDER BY 1",
        session.merchant_id,
    )
    return [row[0] for row in rows]


async def test_a_segment_is_tagged_in_groups_though_the_tag_changes_the_segment(
    merchant, monkeypatch
):
    monkeypatch.setattr(module, "AT_ONCE", 10)
    registry = merchant.installation.registry
    rule = {"version": 1, "rule": {"not": {"tag": {"any_of": ["new", "old"]}}}}
    async with merchant.work() as w:
        ids = await add_customers(w, 35)
        await tag_customers(w, ids[:5], ["old"], "staff")
        segment = await create_segment(w, registry, "not new", rule)
        job_id = await start_tagging(w, segment, ["new"], add=True)
        everybody = await create_segment(w, registry, "all", {"version": 1, "rule": {"all": []}})
    ended = await run(merchant, job_id)
    assert (ended["state"], ended["done"], ended["total"]) == ("succeeded", 30, 30)
    async with merchant.work() as w:
        assert await tagged(w) == ids[5:]
        assert (await logged(w, ids[-1]))[0] == (
            "tag_added", {"tags": ["new"], "source": "rule"}, f"job:{job_id}",
        )  # fmt: skip
        job_id = await start_tagging(w, everybody, ["new"], add=False)
    ended = await run(merchant, job_id)
    assert (ended["done"], ended["result"]) == (35, '{"changed": 30, "customers": 35}')
    async with merchant.read() as session:
        assert await tagged(session) == []


async def test_a_job_goes_on_where_it_was_broken_off(merchant, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 10)
    calls = []
    change = module._change

    async def failing(w, ids, params):
        calls.append(len(ids))
        if len(calls) == 2:
            raise RuntimeError("the worker dies")
        return await change(w, ids, params)

    monkeypatch.setattr(module, "_change", failing)
    async with merchant.work() as w:
        ids = await add_customers(w, 25)
        rule = {"version": 1, "rule": {"all": []}}
        segment = await create_segment(w, merchant.installation.registry, "all", rule)
        job_id = await start_tagging(w, segment, ["new"], add=True)
    assert (await run(merchant, job_id))["done"] == 10
    async with merchant.work() as w:
        await jobs.reopen(w, job_id)
    installation = merchant.installation
    job = await jobs.claim(installation.db, merchant.id, job_id, force=True)
    kind = SegmentTagging(installation.registry)
    await jobs.perform(installation.db, job, {kind.name: kind})
    assert calls == [10, 10, 10, 5]
    async with merchant.read() as session:
        assert await tagged(session) == ids


async def test_a_segment_of_nobody_is_not_found(merchant):
    async with merchant.work() as w:
        with pytest.raises(NotFound) as caught:
            await start_tagging(w, 10**12, ["x"], add=True)
        assert caught.value.path == ("input", "segmentId")
