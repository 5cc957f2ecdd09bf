"""Renewing the encryption key: nothing is lost, whatever happens meanwhile."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from core.domain.orders.ingest import ingest_orders
from core.domain.privacy import rotation
from core.domain.privacy.rotation import Resealing, change_keyring, check_retirable
from core.domain.privacy.sealed import count_other, count_under, reseal_portion, sealed_values
from core.domain.shops.plugins import _store, plugin_settings
from core.domain.shops.shops import find_shop
from core.sdk import WrongState
from core.sdk.orders import LineRecord, OrderRecord, OrderState
from core.storage import jobs
from core.storage.keyring import keyring_path
from tests.privacy.kit import PLAIN, make_person, run_job


def record(number, at):
    return OrderRecord(
        external_id=f"I{number}", state=OrderState.COMPLETED, currency="CNY", total=100, paid=100,
        refunded=0, ordered_at=at, paid_at=at, buyer_id=f"b{number % 37}",
        phone=f"+86138{number % 53:08d}", name="张三", address="杭州市西湖区",
        lines=[LineRecord(external_id="1", title="茶", quantity=1, amount=100)], parcels=[],
    )  # fmt: skip


async def rotate(merchant):
    """What `huike keys rotate` does, for one merchant; returns the old key and the job."""
    installation = merchant.installation
    db, path = installation.db, keyring_path(installation.settings)
    old = db.keyring.primary
    await change_keyring(db, path, lambda k: k.with_new_key(db.clock()).promoted(db.clock()))
    assert db.keyring.primary != old
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, rotation.KIND, {"key": db.keyring.primary})
    return old, job_id


async def counts(merchant, key_id, count=count_under):
    async with merchant.read() as session:
        return {
            place.name: found
            for place in sealed_values(merchant.installation.registry)
            if (found := await count(session, place, key_id))
        }


async def everything_opens(merchant):
    """Opens each sealed value at its place; returns how many there were."""
    number = 0
    async with merchant.read() as session:
        for place in sealed_values(merchant.installation.registry):
            rows = await session.sql.fetch(
                f"""SELECT {place.value} AS value, {place.place} AS place FROM {place.table} t
                    WHERE t.merchant_id = $1 AND {place.where} AND {place.value} IS NOT NULL""",
                merchant.id,
            )
            for row in rows:
                session.keyring.open_bytes(row["value"], row["place"])
                number += 1
    return number


async def test_every_place_is_sealed_anew(merchant):
    pk, *_ = await make_person(merchant)
    db = merchant.installation.db
    async with merchant.work() as w:
        await jobs.add_file_piece(w, 10**9, 0, b"x" * 1000)
        filled = await w.sql.fetchval(
            """SELECT jsonb_build_object(
                   'name', jsonb_build_array(NULL, 'x'),
                   'phone_sealed', jsonb_build_array(NULL, to_jsonb(c) -> 'phone_sealed'),
                   'phone_index', jsonb_build_array(NULL, to_jsonb(c) -> 'phone_index'))
               FROM customers c WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, pk,
        )  # fmt: skip
        await w.sql.execute(
            "UPDATE customer_merges SET filled = $2 WHERE merchant_id = $1", w.merchant_id, filled
        )
    opened = await everything_opens(merchant)
    old, job_id = await rotate(merchant)
    before = await counts(merchant, old)
    assert set(before) == {
        "customers.phone_sealed", "customers.email_sealed", "orders.receiver_sealed",
        "plugin_states.settings_sealed", "job_files.data", "import_changes.before.phone_sealed",
        "import_changes.before.email_sealed", "customer_merge_moves.content.phone_sealed",
        "customer_merges.filled.phone_sealed.1", "inbound_messages.text_sealed",
    }  # fmt: skip
    result = await run_job(merchant, job_id)
    assert result["resealed"] == sum(before.values())
    assert result["left"] == 0
    assert await counts(merchant, old) == {}
    assert await everything_opens(merchant) == opened
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT * FROM customers WHERE merchant_id = $1 AND id = $2", merchant.id, pk
        )
        copy = orjson.loads(
            await session.sql.fetchval(
                "SELECT before FROM import_changes WHERE merchant_id = $1", merchant.id
            )
        )
    assert (
        db.keyring.open(row["phone_sealed"], f"customers.phone|{merchant.id}|{pk}")
        == (PLAIN["phone"])
    )
    assert copy["name"] == PLAIN["name"]
    assert copy["phone_index"] == "\\x" + row["phone_index"].hex()


