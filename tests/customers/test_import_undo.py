import asyncio
import csv

import orjson
import pytest

from core.domain.customers import import_undo
from core.domain.customers.customers import add_tags, update_customer
from core.domain.customers.import_undo import CustomerImportUndo, start_undo, undo_local
from core.domain.customers.importing import Options, import_local
from core.sdk import NotFound, WrongState
from core.storage import jobs
from core.tabular.reading import examine

HEADERS = ["姓名", "手机", "邮箱", "id.card", "生日", "tags", "consent.email", "evidence.email",
           "custom.size"]  # fmt: skip


def line(number, **more):
    cells = {"姓名": f"客户{number}", "手机": f"138{number:08d}", "id.card": f"V{number}"} | more
    return [cells.get(header, "") for header in HEADERS]


async def take(merchant, path, lines, **options):
    await field(merchant)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADERS, *lines])
    ended = await import_local(merchant.installation.db, merchant.id, examine(path),
                               Options(**options))  # fmt: skip
    assert ended.error is None, ended.error
    assert ended.account.rejected == 0
    return ended.job_id


async def undo(merchant, job_id):
    opened = merchant.installation
    ended = await undo_local(opened.db, opened.registry, merchant.id, job_id)
    async with merchant.read() as session:
        return orjson.loads((await jobs.get(session, ended.job_id))["result"])


async def rows(merchant, statement, *args):
    async with merchant.read() as session:
        return [tuple(row) for row in await session.sql.fetch(statement, merchant.id, *args)]


TABLES = ("customers", "customer_identities", "customer_tags", "consents", "custom_field_values",
          "import_changes", "merge_suggestions")  # fmt: skip


async def everything(merchant):
    """What there is to know of all customers, but versions, times and seals."""
    keyring = merchant.installation.db.keyring
    found = []
    for row in await rows(
        merchant,
        """SELECT id, name, country, province, city, birthday, phone_index, email_index,
                  phone_sealed, email_sealed FROM customers WHERE merchant_id = $1 ORDER BY id""",
    ):
        *plain, phone, email = row
        place = f"|{merchant.id}|{row[0]}"
        found.append((
            *plain, phone and keyring.open(phone, "customers.phone" + place),
            email and keyring.open(email, "customers.email" + place),
        ))  # fmt: skip
    for what, order in (
        ("customer_id, scope, scope_id, kind, value FROM customer_identities", "1, 2, 3, 4"),
        ("customer_id, tag, source FROM customer_tags", "1, 2"),
        ("customer_id, channel, status FROM consents", "1, 2"),
        ("customer_id, field_id, text, number FROM custom_field_values", "1, 2"),
    ):
        found += await rows(merchant, f"SELECT {what} WHERE merchant_id = $1 ORDER BY {order}")
    return found


