"""Rows go when their time has come, and not before."""

from datetime import timedelta

import orjson
import pytest

from core.domain.customers.consent import set_consent
from core.domain.privacy import retention
from core.domain.privacy.retention import apply_rules, count_old, house_keep, remove_rule, set_rule
from core.domain.shops import audit
from core.sdk import InvalidInput, NotFound
from core.storage import jobs
from tests.privacy.kit import insert, make_customer


async def count(merchant, table):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            f"SELECT count(*) FROM {table} WHERE merchant_id = $1", merchant.id
        )


async def ended_job(merchant):
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, "none.such", {}, queued=False)
        await w.sql.execute(
            """UPDATE jobs SET state = 'succeeded', finished_at = $3
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, job_id, w.now,
        )  # fmt: skip
        await jobs.add_file_piece(w, job_id, 0, b"x", role="output")
        await insert(w, "job_rejects", job_id=job_id, row=1, code="X", message="x")
        await insert(w, "import_changes", job_id=job_id, customer_id=1, before="{}",
                     after_version=1)  # fmt: skip
    return job_id


async def test_a_job_goes_with_what_belongs_to_it(merchant):
    await ended_job(merchant)
    async with merchant.work() as w:
        await jobs.enqueue(w, "none.such", {}, queued=False)  # still open
        for table in ("import_changes", "job_rejects"):
            await set_rule(w, table, 1000)
    merchant.clock.move(timedelta(days=180))
    assert await apply_rules(merchant.installation.db, merchant.id) == {}
    merchant.clock.move(timedelta(seconds=1))
    assert await apply_rules(merchant.installation.db, merchant.id) == {"jobs": 1}
    assert await count(merchant, "jobs") == 1
    for table in ("job_files", "job_rejects", "import_changes"):
        assert await count(merchant, table) == 0


async def test_the_merchants_rule_goes_before_the_default(merchant, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 3)
    async with merchant.work() as w:
        for number in range(10):
            await insert(w, "customer_log", customer_id=1, kind="x", data="{}", actor="system",
                         at=w.now - timedelta(days=31 * (number % 2)))  # fmt: skip
    db = merchant.installation.db
    assert await apply_rules(db, merchant.id) == {}
    async with merchant.work() as w:
        await set_rule(w, "customer_log", 30)
        assert await count_old(w, "customer_log", 30) == 5
    assert await apply_rules(db, merchant.id) == {"customer_log": 5}
    assert await count(merchant, "customer_log") == 5
    entries = [e async for e in audit.entries(db, merchant.id)]
    assert [e["data"] for e in entries if e["action"] == "retention.run"] == [
        {"rows": {"customer_log": 5}}
    ]
    async with merchant.work() as w:
        await remove_rule(w, "customer_log")
        rule = next(r for r in await retention.rules(w) if r.keeping.table == "customer_log")
    assert (rule.days, rule.chosen) == (None, False)


async def test_open_events_and_confirmed_requests_stay(merchant):
    async with merchant.work() as w:
        long_ago = w.now - timedelta(days=3000)
        for done in (None, long_ago):
            await insert(w, "outbox_events", type="x", payload="{}", created_at=long_ago,
                         handled_by="[]", attempts=0, next_at=long_ago, done_at=done)  # fmt: skip
        for number, state in enumerate(("pending", "confirmed", "expired", "replaced")):
            await insert(w, "consent_requests", customer_id=1, channel="email",
                         purpose="marketing", address_index=b"x", token_hash=bytes([number]),
                         source="x", text="x", text_version="1", state=state,
                         created_at=long_ago, expires_at=long_ago)  # fmt: skip
    found = await apply_rules(merchant.installation.db, merchant.id)
    assert found == {"outbox_events": 1, "consent_requests": 3}


async def test_consent_goes_years_after_its_withdrawal_and_the_refusal_stays(merchant):
    db = merchant.installation.db
    async with merchant.work() as w:
        gone = await make_customer(w, "gone")
        still = await make_customer(w, "still")
        for pk in (gone, still):
            await set_consent(w, pk, "email", "marketing", "granted", "x")
        await set_rule(w, "consent_events", retention.PROOF_DAYS)
    merchant.clock.move(timedelta(days=300))
    async with merchant.work() as w:
        await set_consent(w, gone, "email", "marketing", "denied", "x")
    merchant.clock.move(timedelta(days=retention.PROOF_DAYS - 1))
    assert "consent_events" not in await apply_rules(db, merchant.id)
    merchant.clock.move(timedelta(days=2))
    assert (await apply_rules(db, merchant.id))["consent_events"] == 2
    async with merchant.read() as session:
        left = await session.sql.fetch(
            "SELECT customer_id, status FROM consents WHERE merchant_id = $1 ORDER BY id",
            merchant.id,
        )
    assert [tuple(row) for row in left] == [(gone, "denied"), (still, "granted")]
    assert await count(merchant, "consent_events") == 1


@pytest.mark.parametrize(
    ("table", "days", "error"),
    [("audit_log", 30, NotFound), ("deliveries", 30, NotFound), ("orders; DROP", 30, NotFound),
     ("jobs", 29, InvalidInput), ("consent_events", 1000, InvalidInput),
     ("jobs", 10**9, InvalidInput), ("jobs", -1, InvalidInput)],
)  # fmt: skip
async def test_what_must_be_kept_cannot_be_thinned(merchant, table, days, error):
    async with merchant.work() as w:
        with pytest.raises(error):
            await set_rule(w, table, days)
        with pytest.raises(error):
            await count_old(w, table, days)


async def test_every_condition_is_sql_and_every_table_exists(merchant):
    async with merchant.read() as session:
        for table, keeping in retention.KEPT.items():
            assert await count_old(session, table, keeping.days or keeping.least) == 0


@pytest.mark.slow
async def test_the_house_is_kept_once_an_hour_for_every_merchant(merchant):
    db = merchant.installation.db
    merchant.clock.move(timedelta(hours=2))
    await house_keep(db)
    assert not await house_keep(db)
    job_id = await ended_job(merchant)
    merchant.clock.move(timedelta(days=8))
    assert await house_keep(db)
    assert await count(merchant, "job_files") == 0  # outputs are kept for a week
    async with merchant.read() as session:
        assert orjson.loads((await jobs.get(session, job_id))["params"]) == {}
    merchant.clock.move(timedelta(minutes=59))
    assert not await house_keep(db)
    merchant.clock.move(timedelta(minutes=1))
    assert await house_keep(db)


async def test_another_merchants_rows_stay(merchant, installation):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other")
    await ended_job(merchant)
    merchant.clock.move(timedelta(days=200))
    assert await apply_rules(installation.db, other.merchant_id) == {}
    assert await count(merchant, "jobs") == 1
