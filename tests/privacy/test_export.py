"""Exporting all that is stored about one customer."""

from dataclasses import replace

import orjson
import pytest

from core.domain.privacy import export
from core.domain.shops.setup import set_up_merchant
from core.installation import job_kinds
from core.registry import Owned
from core.sdk import NotFound
from core.sdk.personal import PersonalTable
from core.storage import jobs
from tests.privacy.kit import PLAIN, insert, make_person, run_job


async def document_of(merchant, job_id):
    pieces = [
        piece
        async for piece in jobs.file_pieces(merchant.installation.db, merchant.id, job_id, "output")
    ]
    return pieces, orjson.loads(b"".join(pieces))


async def test_everything_is_in_it_and_nothing_secret(merchant):
    pk, old, order, _ = await make_person(merchant)
    async with merchant.work() as w:
        job_id = await export.start_data_export(w, pk)
    result = await run_job(merchant, job_id)
    pieces, document = await document_of(merchant, job_id)
    assert result["size"] == sum(map(len, pieces))
    assert document["customer"] == pk
    tables = document["tables"]
    assert list(tables) == [one["name"] for one in document["contents"]]
    assert {one["name"]: one["rows"] for one in document["contents"]} == {
        name: len(rows) for name, rows in tables.items()
    }
    assert {one["name"] for one in document["contents"] if one["rows"] == 0} == set()
    assert result["rows"] == sum(len(rows) for rows in tables.values())
    customer = tables["customers"][0]
    assert (customer["name"], customer["phone"], customer["email"]) == (
        PLAIN["name"], PLAIN["phone"], PLAIN["email"],
    )  # fmt: skip
    assert tables["orders"][0]["receiver"]["address"] == PLAIN["receiver"]
    assert tables["order_lines"][0]["order_id"] == order
    assert tables["parcel_events"][0]["text"] == PLAIN["scan"]
    put_aside = {one["table"]: one["row"] for one in tables["merged"]}
    assert put_aside["customers"]["phone"] == PLAIN["old_phone"]
    assert put_aside["customers"]["id"] == old
    text = b"".join(pieces).decode()
    for value in PLAIN.values():
        assert value in text, value
    assert "Somebody Else" not in text
    keyring = merchant.installation.db.keyring
    for kind, value in (("phone", PLAIN["phone"]), ("email", PLAIN["email"]),
                        ("phone", PLAIN["old_phone"])):  # fmt: skip
        assert keyring.blind_index(kind, merchant.id, value).hex() not in text
    assert "merchant_id" not in text
    assert "_hash" not in text


async def test_a_long_history_is_written_in_pieces(merchant, monkeypatch):
    monkeypatch.setattr(jobs, "PIECE_BYTES", 5000)
    pk, *_ = await make_person(merchant)
    async with merchant.work() as w:
        for number in range(300):
            await insert(w, "customer_notes", customer_id=pk, text=f"note {number}", author="x",
                         version=1, created_at=w.now, updated_at=w.now)  # fmt: skip
        job_id = await export.start_data_export(w, pk)
    await run_job(merchant, job_id)
    pieces, document = await document_of(merchant, job_id)
    assert len(pieces) > 10
    assert {len(piece) for piece in pieces[:-1]} == {5000}
    assert len(document["tables"]["notes"]) == 301


async def test_a_plugins_table_is_exported_and_erased_too(merchant):
    from core.domain.privacy import erasure

    pk, *_, other = await make_person(merchant)
    table = PersonalTable("taobao_likes", "taobao_likes", "Likes", hidden=("digest",),
                          sealed={"wish_sealed": "taobao_likes.wish"})  # fmt: skip
    registry = merchant.installation.registry
    registry = replace(
        registry,
        personal_tables={**registry.personal_tables, "taobao_likes": Owned("taobao", table)},
    )
    db = merchant.installation.db
    async with merchant.work() as w:
        await w.sql.execute(
            """CREATE TABLE taobao_likes (merchant_id BIGINT, id BIGINT, customer_id BIGINT,
                   wish_sealed BYTEA, digest BYTEA, PRIMARY KEY (merchant_id, id))"""
        )
    try:
        async with merchant.work() as w:
            for number, owner in enumerate((pk, other), 1):
                wish = w.keyring.seal("tea", f"taobao_likes.wish|{w.merchant_id}|{number}")
                await insert(w, "taobao_likes", id=number, customer_id=owner, wish_sealed=wish,
                             digest=b"1")  # fmt: skip
            exported = await export.start_data_export(w, pk)
            erased = await erasure.start_erasure(w, pk, "on_request")
        job = await jobs.claim(db, merchant.id, exported)
        await jobs.perform(db, job, job_kinds(registry))
        _, document = await document_of(merchant, exported)
        assert document["tables"]["taobao_likes"] == [{"id": 1, "wish": "tea", "customer_id": pk}]
        job = await jobs.claim(db, merchant.id, erased)
        await jobs.perform(db, job, job_kinds(registry))
        async with merchant.read() as session:
            left = await session.sql.fetch("SELECT customer_id FROM taobao_likes")
        assert [row["customer_id"] for row in left] == [other]
    finally:
        async with merchant.work() as w:
            await w.sql.execute("DROP TABLE taobao_likes")


async def test_after_a_crash_it_begins_again(merchant, monkeypatch):
    monkeypatch.setattr(jobs, "PIECE_BYTES", 500)
    pk, *_ = await make_person(merchant)
    db = merchant.installation.db
    async with merchant.work() as w:
        job_id = await export.start_data_export(w, pk)
    job = await jobs.claim(db, merchant.id, job_id)
    async with job.step(db) as w:
        for number in range(100):
            await jobs.add_file_piece(w, job_id, number, b"{broken", role="output")
    merchant.clock.move(jobs.LEASE * 2)
    await run_job(merchant, job_id)
    _, document = await document_of(merchant, job_id)
    assert document["customer"] == pk


async def test_other_merchants_customers_are_unknown(merchant, installation):
    pk, *_ = await make_person(merchant)
    other = await set_up_merchant(installation.db, installation.registry, "Other")
    async with installation.db.work(other.merchant_id) as w:
        with pytest.raises(NotFound):
            await export.start_data_export(w, pk)
