import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.customers import field_values, fields
from core.domain.customers.field_values import (
    FieldChange,
    read_fields,
    set_fields,
    set_fields_of_many,
)
from core.domain.customers.fields import (
    FieldDefinition,
    FieldNotYours,
    FieldRemoval,
    create_field,
    define_fields,
    delete_field,
    update_field,
)
from core.sdk import AlreadyExists, InvalidInput, NotFound, Several, WrongState
from core.sdk.errors import Conflict, HuikeError
from core.storage import jobs
from tests.customers.kit import add_customer, add_customers, logged

KINDS = ("text", "int", "decimal", "bool", "date", "datetime", "choice")


async def define(w, key, kind="text", choices=()):
    return await create_field(w, "custom", "custom", key, key.title(), kind, choices)


async def define_all(w):
    for kind in KINDS:
        await define(w, f"my_{kind}", kind, ["S", "M"] if kind == "choice" else [])


def change(**values):
    return [FieldChange(f"custom.{key}", value) for key, value in values.items()]


async def values_of(session, pk):
    found = await read_fields(session, [pk])
    return {name: one.value for name, one in found.get(pk, {}).items()}


async def test_values_of_every_type_come_back(merchant):
    given = {
        "custom.my_text": "尺码 🍵", "custom.my_int": 42, "custom.my_decimal": "9.90",
        "custom.my_bool": False, "custom.my_date": "2024-02-29",
        "custom.my_datetime": "2026-06-15T12:00:00+08:00", "custom.my_choice": "M",
    }  # fmt: skip
    async with merchant.work() as w:
        pk = await add_customer(w)
        await define_all(w)
        changed = await set_fields(w, pk, [FieldChange(*one) for one in given.items()], "custom")
        assert sorted(changed) == sorted(given)
        assert await values_of(w, pk) == given | {
            "custom.my_decimal": "9.9", "custom.my_datetime": "2026-06-15T04:00:00+00:00",
        }  # fmt: skip
        # what is the same already is no change
        assert await set_fields(w, pk, [FieldChange(*one) for one in given.items()], "custom") == []
        assert await set_fields(w, pk, change(my_int=43, my_text=None), "custom") != []
        found = (await read_fields(w, [pk]))[pk]
        assert "custom.my_text" not in found
        assert (found["custom.my_int"].version, found["custom.my_bool"].version) == (2, 1)
        assert found["custom.my_int"].source == "staff"
        kinds = [entry[:2] for entry in await logged(w, pk)]
        assert kinds[-1] == (
            "field_changed", {"fields": ["custom.my_int", "custom.my_text"], "source": "staff"},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", ""), ("text", "  "), ("text", "x" * 2001), ("text", "a\x00"), ("text", 5),
        ("text", "\ud800"), ("text", ["x"]), ("int", 1.0), ("int", "1.5"), ("int", True),
        ("int", 2**63), ("int", "9" * 30), ("int", "٣"), ("decimal", 9.9), ("decimal", "1e5"),
        ("decimal", "NaN"), ("decimal", "Infinity"), ("decimal", "1.00000000001"),
        ("decimal", "1" * 21), ("decimal", True), ("decimal", {}), ("bool", "true"), ("bool", 1),
        ("date", "2023-02-29"), ("date", "15.06.2026"), ("date", "2026-06-15T00:00:00Z"),
        ("date", "20260615"), ("datetime", "2026-06-15T12:00:00"), ("datetime", "2026-06-15"),
        ("datetime", "0001-01-01T00:00:00+08:00"), ("datetime", 5), ("choice", "L"),
        ("choice", 5), ("choice", ["S"]), ("choice", {}),
    ],
)  # fmt: skip
async def test_wrong_values_are_refused_with_their_place(merchant, kind, value):
    async with merchant.work() as w:
        pk = await add_customer(w)
        await define_all(w)
        given = [
            *change(my_bool=True),
            FieldChange(f"custom.my_{kind}x", 1),
            FieldChange(f"custom.my_{kind}" if kind != "bool" else "custom.my_bool", value),
        ]
        if kind == "bool":
            del given[0]
        with pytest.raises((HuikeError, Several)) as caught:
            await set_fields(w, pk, given, "custom")
        place = len(given) - 1
        assert [error.path for error in caught.value.errors] == [
            ("input", "fields", str(place - 1), "field"), ("input", "fields", str(place), "value"),
        ]  # fmt: skip
        assert await values_of(w, pk) == {}, "all or nothing"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**19),
                   max_value=10**19))  # fmt: skip
