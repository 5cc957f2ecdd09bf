"""What makes a segment special, against counting in Python."""

import random
from collections import defaultdict
from datetime import date, timedelta
from math import sqrt
from zoneinfo import ZoneInfo

import orjson
import pytest

from core.domain.customers.field_values import FieldChange, set_fields
from core.domain.customers.fields import create_field
from core.domain.orders.facts import refresh_facts
from core.domain.segments.segments import create_segment, delete_segment
from core.domain.segments.traits import start_traits
from core.domain.shops.shops import create_shop
from core.installation import job_kinds
from core.sdk import InvalidInput, NotFound, Several
from core.sdk.errors import HuikeError
from core.storage import jobs
from core.testing.fixtures import START

INSIDE = {"version": 1, "rule": {"tag": {"any_of": ["inside"]}}}
ZONE = ZoneInfo("Asia/Shanghai")
TODAY = START.astimezone(ZONE).date()


async def begin(merchant, limit=100, **given):
    async with merchant.work() as w:
        given = given or {"stored": INSIDE}
        return await start_traits(w, merchant.installation.registry, limit, **given)


async def end(merchant, job_id):
    opened = merchant.installation
    job = await jobs.claim(opened.db, merchant.id, job_id, force=True)
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    async with merchant.read() as session:
        return await jobs.get(session, job_id)


async def traits(merchant, limit=100, **given):
    row = await end(merchant, await begin(merchant, limit, **given))
    assert row["state"] == "succeeded", row["error"]
    assert row["done"] == row["total"]
    return orjson.loads(row["result"])


async def add(w, **columns):
    names = ["merchant_id", *columns]
    marks = ", ".join(f"${n}" for n in range(2, len(names) + 1))
    return await w.sql.fetchval(
        f"""INSERT INTO customers ({", ".join(names)}, version, created_at, updated_at)
            VALUES ($1, {marks}, 1, now(), now()) RETURNING id""",
        w.merchant_id, *columns.values(),
    )  # fmt: skip


async def tag(w, customer_id, name):
    await w.sql.execute(
        """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
           VALUES ($1, $2, $3, 'test', $4)""",
        w.merchant_id, customer_id, name, w.now,
    )  # fmt: skip


async def test_worked_example(merchant):
    """40 of 100 inside; 30 of them and 10 of the other 60 live in Hangzhou."""
    async with merchant.work() as w:
        for number in range(100):
            hangzhou = number < 30 or 40 <= number < 50
            pk = await add(w, city="杭州市" if hangzhou else "广州市", country="CN")
            if number < 40:
                await tag(w, pk, "inside")
            # as frequent inside as outside: not special
            if number % 2:
                await tag(w, pk, "odd")
    found = await traits(merchant)
    assert (found["size"], found["everybody"], found["enough"]) == (40, 100, True)
    by_value = {(one["source"], one["value"]): one for one in found["traits"]}
    # z = (30·100 - 40·40) / sqrt(40·60·40·60/100) = 1400 / 240
    assert by_value.pop(("tag", "inside"))["z"] == 10
    here = by_value.pop(("city", "杭州市"))
    assert (here["inside"], here["everybody"], here["z"]) == (30, 40, 5.83)
    assert here["title"] == ["City", "城市"]
    assert here["label"] == ["杭州市", "杭州市"]
    there = by_value.pop(("city", "广州市"))
    assert (there["inside"], there["everybody"], there["z"]) == (10, 60, -5.83)
    assert by_value == {}
    assert [one["value"] for one in (await traits(merchant, limit=2))["traits"]] == [
        "inside", "广州市",
    ]  # fmt: skip


@pytest.mark.parametrize(("inside", "outside"), [(29, 30), (0, 50), (50, 0)])
async def test_too_few_to_tell(merchant, inside, outside):
    async with merchant.work() as w:
        for number in range(inside + outside):
            pk = await add(w, city="杭州市" if number < inside else "广州市")
            if number < inside:
                await tag(w, pk, "inside")
    found = await traits(merchant)
    assert (found["size"], found["enough"], found["traits"]) == (inside, False, [])