async def test_it_goes_on_while_orders_are_taken_in_and_is_killed_in_the_middle(
    merchant, monkeypatch
):
    monkeypatch.setattr(
        rotation, "sealed_values",
        lambda registry: [replace(one, size=7) for one in sealed_values(registry)],
    )  # fmt: skip
    db, registry = merchant.installation.db, merchant.installation.registry
    async with merchant.work() as w:
        shop = await find_shop(w, "shop")
        await ingest_orders(w, shop, [record(n, w.now) for n in range(120)], "nick", events=False)
    old, job_id = await rotate(merchant)

    async def take_in():
        for start in range(60, 400, 20):
            async with merchant.work() as w:
                at = w.now + timedelta(seconds=start)
                records = [record(number, at) for number in range(start, start + 20)]
                await ingest_orders(w, shop, records, "nick", events=False)

    importing = asyncio.create_task(take_in())
    kills = 0
    while True:
        job = await jobs.claim(db, merchant.id, job_id)
        running = asyncio.create_task(Resealing(registry).run(db, job))
        done, _ = await asyncio.wait([running], timeout=0.02 + 0.01 * kills)
        if done:
            result = running.result()
            break
        running.cancel()
        await asyncio.wait([running])
        kills += 1
        assert kills < 500
        merchant.clock.move(jobs.LEASE * 2)
    await importing
    assert kills > 1
    assert result["left"] == 0
    assert await counts(merchant, old) == {}
    assert await everything_opens(merchant) > 400
    async with merchant.read() as session:
        assert await session.sql.fetchval(
            "SELECT count(*) FROM orders WHERE merchant_id = $1", merchant.id
        ) == 400  # fmt: skip


async def test_what_somebody_writes_meanwhile_is_not_overwritten(merchant):
    pk, *_ = await make_person(merchant)
    place = f"customers.phone|{merchant.id}|{pk}"
    await rotate(merchant)
    (phones,) = [
        one for one in sealed_values(merchant.installation.registry)
        if one.name == "customers.phone_sealed"
    ]  # fmt: skip
    async with merchant.work() as writer:
        await writer.sql.execute(
            "UPDATE customers SET phone_sealed = $3 WHERE merchant_id = $1 AND id = $2",
            writer.merchant_id, pk, writer.keyring.seal("+8613011112222", place),
        )  # fmt: skip

        async def meanwhile():
            # its row is in somebody's hand: passed over, not waited for
            async with asyncio.timeout(60):
                async with merchant.work() as w:
                    return await reseal_portion(w, phones, 0)

        portion = await asyncio.create_task(meanwhile(), context=_fresh())
    assert portion.changed == 1  # somebody else's
    async with merchant.read() as session:
        value = await session.sql.fetchval(
            "SELECT phone_sealed FROM customers WHERE merchant_id = $1 AND id = $2",
            merchant.id, pk,
        )  # fmt: skip
    assert merchant.installation.db.keyring.open(value, place) == "+8613011112222"


def _fresh():
    import contextvars

    return contextvars.Context()


async def test_a_value_that_does_not_open_is_left_and_counted(merchant):
    pk, *_ = await make_person(merchant)
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE customers SET phone_sealed = set_byte(phone_sealed, 20,
                   (get_byte(phone_sealed, 20) + 1) % 256)
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, pk,
        )  # fmt: skip
    old, job_id = await rotate(merchant)
    result = await run_job(merchant, job_id)
    assert result["left"] == 1
    assert await counts(merchant, old) == {"customers.phone_sealed": 1}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(rotation, "PAUSE_SECONDS", 0.01)


async def test_a_key_in_use_or_too_young_is_not_retired(merchant):
    await make_person(merchant)
    db, registry = merchant.installation.db, merchant.installation.registry
    old, job_id = await rotate(merchant)
    with pytest.raises(WrongState, match="primary"):
        await check_retirable(db, registry, db.keyring.primary)
    with pytest.raises(WrongState, match="younger than 10 minutes"):
        await check_retirable(db, registry, old)
    merchant.clock.move(rotation.SETTLED)
    with pytest.raises(WrongState, match=r"still sealed with key .*customers.phone_sealed"):
        await check_retirable(db, registry, old)
    with pytest.raises(WrongState, match="there is no key 250"):
        await check_retirable(db, registry, 250)
    await run_job(merchant, job_id)
    assert await counts(merchant, old) == {}


async def test_a_process_without_the_new_key_leaves_the_job_to_others(merchant):
    db = merchant.installation.db
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, rotation.KIND, {"key": 251})
    job = await jobs.claim(db, merchant.id, job_id)
    with pytest.raises(rotation.KeyNotHere):
        await Resealing(merchant.installation.registry).run(db, job)


async def test_only_one_command_changes_the_keyring(merchant):
    db, path = merchant.installation.db, keyring_path(merchant.installation.settings)
    async with db.read(0) as session:
        await session.sql.execute("SELECT pg_advisory_lock($1, 0)", rotation.LOCK_SPACE)
        with pytest.raises(WrongState, match="another command"):
            await change_keyring(db, path, lambda keyring: keyring)
        await session.sql.execute("SELECT pg_advisory_unlock($1, 0)", rotation.LOCK_SPACE)


async def test_a_plugins_settings_open_afterwards(merchant):
    registry = merchant.installation.registry
    email = {"host": "localhost", "port": 25, "tls": "none", "from_address": "a@example.com"}
    async with merchant.work() as w:
        await _store(w, "email", True, email)
    _, job_id = await rotate(merchant)
    await run_job(merchant, job_id)
    assert await counts(merchant, merchant.installation.db.keyring.primary, count_other) == {}
    async with merchant.read() as session:
        assert (await plugin_settings(session, registry, "email")).host == "localhost"