def test_decimals_are_exact(number):
    text, stored, moment = field_values._stored("decimal", [], format(number, "f"))
    assert (text, moment) == (None, None)
    assert stored == number
    again = field_values._stored("decimal", [], field_values.shown("decimal", None, stored, None))
    assert again[1] == number


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.booleans())
def test_whole_numbers_are_exact(number, as_text):
    stored = field_values._stored("int", [], str(number) if as_text else number)[1]
    shown = field_values.shown("int", None, stored, None)
    assert int(shown) == number
    assert isinstance(shown, int) == (abs(number) < 2**53)


@given(
    st.datetimes(
        datetime(2, 1, 1),  # noqa: DTZ001
        datetime(9998, 1, 1),  # noqa: DTZ001
        timezones=st.timezones(),
    )
)
def test_times_are_the_same_instant(at):
    stored = field_values._stored("datetime", [], at.isoformat())[2]
    assert stored == at.astimezone(UTC)


async def test_fifty_writers_of_one_customer_lose_nothing(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        for number in range(50):
            await define(w, f"f{number}", "int")

    async def write(number):
        async with merchant.work() as w:
            await set_fields(w, pk, change(**{f"f{number}": number}), "custom")

    await asyncio.gather(*(write(number) for number in range(50)))
    async with merchant.read() as session:
        assert await values_of(session, pk) == {f"custom.f{n}": n for n in range(50)}
        assert len(await logged(session, pk)) == 50


async def test_of_many_who_read_the_same_version_one_writes(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        await define(w, "n", "int")

    async def write(number, version):
        try:
            async with merchant.work() as w:
                await set_fields(w, pk, [FieldChange("custom.n", number, version)], "custom")
        except Conflict as conflict:
            return conflict
        return None

    for version in (0, 1):
        outcomes = await asyncio.gather(*(write(n + 100 * version, version) for n in range(12)))
        lost = [error for error in outcomes if error is not None]
        assert len(lost) == 11
        assert all(isinstance(error, Conflict) for error in lost)
        assert lost[0].path == ("input", "fields", "0", "if_version")
    async with merchant.read() as session:
        (found,) = (await read_fields(session, [pk]))[pk].values()
        assert (found.version, found.value >= 100) == (2, True)


async def test_a_namespace_is_written_by_its_owner_alone(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        await define_fields(w, "sms", [FieldDefinition("last", "Last", "date")])
        await define_fields(w, "sms", [FieldDefinition("last", "Last message", "date")])
        last = [FieldChange("sms.last", "2026-06-01")]
        assert await set_fields(w, pk, last, "sms") == ["sms.last"]
        assert (await read_fields(w, [pk]))[pk]["sms.last"].source == "sms"
        await define(w, "size")
        for given, owner in ((last, "custom"), (change(size="L"), "sms")):
            with pytest.raises((HuikeError, Several)) as caught:
                await set_fields(w, pk, given, owner)
            assert isinstance(caught.value.errors[0], FieldNotYours)
        assert "plugin sms" in caught.value.errors[0].message or owner == "sms"
        field_id = await w.sql.fetchval(
            "SELECT id FROM custom_fields WHERE merchant_id = $1 AND namespace = 'sms'", merchant.id
        )
        for call in (
            create_field(w, "custom", "sms", "other", "Other", "text"),
            update_field(w, "custom", field_id, {"title": "Mine"}),
            delete_field(w, "custom", field_id),
        ):
            with pytest.raises(FieldNotYours):
                await call
        with pytest.raises(WrongState, match="date"):
            await define_fields(w, "sms", [FieldDefinition("last", "Last", "text")])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"key": "Size"}, "key"), ({"key": "1a"}, "key"), ({"key": "a.b"}, "key"),
        ({"key": ""}, "key"), ({"key": "a" * 41}, "key"), ({"title": " "}, "title"),
        ({"kind": "float"}, "type"), ({"kind": "choice"}, "choices"),
        ({"kind": "choice", "choices": ["a", "a "]}, "choices"),
        ({"kind": "choice", "choices": ["a", ""]}, "choices"), ({"choices": ["a"]}, "choices"),
    ],
)  # fmt: skip
async def test_definitions_are_checked(merchant, changes, path):
    given = {"key": "size", "title": "Size", "kind": "text", "choices": []} | changes
    async with merchant.work() as w:
        with pytest.raises(InvalidInput) as caught:
            await create_field(w, "custom", "custom", **given)
        assert caught.value.path[:2] == ("input", path)