def make_person(r, number):
    """A person whose attributes depend on whether it is inside, most of them."""
    inside = number % 3 == 0
    often = r.random() < (0.95 if inside else 0.2)
    orders = [
        {
            "shop": r.choice(["shop", "second"]) if often else "shop",
            "days": r.choice([0, 30, 31, 90, 180, 181, 365, 366]) if often else 400,
            "product": r.choice(["A", "B"]) if often else r.choice(["B", "C", None]),
            "category": "tea" if often else "pots",
            "state": r.choice(["completed", "completed", "closed_unpaid", "closed_refunded"]),
        }
        for _ in range(r.choice([0, 1, 3, 3, 6, 7]) if often else r.choice([0, 1]))
    ]
    return {
        "inside": inside,
        "columns": {
            "country": r.choice(["CN", "CN", None]),
            "province": "浙江省" if often else r.choice(["广东省", None]),
            "city": "杭州市" if often else "广州市",
            "birthday": r.choice([date(1990, 6, 15), date(1990, 6, 16)]) if often
            else r.choice([None, date(2008, 6, 15), date(2008, 6, 16), date(1950, 1, 1)]),
        },
        "tags": [t for t in ("vip", "x") if often and r.random() < 0.7],
        "consent": r.choice(["granted", "denied"]) if often else None,
        "size": r.choice(["S", "M"]) if often else None,
        "member": r.choice([True, False]) if often else False,
        "orders": orders,
    }  # fmt: skip


def counted(person):
    return [o for o in person["orders"] if o["state"] == "completed"]


def values_of(person):
    """(source, value) of everything that is true of the person."""
    for name, value in person["columns"].items():
        if name != "birthday" and value:
            yield name, value
    if born := person["columns"]["birthday"]:
        age = TODAY.year - born.year - ((TODAY.month, TODAY.day) < (born.month, born.day))
        ends = (18, 25, 35, 45, 55)
        yield "age", next((str(end) for end in ends if age < end), "older")
    yield from (("tag", one) for one in person["tags"])
    if person["inside"]:
        yield "tag", "inside"
    if person["consent"] == "granted":
        yield "consent", "sms"
    if person["size"]:
        yield "custom.size", person["size"]
    yield "custom.member", str(person["member"]).lower()
    bought = counted(person)
    count = len(bought)
    yield "orders", str(count) if count <= 2 else "3-5" if count <= 5 else "6"
    if not bought:
        yield "last_purchase", "never"
        return
    last = min(o["days"] for o in bought)
    steps = (30, 90, 180, 365)
    yield "last_purchase", next((str(step) for step in steps if last <= step), "longer")
    yield "first_purchase", str((TODAY - timedelta(max(o["days"] for o in bought))).year)
    for name in {o["shop"] for o in bought}:
        yield "shop", name
        yield "platform", {"shop": "taobao", "second": "jd"}[name]
    yield from {("product", o["product"]) for o in bought if o["product"]}
    yield from {("category", o["category"]) for o in bought}


async def store(w, merchant, person, number, shops):
    pk = await add(w, **person["columns"])
    for name in [*person["tags"], *(["inside"] if person["inside"] else [])]:
        await tag(w, pk, name)
    if person["consent"]:
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               VALUES ($1, $2, 'sms', 'marketing', $3, $4), ($1, $2, 'sms', 'service', 'granted',
                       $4)""",
            w.merchant_id, pk, person["consent"], w.now,
        )  # fmt: skip
    given = [FieldChange("custom.member", person["member"])]
    if person["size"]:
        given.append(FieldChange("custom.size", person["size"]))
    await set_fields(w, pk, given, "custom")
    for place, o in enumerate(person["orders"]):
        order_id = await w.sql.fetchval(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
               VALUES ($1, $2, $3, $4, $5, 'CNY', 100, 100, 0, $6, $6, '', $6) RETURNING id""",
            w.merchant_id, shops[o["shop"]], f"{number}-{place}", pk, o["state"],
            START - timedelta(days=o["days"]),
        )  # fmt: skip
        # twice, to be counted once
        await w.sql.executemany(
            """INSERT INTO order_lines (merchant_id, order_id, external_id, title, quantity, amount,
                   product_id, category) VALUES ($1, $2, $3, $4, 1, 50, $5, $6)""",
            [
                (w.merchant_id, order_id, n, f"tea {o['product']}", o["product"], o["category"])
                for n in ("1", "2")
            ],
        )
    await refresh_facts(w, [pk])


