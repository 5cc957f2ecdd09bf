"""The audit log: a chain without gaps, in which every kind of tampering is found."""

import asyncio

import asyncpg
import pytest

from core.domain.customers.identify import lock_customers
from core.domain.shops import audit
from core.domain.shops.plugins import disable_plugin, enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.tokens import create_token, revoke_token
from core.sdk import InvalidInput
from core.storage import chain, jobs


@pytest.fixture
def db(merchant):
    return merchant.installation.db


async def add(merchant, count, start=0):
    for number in range(start, start + count):
        async with merchant.work() as w:
            w.audit("test.done", {"number": number})


async def rows_of(merchant):
    async with merchant.read() as session:
        return await session.sql.fetch(
            "SELECT * FROM audit_log WHERE merchant_id = $1 ORDER BY number", merchant.id
        )


async def tamper(merchant, *statements):
    """What somebody who owns the database can do."""
    async with merchant.work() as w:
        await w.sql.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_keep")
        for statement in statements:
            await w.sql.execute(statement, merchant.id)
        await w.sql.execute("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_keep")


async def test_an_untouched_log_is_intact(db, merchant, monkeypatch):
    monkeypatch.setattr(audit, "CHUNK", 7)
    await add(merchant, 20)
    rows = await rows_of(merchant)
    check = await audit.verify(db, merchant.id, rows[3]["hash"])
    assert check.fault is None
    assert check.entries == len(rows) >= 20
    assert check.head == rows[-1]["hash"]
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    exported = [entry async for entry in audit.entries(db, merchant.id)]
    assert [entry["hash"] for entry in exported] == [row["hash"].hex() for row in rows]


@pytest.mark.parametrize(
    ("statements", "number"),
    [
        (["UPDATE audit_log SET data = '{\"number\": 999}' WHERE merchant_id = $1 AND number = 8"],
         8),
        (["UPDATE audit_log SET actor = 'token:1' WHERE merchant_id = $1 AND number = 8"], 8),
        (["UPDATE audit_log SET action = 'test.undone' WHERE merchant_id = $1 AND number = 8"], 8),
        (["UPDATE audit_log SET at = at + INTERVAL '1 us' WHERE merchant_id = $1 AND number = 8"],
         8),
        (["UPDATE audit_log SET hash = '\\x00' WHERE merchant_id = $1 AND number = 8"], 8),
        (["DELETE FROM audit_log WHERE merchant_id = $1 AND number = 8"], 8),
        (["DELETE FROM audit_log WHERE merchant_id = $1 AND number = 8",
          "UPDATE audit_log SET number = number - 1 WHERE merchant_id = $1 AND number = 9",
          "UPDATE audit_log SET number = number - 1 WHERE merchant_id = $1 AND number = 10"], 8),
        (["UPDATE audit_log SET number = -8 WHERE merchant_id = $1 AND number = 8",
          "UPDATE audit_log SET number = 8 WHERE merchant_id = $1 AND number = 9",
          "UPDATE audit_log SET number = 9 WHERE merchant_id = $1 AND number = -8"], 8),
        (["DELETE FROM audit_log WHERE merchant_id = $1 AND number = 1"], 1),
    ],
    ids=["data", "actor", "action", "time", "hash", "gap", "moved up", "swapped", "first"],
)  # fmt: skip
async def test_tampering_is_found_where_it_happened(db, merchant, statements, number):
    await add(merchant, 10)
    await tamper(merchant, *statements)
    check = await audit.verify(db, merchant.id)
    assert check.fault is not None
    assert check.fault.number == number


async def test_a_cut_end_is_found_by_a_hash_noted_before(db, merchant):
    await add(merchant, 10)
    noted = (await audit.verify(db, merchant.id)).head
    count = len(await rows_of(merchant))
    await tamper(merchant, f"DELETE FROM audit_log WHERE merchant_id = $1 AND number > {count - 2}")
    assert (await audit.verify(db, merchant.id)).fault is None
    check = await audit.verify(db, merchant.id, noted)
    assert check.fault.number == count - 1
    assert "cut off" in check.fault.reason
    await add(merchant, 5)  # and no later entry hides it
    assert (await audit.verify(db, merchant.id, noted)).fault is not None