async def test_a_key_is_taken_once(merchant):
    async with merchant.work() as w:
        await define(w, "size")
        with pytest.raises(AlreadyExists):
            await define(w, "size")
        await create_field(w, "sms", "sms", "size", "Size", "text")


async def test_a_choice_that_is_used_stays(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        field_id = await define(w, "size", "choice", ["S", "M", "L"])
        await set_fields(w, pk, change(size="M"), "custom")
        with pytest.raises(WrongState, match="'M'"):
            await update_field(w, "custom", field_id, {"choices": ["S"]})
        await update_field(w, "custom", field_id, {"choices": ["M", "XL"], "title": "Fit"})
        await set_fields(w, pk, change(size="XL"), "custom")
        with pytest.raises(NotFound):
            await update_field(w, "custom", 10**12, {"title": "x"})


@pytest.mark.parametrize("limit", [2, 5_000])
async def test_a_deleted_field_is_gone_with_its_values(merchant, monkeypatch, limit):
    monkeypatch.setattr(fields, "AT_ONCE", limit)
    db = merchant.installation.db
    async with merchant.work() as w:
        ids = await add_customers(w, 5)
        field_id = await define(w, "size")
        await set_fields_of_many(w, {pk: {"custom.size": "L"} for pk in ids}, "custom", "import")
        count, job_id = await delete_field(w, "custom", field_id)
        assert (count, job_id is not None) == (5, limit == 2)
        assert await values_of(w, ids[0]) == {}
    if job_id:
        job = await jobs.claim(db, merchant.id, job_id)
        await jobs.perform(db, job, {FieldRemoval.name: FieldRemoval()})
        async with merchant.read() as session:
            assert (await jobs.get(session, job_id))["done"] == 5
    async with merchant.read() as session:
        assert not await session.sql.fetchval(
            "SELECT count(*) FROM custom_field_values WHERE merchant_id = $1", merchant.id
        )


async def test_many_customers_at_once(merchant):
    async with merchant.work() as w:
        first, second = await add_customers(w, 2)
        await define(w, "size")
        await define(w, "n", "int")
        given = {first: {"custom.size": "L", "custom.n": 1}, second: {"custom.n": 2},
                 10**12: {"custom.n": 3}}  # fmt: skip
        assert await set_fields_of_many(w, given, "custom", "import") == 2
        assert await set_fields_of_many(w, given, "custom", "import") == 0
        assert await values_of(w, first) == {"custom.size": "L", "custom.n": 1}
        with pytest.raises((HuikeError, Several)) as caught:
            await set_fields_of_many(w, {first: {"custom.n": "x", "custom.gone": 1}}, "custom")
        assert {error.path for error in caught.value.errors} == {
            ("values", str(first), "custom.n"), ("values", str(first), "custom.gone"),
        }  # fmt: skip


async def test_long_texts_are_stored_and_found(merchant):
    """2,000 characters of four bytes each are more than an index entry can hold."""
    text = "".join(chr(0x20000 + (n * 7919) % 40_000) for n in range(2_000))
    async with merchant.work() as w:
        pk = await add_customer(w)
        await define(w, "story")
        await set_fields(w, pk, change(story=text), "custom")
        assert await values_of(w, pk) == {"custom.story": text}


async def test_nobodys_fields_are_not_found(merchant):
    async with merchant.work() as w:
        await define(w, "size")
        with pytest.raises(NotFound):
            await set_fields(w, 10**12, change(size="L"), "custom")
        pk = await add_customer(w)
        for given in ([], change(size="L") * 101):
            with pytest.raises(InvalidInput):
                await set_fields(w, pk, given, "custom")
        with pytest.raises((HuikeError, Several), match="twice"):
            await set_fields(w, pk, change(size="L") * 2, "custom")
        for name in ("size", "", "custom.", "custom.size.x", "custom.a\x00"):
            with pytest.raises((HuikeError, Several)):
                await set_fields(w, pk, [FieldChange(name, "x")], "custom")