async def test_agrees_with_brute_force(merchant):
    r = random.Random(3)
    people = [make_person(r, number) for number in range(300)]
    async with merchant.work() as w:
        second = await create_shop(w, "second", "jd")
        await create_field(w, "custom", "custom", "size", "Size", "choice", ["S", "M"])
        await create_field(w, "custom", "custom", "member", "Member", "bool", [])
        shops = {"shop": merchant.shop_id, "second": second}
        for number, person in enumerate(people):
            await store(w, merchant, person, number, shops)
    found = await traits(merchant)

    total, size = len(people), sum(person["inside"] for person in people)
    assert (found["size"], found["everybody"]) == (size, total) == (100, 300)
    counts = defaultdict(lambda: [0, 0])
    for person in people:
        for key in set(values_of(person)):
            counts[key][0] += person["inside"]
            counts[key][1] += 1
    expected: dict[str, dict] = {}
    for (source, value), (inside, everybody) in counts.items():
        share, outside = inside / size, (everybody - inside) / (total - size)
        pooled = everybody / total
        if pooled == 1 or max(inside, size * pooled) < 10:
            continue
        z = (share - outside) / sqrt(pooled * (1 - pooled) * (1 / size + 1 / (total - size)))
        if abs(z) >= 4:
            found_here = expected.setdefault(source, {})
            found_here[value] = (inside, everybody, round(z, 2))
    shown: dict[str, dict] = {}
    for one in found["traits"]:
        value = one["label"][0] if one["source"] == "shop" else one["value"]
        here = shown.setdefault(one["source"], {})
        here[value] = (one["inside"], one["everybody"], one["z"])
    assert shown == expected
    # more than enough of one attribute: the surest
    assert max(len(values) for values in shown.values()) <= 5
    assert set(expected) >= {
        "province", "city", "tag", "orders", "last_purchase", "first_purchase", "shop", "product",
        "category", "age", "custom.size", "consent",
    }  # fmt: skip
    ranks = [abs(one["z"]) for one in found["traits"]]
    assert ranks == sorted(ranks, reverse=True)
    labels = {(one["source"], one["value"]): one["label"] for one in found["traits"]}
    assert labels["product", "A"] == ["tea A", "tea A"]
    assert labels["last_purchase", "30"] == ["in the last 30 days", "近30天"]


async def test_another_merchants_customers_do_not_count(merchant, installation):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    async with installation.db.work(other.merchant_id) as w:
        for _ in range(60):
            await tag(w, await add(w, city="杭州市"), "inside")
    await test_worked_example(merchant)


async def test_of_a_segment_or_of_a_rule(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        pk = await create_segment(w, registry, "inside", INSIDE)
    assert (await traits(merchant, segment_id=pk))["size"] == 0
    async with merchant.work() as w:
        with pytest.raises(InvalidInput, match="either"):
            await start_traits(w, registry, 5)
        with pytest.raises(InvalidInput, match="either"):
            await start_traits(w, registry, 5, segment_id=pk, stored=INSIDE)
        with pytest.raises(InvalidInput, match="100"):
            await start_traits(w, registry, 101, segment_id=pk)
        with pytest.raises(NotFound):
            await start_traits(w, registry, 5, segment_id=2**60)
        with pytest.raises((HuikeError, Several), match="no facet"):
            await start_traits(w, registry, 5, stored={"version": 1, "rule": {"fly": {}}})


async def test_a_rule_that_can_no_longer_be_asked_ends_the_job(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        pk = await create_segment(w, registry, "inside", INSIDE)
    asked = {"version": 1, "rule": {"in_segment": {"segment_id": pk}}}
    job_id = await begin(merchant, stored=asked)
    async with merchant.work() as w:
        await delete_segment(w, pk)
    row = await end(merchant, job_id)
    assert row["state"] == "failed"
    assert "no such segment" in orjson.loads(row["error"])["message"]


async def test_a_cancelled_job_ends(merchant):
    job_id = await begin(merchant)
    opened = merchant.installation
    job = await jobs.claim(opened.db, merchant.id, job_id, force=True)
    async with merchant.work() as w:
        await jobs.cancel(w, job_id)
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    async with merchant.read() as session:
        assert (await jobs.get(session, job_id))["state"] == "cancelled"
    # and leaves nothing in the way of the next
    assert (await traits(merchant))["size"] == 0


async def test_no_attribute_crowds_out_the_others(merchant):
    async with merchant.work() as w:
        for number in range(100):
            # seven tags tell who is inside exactly, the city hardly less
            pk = await add(w, city="杭州市" if number < 38 else "广州市")
            for name in ("inside", *"abcdef") if number < 40 else ():
                await tag(w, pk, name)
    found = (await traits(merchant, limit=7))["traits"]
    assert [one["value"] for one in found] == ["a", "b", "c", "d", "e", "广州市", "杭州市"]