async def field(merchant):
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO custom_fields (merchant_id, namespace, key, title, type, choices,
                                          created_at)
               VALUES ($1, 'custom', 'size', 'size', 'int', '[]', $2) ON CONFLICT DO NOTHING""",
            w.merchant_id, w.now,
        )  # fmt: skip


async def test_an_import_of_new_customers_leaves_nothing(merchant, tmp_path):
    more = {"tags": "a,b", "consent.email": "是", "evidence.email": "f", "custom.size": "42"}
    job = await take(merchant, tmp_path / "c.csv", [line(n, **more) for n in range(1200)])
    account = await undo(merchant, job)
    assert account == {"deleted": 1200, "restored": 0, "kept": 0, "reasons": {}}
    for table in (*TABLES, "consent_events", "customer_log"):
        assert await rows(merchant, f"SELECT 1 FROM {table} WHERE merchant_id = $1") == [], table
    again = await undo(merchant, job)
    assert again == {"deleted": 0, "restored": 0, "kept": 0, "reasons": {}}


async def test_changed_customers_get_back_what_they_had(merchant, tmp_path):
    first = {"邮箱": "a@example.com", "生日": "1990-01-02", "tags": "old", "custom.size": "40",
             "consent.email": "否"}  # fmt: skip
    await take(merchant, tmp_path / "1.csv", [line(1, **first), line(2), line(3)])
    before = await everything(merchant)
    second = {"姓名": "新", "手机": "13900000001", "邮箱": "b@example.com", "生日": "1991-01-02",
              "tags": "old,new", "custom.size": "44"}  # fmt: skip
    job = await take(
        merchant, tmp_path / "2.csv",
        [line(1, **second), line(2, 邮箱="c@example.com", **{"custom.size": "1"}), line(3),
         line(1, 姓名="更新"), line(4)],
        tags=["fair"],
    )  # fmt: skip
    assert await everything(merchant) != before
    account = await undo(merchant, job)
    assert account == {"deleted": 1, "restored": 3, "kept": 0, "reasons": {}}
    assert await everything(merchant) == before
    assert await undo(merchant, job) == {"deleted": 0, "restored": 0, "kept": 0, "reasons": {}}


async def test_what_was_changed_since_or_is_in_use_stays(merchant, tmp_path):
    await take(merchant, tmp_path / "1.csv", [line(1), line(2)])
    job = await take(
        merchant, tmp_path / "2.csv", [line(n, 姓名=f"新{n}", tags="x") for n in range(1, 7)]
    )
    ids = dict(await rows(merchant, "SELECT name, id FROM customers WHERE merchant_id = $1"))
    async with merchant.work() as w:
        await update_customer(w, ids["新1"], {"city": "杭州市"})
        await update_customer(w, ids["新3"], {"name": "手写"})
        await add_tags(w, ids["新4"], ["by hand"], "staff")
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, content_hash, taken_at)
               VALUES ($1, $2, 'E', $3, 'completed', 'CNY', 1, 1, 0, $4, '\\x00', $4)""",
            w.merchant_id, merchant.shop_id, ids["新5"], w.now,
        )  # fmt: skip
    account = await undo(merchant, job)
    assert account == {
        "deleted": 1, "restored": 1, "kept": 4, "reasons": {"CHANGED_SINCE": 2, "IN_USE": 2}
    }  # fmt: skip
    names = await rows(merchant, "SELECT name FROM customers WHERE merchant_id = $1 ORDER BY id")
    assert [name for (name,) in names] == ["新1", "客户2", "手写", "新4", "新5"]
    tags = await rows(merchant, "SELECT tag FROM customer_tags WHERE merchant_id = $1")
    assert tags == [("by hand",)]
    kept = await rows(
        merchant, "SELECT row, code FROM job_rejects WHERE merchant_id = $1 ORDER BY row"
    )
    assert kept == [
        (ids["新1"], "CHANGED_SINCE"), (ids["新3"], "CHANGED_SINCE"), (ids["新4"], "IN_USE"),
        (ids["新5"], "IN_USE"),
    ]  # fmt: skip
    # those that stay are still found by their ids
    assert len(await rows(
        merchant, "SELECT 1 FROM customer_identities WHERE merchant_id = $1 AND customer_id = $2",
        ids["新5"],
    )) == 2  # fmt: skip
    again = await undo(merchant, job)
    assert (again["deleted"], again["restored"], again["kept"]) == (0, 0, 4)


async def test_words_of_consent_are_answered_never_erased(merchant, tmp_path):
    words = {"consent.email": "是", "evidence.email": "f"}
    await take(
        merchant, tmp_path / "1.csv",
        [line(1), line(2, **words), line(3, **{"consent.email": "是"}),
         line(4, **{"consent.email": "否"})],
    )  # fmt: skip
    log = "SELECT count(*) FROM consent_events WHERE merchant_id = $1"
    ((before,),) = await rows(merchant, log)
    job = await take(
        merchant, tmp_path / "2.csv",
        [line(1, **words), line(2, **{"consent.email": "否"}), line(3, **words), line(4, **words)],
    )  # fmt: skip
    status = """SELECT c.name, s.status FROM consents s JOIN customers c
                    ON c.merchant_id = s.merchant_id AND c.id = s.customer_id
                WHERE s.merchant_id = $1 ORDER BY 1"""
    assert dict(await rows(merchant, status)) == {
        "客户1": "granted", "客户2": "denied", "客户3": "granted", "客户4": "denied"
    }  # fmt: skip
    await undo(merchant, job)
    assert dict(await rows(merchant, status)) == {
        "客户1": "unproven", "客户2": "granted", "客户3": "unproven", "客户4": "denied"
    }  # fmt: skip
    assert await rows(merchant, log) == [(before + 6,)]
    last = await rows(
        merchant,
        "SELECT source FROM consent_events WHERE merchant_id = $1 ORDER BY id DESC LIMIT 3",
    )
    assert last == [("import_undo",)] * 3


