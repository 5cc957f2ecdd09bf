"""Erasing a person leaves nothing of them but suppressed addresses and the audit log."""

import asyncio
import re

import orjson
import pytest
from cryptography.exceptions import InvalidTag

from core.domain.customers.customers import get_customer
from core.domain.orders.ingest import ingest_orders
from core.domain.privacy import erasure, export
from core.domain.privacy.erasure import preview_erasure, start_erasure
from core.domain.shops import audit
from core.domain.shops.shops import find_shop
from core.sdk import NotFound, WrongState
from core.sdk.orders import OrderRecord, OrderState
from core.storage import jobs
from core.storage.keyring import SealError
from tests.privacy.kit import PLAIN, dump, insert, make_customer, make_person, run_job

HEX = re.compile(r"\\\\x([0-9a-f]+)")


async def erase(merchant, pk):
    async with merchant.work() as w:
        job_id = await start_erasure(w, pk, "on_request")
    return await run_job(merchant, job_id)


def places(merchant, ids):
    """Everything that a sealed value of the person could be bound to."""
    return [
        f"{place}|{merchant.id}|{pk}"
        for place in ("customers.phone", "customers.email", "orders.receiver")
        for pk in ids
    ]


def opens(keyring, sealed, tried):
    for place in tried:
        try:
            return keyring.open_bytes(sealed, place)
        except (SealError, InvalidTag):
            continue
    return None


async def test_not_a_byte_of_the_person_is_left(merchant):
    pk, old, order, other = await make_person(merchant)
    keyring = merchant.installation.db.keyring
    async with merchant.work() as w:
        exported = await export.start_data_export(w, pk)
    await run_job(merchant, exported)
    before = await dump(merchant)
    tried = places(merchant, [pk, old, order])
    sealed = {
        value for _, text in before for value in HEX.findall(text)
        if opens(keyring, bytes.fromhex(value), tried)
    }  # fmt: skip
    assert len(sealed) == 4  # phone, email, the old phone, the receiver; copies hold the same
    indexes = {
        keyring.blind_index(kind, merchant.id, value).hex()
        for kind, value in (("phone", PLAIN["phone"]), ("email", PLAIN["email"]),
                            ("phone", PLAIN["old_phone"]))
    }  # fmt: skip
    encrypted = {PLAIN[key] for key in ("phone", "old_phone", "receiver")}
    for value in {*PLAIN.values(), *indexes} - encrypted:
        assert any(value in row for _, row in before), value

    await erase(merchant, pk)

    after = await dump(merchant)
    for table, text in after:
        assert not [value for value in PLAIN.values() if value in text], (table, text)
        assert not [value for value in sealed if value in text], (table, text)
        for value in HEX.findall(text):
            assert opens(keyring, bytes.fromhex(value), tried) is None, (table, text)
        if table not in ("suppressions", "suppression_events"):
            assert not [value for value in indexes if value in text], (table, text)
    kept = {orjson.loads(text)["address_index"] for table, text in after if table == "suppressions"}
    assert {f"\\x{index}" for index in indexes} <= kept
    with pytest.raises(NotFound):
        async for _ in jobs.file_pieces(merchant.installation.db, merchant.id, exported, "output"):
            pass
    async with merchant.read() as session:
        assert (await get_customer(session, other))["name"] == "Somebody Else"


async def test_figures_stay_without_the_person(merchant):
    pk, _, order, _ = await make_person(merchant)
    await erase(merchant, pk)
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT * FROM orders WHERE merchant_id = $1 AND id = $2", merchant.id, order
        )
        lines = await session.sql.fetchval(
            "SELECT count(*) FROM order_lines WHERE merchant_id = $1", merchant.id
        )
        states = await session.sql.fetch(
            """SELECT state, reason, lease_owner, detail, provider_id FROM deliveries
               WHERE merchant_id = $1 ORDER BY id""",
            merchant.id,
        )
    assert (row["paid"], row["refunded"], row["province"]) == (9900, 100, "浙江省")
    assert row["erased_at"] == merchant.clock()
    assert [row[key] for key in ("customer_id", "buyer_id", "receiver_sealed", "city")] == [
        None
    ] * 4
    assert lines == 1
    assert [tuple(state) for state in states] == [
        ("sent", None, None, None, None),
        ("skipped", "erased", None, None, None),
        ("unknown", None, None, None, None),
    ]


async def test_it_is_audited_and_told_without_the_person(merchant):
    pk, *_ = await make_person(merchant)
    result = await erase(merchant, pk)
    entries = [e async for e in audit.entries(merchant.installation.db, merchant.id)]
    requested, erased = entries[-2:]
    assert requested["action"] == "customer.erase_requested"
    assert erased["action"] == "customer.erased"
    assert erased["data"] == {"customer": pk, "reason": "on_request", "rows": result["rows"]}
    assert result["rows"]["orders"] == 1
    assert result["rows"]["merges"] == 1
    async with merchant.read() as session:
        events = await session.sql.fetch(
            "SELECT payload FROM outbox_events WHERE merchant_id = $1 AND type = $2",
            merchant.id, "customer.erased",
        )  # fmt: skip
    assert [orjson.loads(e["payload"]) for e in events] == [{"customer_id": pk}]