async def test_another_merchants_entry_does_not_fit(db, merchant, installation):
    other = await set_up_merchant(installation.db, installation.registry, "Other")
    await add(merchant, 3)
    count = len(await rows_of(merchant))
    await tamper(
        merchant,
        f"""WITH taken AS (DELETE FROM audit_log
                WHERE merchant_id = $1 AND number = {count} RETURNING 1)
            INSERT INTO audit_log (merchant_id, number, at, actor, action, data, hash)
            SELECT $1, {count} + 0 * (SELECT count(*) FROM taken) + 1, at, actor, action, data, hash
            FROM audit_log WHERE merchant_id = {other.merchant_id} AND number = 1""",
        f"UPDATE audit_log SET number = {count} WHERE merchant_id = $1 AND number = {count} + 1",
    )
    assert (await audit.verify(db, merchant.id)).fault.number == count


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
async def test_the_database_refuses_changes(merchant, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added to"):
        async with merchant.work() as w:
            await w.sql.execute(statement)


async def test_concurrent_writers_make_one_chain_without_gaps(db, merchant):
    async def write(number):
        async with merchant.work() as w:
            if number % 2:
                await lock_customers(w)
            w.audit("test.first", {"number": number})
            w.audit("test.second", {"number": number})
            await asyncio.sleep(0)

    before = len(await rows_of(merchant))
    await asyncio.gather(*(write(number) for number in range(40)))
    check = await audit.verify(db, merchant.id)
    assert check.fault is None
    assert check.entries == before + 80


async def test_an_entry_after_one_that_is_no_longer_the_last_is_not_written(db, merchant):
    await add(merchant, 1)
    last = (await rows_of(merchant))[-1]
    end = chain.End(last["number"], last["hash"])
    entry = chain.Entry(merchant.id, 0, last["at"], "test", "test.done", {"number": 1})
    async with db.read(merchant.id) as session:
        for wrong in (chain.End(end.number, bytes(32)), chain.End(end.number + 1, end.digest)):
            assert await chain.append_after(session.sql, db.keyring, [entry], wrong) is None
        found = await chain.append_after(session.sql, db.keyring, [entry, entry], end)
        assert found == chain.End(end.number + 2, (await rows_of(merchant))[-1]["hash"])
        assert await chain.append_after(session.sql, db.keyring, [entry], end) is None
    assert (await audit.verify(db, merchant.id)).fault is None


async def test_what_is_taken_back_leaves_no_entry(db, merchant):
    before = len(await rows_of(merchant))
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with merchant.work() as w:
            w.audit("test.done")
            raise ZeroDivisionError
    await add(merchant, 1)
    assert len(await rows_of(merchant)) == before + 1
    assert (await audit.verify(db, merchant.id)).fault is None


async def test_data_that_would_come_back_in_another_form_is_refused(merchant):
    async with merchant.work() as w:
        with pytest.raises(TypeError):
            w.audit("test.done", {"amount": 0.1})


async def test_tokens_and_plugins_are_audited_without_secrets(merchant):
    registry = merchant.installation.registry
    before = len(await rows_of(merchant))
    async with merchant.installation.db.work(merchant.id, "token:7") as w:
        token, _ = await create_token(w, registry, "a", ["SHOPS_READ"])
        await revoke_token(w, token)
        await revoke_token(w, token)
        await disable_plugin(w, registry, "taobao")
    settings = {"host": "127.0.0.1", "port": 25, "tls": "none", "from_address": "a@example.com",
                "username": "u", "password": "hunter2"}  # fmt: skip
    registry = merchant.installation.registry
    from dataclasses import replace

    quiet = replace(registry, settings_checks={})
    await enable_plugin(merchant.installation.db, merchant.id, quiet, "email", settings, "token:7")
    await enable_plugin(
        merchant.installation.db, merchant.id, quiet, "email", settings | {"port": 26}, "token:7"
    )
    rows = (await rows_of(merchant))[before:]
    assert [row["action"] for row in rows] == [
        "token.created", "token.revoked", "plugin.disabled", "plugin.enabled", "plugin.enabled",
    ]  # fmt: skip
    assert {row["actor"] for row in rows} == {"token:7"}
    assert '"changed": ["port"]' in rows[-1]["data"]
    assert "hunter2" not in str(rows)
    assert "a@example.com" not in str(rows)


async def test_a_job_checks_the_log_and_goes_on_after_a_crash(db, merchant, monkeypatch):
    monkeypatch.setattr(audit, "CHUNK", 4)
    await add(merchant, 15)
    noted = (await rows_of(merchant))[5]["hash"].hex()
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, audit.KIND, {"head": noted})
    job = await jobs.claim(db, merchant.id, job_id)
    steps = 0
    keep = jobs.Job._hold

    async def hold(self, w):
        nonlocal steps
        steps += 1
        if steps == 3:
            raise asyncio.CancelledError
        await keep(self, w)

    monkeypatch.setattr(jobs.Job, "_hold", hold)
    with pytest.raises(asyncio.CancelledError):
        await jobs.perform(db, job, {audit.KIND: audit.AuditVerification()})
    merchant.clock.move(jobs.LEASE * 2)
    job = await jobs.claim(db, merchant.id, job_id)
    assert job.checkpoint["entries"] == 8
    await jobs.perform(db, job, {audit.KIND: audit.AuditVerification()})
    async with merchant.read() as session:
        row = await jobs.get(session, job_id)
    assert row["state"] == "succeeded"
    assert '"intact": true' in row["result"]
    assert f'"entries": {len(await rows_of(merchant))}' in row["result"]


def test_a_malformed_hash_is_refused():
    with pytest.raises(InvalidInput):
        audit.read_hash("abc")