async def test_a_no_since_the_import_stays(merchant, tmp_path):
    from core.domain.customers.consent import unsubscribe

    words = {"consent.email": "是", "evidence.email": "f"}
    await take(merchant, tmp_path / "1.csv", [line(1)])
    job = await take(merchant, tmp_path / "2.csv", [line(1, **words)])
    ((pk,),) = await rows(merchant, "SELECT id FROM customers WHERE merchant_id = $1")
    async with merchant.work() as w:
        await unsubscribe(w, pk, "email", "link")
    await undo(merchant, job)
    assert await rows(merchant, "SELECT status FROM consents WHERE merchant_id = $1") == [
        ("denied",)
    ]


async def test_an_interrupted_undo_goes_on(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(import_undo, "CHUNK", 10)
    job = await take(merchant, tmp_path / "c.csv", [line(n) for n in range(35)])
    db, registry = merchant.installation.db, merchant.installation.registry
    async with merchant.work() as w:
        undo_id = await start_undo(w, job)
    claimed = await jobs.claim(db, merchant.id, undo_id)
    real, calls = import_undo._changes, []

    async def failing(*args):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return await real(*args)

    monkeypatch.setattr(import_undo, "_changes", failing)
    await jobs.perform(db, claimed, {import_undo.KIND: CustomerImportUndo(registry)})
    assert len(await rows(merchant, "SELECT 1 FROM customers WHERE merchant_id = $1")) == 15
    account = await undo(merchant, job)
    assert account["deleted"] == 35
    async with merchant.read() as session:
        done = await jobs.get(session, undo_id)
    assert (done["state"], done["done"], done["total"]) == ("succeeded", 35, 35)


async def test_merged_customers_stay(merchant, tmp_path):
    job = await take(merchant, tmp_path / "c.csv", [line(1), line(2)])
    ids = [pk for (pk,) in await rows(
        merchant, "SELECT id FROM customers WHERE merchant_id = $1 ORDER BY id"
    )]  # fmt: skip
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customer_merges (merchant_id, from_id, into_id, reason, evidence,
                                            filled, actor, at)
               VALUES ($1, 999999999, $2, 'manual', '{}', '{}', 'system', $3)""",
            w.merchant_id, ids[0], w.now,
        )  # fmt: skip
    account = await undo(merchant, job)
    assert account == {"deleted": 1, "restored": 0, "kept": 1, "reasons": {"MERGED": 1}}


async def test_only_ended_imports_of_ones_own_can_be_taken_back(merchant, tmp_path):
    from core.domain.shops.setup import set_up_merchant

    opened = merchant.installation
    job = await take(merchant, tmp_path / "c.csv", [line(1)])
    made = await set_up_merchant(opened.db, opened.registry, "Other")
    async with opened.db.work(made.merchant_id) as w:
        with pytest.raises(NotFound):
            await start_undo(w, job)
    async with merchant.work() as w:
        other = await jobs.enqueue(w, "none.such", {}, queued=False)
        with pytest.raises(NotFound, match="no import of customers"):
            await start_undo(w, other)
        await w.sql.execute("UPDATE jobs SET state = 'running' WHERE merchant_id = $1 AND id = $2",
                            merchant.id, job)  # fmt: skip
        with pytest.raises(WrongState):
            await start_undo(w, job)


async def test_an_order_that_comes_while_it_is_undone_is_not_orphaned(merchant, tmp_path):
    from core.domain.orders.ingest import ingest_orders
    from core.domain.shops.shops import find_shop
    from core.sdk.orders import OrderRecord, OrderState

    job = await take(merchant, tmp_path / "c.csv", [line(n) for n in range(60)])

    async def order(number):
        async with merchant.work() as w:
            shop = await find_shop(w, str(merchant.shop_id))
            record = OrderRecord(
                f"E{number}", OrderState.COMPLETED, "CNY", 1, 1, w.now,
                phone=f"+86138{number:08d}",
            )  # fmt: skip
            await ingest_orders(w, shop, [record], "nick", events=False)

    await asyncio.gather(undo(merchant, job), *(order(n) for n in range(0, 60, 10)))
    orphans = await rows(
        merchant,
        """SELECT 1 FROM orders o WHERE merchant_id = $1 AND NOT EXISTS (
               SELECT 1 FROM customers c WHERE c.merchant_id = o.merchant_id
                   AND c.id = o.customer_id)""",
    )
    assert orphans == []