async def test_the_preview_tells_what_the_erasure_does(merchant):
    pk, *_ = await make_person(merchant)
    registry = merchant.installation.registry
    async with merchant.read() as session:
        preview = await preview_erasure(session, registry, pk)
    assert (preview.customers, preview.addresses, preview.open_messages) == (2, 3, 2)
    expected = {t.name: t.rows for t in preview.tables if t.rows and t.action != "keep"}
    result = await erase(merchant, pk)
    assert result["rows"] == expected
    assert len(expected) == 41


async def test_a_person_who_comes_back_is_a_new_one_and_stays_suppressed(merchant):
    pk, *_ = await make_person(merchant)
    await erase(merchant, pk)
    async with merchant.work() as w:
        shop = await find_shop(w, "shop")
        record = OrderRecord(
            external_id="XY2", state=OrderState.COMPLETED, currency="CNY", total=1, paid=1,
            refunded=0, ordered_at=w.now, phone=PLAIN["phone"], lines=[], parcels=[],
        )  # fmt: skip
        await ingest_orders(w, shop, [record], "nick", events=True)
        row = await w.sql.fetchrow(
            """SELECT c.id, s.reason FROM customers c JOIN suppressions s
               ON s.merchant_id = c.merchant_id AND s.address_index = c.phone_index
               WHERE c.merchant_id = $1 AND s.channel = 'email'""",
            merchant.id,
        )  # fmt: skip
    assert row["id"] != pk
    assert row["reason"] == "erased"


async def test_doing_it_again_changes_nothing(merchant):
    pk, *_ = await make_person(merchant)
    async with merchant.work() as w:
        first = await start_erasure(w, pk, "on_request")
        second = await start_erasure(w, pk, "on_request")
    assert (await run_job(merchant, first))["rows"]
    assert (await run_job(merchant, second))["rows"] == {}
    async with merchant.work() as w:
        with pytest.raises(NotFound):
            await start_erasure(w, pk, "on_request")


async def test_a_killed_erasure_is_all_or_nothing_and_goes_on(merchant, monkeypatch):
    pk, *_ = await make_person(merchant)
    db, registry = merchant.installation.db, merchant.installation.registry
    async with merchant.work() as w:
        job_id = await start_erasure(w, pk, "on_request")
    job = await jobs.claim(db, merchant.id, job_id)
    merges = erasure._erase_merges

    async def die(w, ids):
        raise asyncio.CancelledError

    monkeypatch.setattr(erasure, "_erase_merges", die)
    with pytest.raises(asyncio.CancelledError):
        await erasure.CustomerErasure(registry).run(db, job)
    async with merchant.read() as session:
        assert (await get_customer(session, pk))["name"] == PLAIN["name"]
    monkeypatch.setattr(erasure, "_erase_merges", merges)
    merchant.clock.move(jobs.LEASE * 2)
    await run_job(merchant, job_id)
    async with merchant.read() as session:
        with pytest.raises(NotFound):
            await get_customer(session, pk)


async def test_what_was_written_meanwhile_is_erased_too(merchant, monkeypatch):
    pk, *_ = await make_person(merchant)
    db, registry = merchant.installation.db, merchant.installation.registry
    async with merchant.work() as w:
        job_id = await start_erasure(w, pk, "on_request")
    job = await jobs.claim(db, merchant.id, job_id)
    erase_first = erasure.CustomerErasure._erase

    async def and_then(self, w, job):
        result = await erase_first(self, w, job)
        await insert(w, "customer_tags", customer_id=pk, tag="meanwhile", source="x",
                     created_at=w.now)  # fmt: skip
        return result

    monkeypatch.setattr(erasure.CustomerErasure, "_erase", and_then)
    await erasure.CustomerErasure(registry).run(db, job)
    assert not [text for _, text in await dump(merchant) if "meanwhile" in text]


async def test_a_running_data_export_of_the_person_is_ended(merchant):
    pk, *_ = await make_person(merchant)
    db = merchant.installation.db
    async with merchant.work() as w:
        exported = await export.start_data_export(w, pk)
    job = await jobs.claim(db, merchant.id, exported)
    async with job.step(db) as w:
        await jobs.add_file_piece(w, job.id, 0, b"his data", role="output")
    await erase(merchant, pk)
    with pytest.raises(jobs.JobCancelled):
        async with job.step(db):
            pass
    with pytest.raises(NotFound):
        async for _ in jobs.file_pieces(db, merchant.id, exported, "output"):
            pass


async def test_who_was_merged_away_is_erased_with_the_kept_one(merchant):
    async with merchant.work() as w:
        one = await make_customer(w, "one")
        two = await make_customer(w, "two")
        await insert(w, "customer_merges", from_id=one, into_id=two, reason="staff",
                     evidence="{}", filled="{}", actor="token:1", at=w.now)  # fmt: skip
        with pytest.raises(WrongState, match=f"customer {two}"):
            await start_erasure(w, one, "on_request")


async def test_other_merchants_customers_are_unknown(merchant, installation):
    pk, *_ = await make_person(merchant)
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other")
    before = await dump(merchant)
    async with installation.db.work(other.merchant_id) as w:
        with pytest.raises(NotFound):
            await start_erasure(w, pk, "on_request")
        job_id = await jobs.enqueue(
            w, erasure.KIND, {"customer_id": pk, "reason": "on_request"}, queued=False
        )
    job = await jobs.claim(installation.db, other.merchant_id, job_id, force=True)
    await erasure.CustomerErasure(installation.registry).run(installation.db, job)
    assert await dump(merchant) == before
