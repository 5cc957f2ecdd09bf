import asyncio
import csv
import re
from datetime import date
from pathlib import Path

import openpyxl
import orjson
import pytest

from core.domain.customers import import_rows, importing, intake
from core.domain.customers.import_columns import FIELDS
from core.domain.customers.import_undo import REASONS
from core.domain.customers.importing import (
    AlreadyRunning,
    CustomerImport,
    Options,
    import_local,
    preview,
    rehearse,
    start_import,
)
from core.installation import job_kinds
from core.sdk import InvalidInput, NotFound
from core.storage import jobs
from core.tabular.bulk import Account, rejects_of
from core.tabular.reading import FileUnreadable, examine
from tests.processes import environment, huike

HEADERS = ["姓名", "手机", "邮箱", "会员卡号"]


def write(path, rows, headers=HEADERS, encoding="utf-8", delimiter=","):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([headers, *rows])
    return path


def person(number, **more):
    cells = {
        "姓名": f"客户{number}", "手机": f"138{number:08d}", "邮箱": f"c{number}@example.com",
        "会员卡号": f"V{number}",
    } | more  # fmt: skip
    return [cells[header] for header in HEADERS]


async def take(merchant, path, **options):
    db = merchant.installation.db
    ended = await import_local(db, merchant.id, examine(path), Options(**options))
    return ended, [reject async for reject in rejects_of(db, merchant.id, ended.job_id)]


async def value(merchant, statement, *args):
    async with merchant.read() as session:
        return await session.sql.fetchval(statement, merchant.id, *args)


async def rows(merchant, statement, *args):
    async with merchant.read() as session:
        return [tuple(row) for row in await session.sql.fetch(statement, merchant.id, *args)]


async def count(merchant, table="customers", condition="TRUE"):
    return await value(
        merchant, f"SELECT count(*) FROM {table} WHERE merchant_id = $1 AND {condition}"
    )


async def contacts(merchant):
    """Every customer's phone and email, unsealed."""
    keyring = merchant.installation.db.keyring
    found = {}
    for pk, phone, email in await rows(
        merchant, "SELECT id, phone_sealed, email_sealed FROM customers WHERE merchant_id = $1"
    ):
        found[pk] = tuple(
            sealed and keyring.open(sealed, f"customers.{kind}|{merchant.id}|{pk}")
            for kind, sealed in (("phone", phone), ("email", email))
        )
    return found


async def test_a_file_twice(merchant, tmp_path):
    path = write(tmp_path / "c.csv", [person(n) for n in range(10)])
    ended, rejects = await take(merchant, path)
    assert (ended.account, rejects) == (Account(read=10, created=10), [])
    assert ("+8613800000003", "c3@example.com") in (await contacts(merchant)).values()
    assert await count(merchant, "customer_identities") == 30
    ended, _ = await take(merchant, path)
    assert ended.account == Account(read=10, unchanged=10)
    assert await count(merchant, "customers", "version = 1") == 10
    assert await count(merchant, "customer_log") == 10


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8-sig", ";"), ("gb18030", ","), ("utf-16", "\t")]
)
async def test_encodings_and_delimiters(merchant, tmp_path, encoding, delimiter):
    path = write(tmp_path / "c.csv", [person(1)], HEADERS, encoding, delimiter)
    ended, _ = await take(merchant, path)
    assert ended.account.created == 1
    assert await value(merchant, "SELECT name FROM customers WHERE merchant_id = $1") == "客户1"


async def test_excel(merchant, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["姓名", "手机", "生日"])
    book.active.append(["甲", 13800138000, date(1990, 1, 2)])
    book.active.append(["乙", "+86 13900139000", "1990/1/2"])
    book.active.append(["丙", 1.38e20, None])
    book.save(tmp_path / "c.xlsx")
    ended, rejects = await take(merchant, tmp_path / "c.xlsx")
    assert ended.account == Account(read=3, created=2, rejected=1)
    assert [(r.row, r.column) for r in rejects] == [(4, "手机")]
    birthdays = await rows(merchant, "SELECT birthday FROM customers WHERE merchant_id = $1")
    assert birthdays == [(date(1990, 1, 2),)] * 2


async def test_what_is_wrong_with_rows(merchant, tmp_path):
    path = write(
        tmp_path / "c.csv",
        [
            person(1),
            person(2, 手机="12"),
            person(3, 邮箱="nonsense"),
            ["x", "", "", ""],
            person(4, 姓名="x" * 10_000),
            person(5, 会员卡号="1.2E+15"),
            [*person(6), "more"],
            person(7, 手机="138****0007"),
        ],
    )
    ended, rejects = await take(merchant, path)
    assert ended.account == Account(read=8, created=2, rejected=6)
    assert [(r.row, r.code, r.column) for r in rejects] == [
        (3, "BAD_PHONE", "手机"), (4, "BAD_EMAIL", "邮箱"), (5, "NO_IDENTITY", "手机"),
        (6, "TOO_LONG", "姓名"), (7, "LOST_DIGITS", "会员卡号"), (8, "COLUMN_COUNT", None),
    ]  # fmt: skip
    async with merchant.read() as session:
        job = await jobs.get(session, ended.job_id)
    assert (job["done"], job["total"], job["failed"]) == (8, 8, 6)


async def test_broken_characters_cost_their_row_only(merchant, tmp_path):
    path = write(tmp_path / "c.csv", [person(1), person(2, 姓名="bad"), person(3)])
    path.write_bytes(path.read_bytes().replace(b"bad", b"\xff\xfe"))
    ended, rejects = await take(merchant, path)
    assert ended.account == Account(read=3, created=2, rejected=1)
    assert [(r.row, r.code) for r in rejects] == [(3, "BAD_ROW")]
    path.write_bytes(b"")
    with pytest.raises(FileUnreadable):
        await take(merchant, path)


async def test_later_rows_of_one_customer_update_it(merchant, tmp_path, monkeypatch):
    for size in (2000, 1):
        monkeypatch.setattr(importing, "CHUNK_ROWS", size)
        base = size * 10
        path = write(
            tmp_path / "c.csv",
            [
                person(base, 邮箱="", 会员卡号=""),
                person(base, 姓名="新名", 会员卡号=""),
                person(base, 姓名="新名", 会员卡号=""),
                person(base, 手机="", 姓名=""),
            ],
        )
        ended, _ = await take(merchant, path)
        assert ended.account == Account(read=4, created=1, updated=2, unchanged=1)
    assert await count(merchant) == 2
    assert await count(merchant, "customers", "name = '新名'") == 2
    assert await count(merchant, "import_changes") == 2


async def test_blank_cells_change_nothing_and_the_policy_decides_the_rest(merchant, tmp_path):
    first = write(tmp_path / "1.csv", [person(1), ["", "13800000002", "", ""]])
    await take(merchant, first)
    names = "SELECT name FROM customers WHERE merchant_id = $1 ORDER BY id"
    second = write(
        tmp_path / "2.csv",
        [person(1, 姓名="改", 邮箱=""), ["补", "13800000002", "", ""], person(3)],
    )
    ended, _ = await take(merchant, second, existing="skip")
    assert ended.account == Account(read=3, created=1, unchanged=2)
    assert await rows(merchant, names) == [("客户1",), (None,), ("客户3",)]
    ended, _ = await take(merchant, second, existing="fill")
    assert ended.account == Account(read=3, updated=1, unchanged=2)
    assert await rows(merchant, names) == [("客户1",), ("补",), ("客户3",)]
    ended, _ = await take(merchant, second)
    assert ended.account == Account(read=3, updated=1, unchanged=2)
    assert await rows(merchant, names) == [("改",), ("补",), ("客户3",)]
    assert ("+8613800000001", "c1@example.com") in (await contacts(merchant)).values()
    versions = "SELECT version FROM customers WHERE merchant_id = $1 ORDER BY id"
    assert await rows(merchant, versions) == [(2,), (2,), (1,)]


async def test_a_row_that_fits_two_customers_is_refused_and_suggested(merchant, tmp_path):
    await take(merchant, write(tmp_path / "1.csv", [person(1), person(2)]))
    mixed = person(1, 邮箱="c2@example.com", 会员卡号="")
    ended, rejects = await take(merchant, write(tmp_path / "2.csv", [mixed, person(3)]))
    assert ended.account == Account(read=2, created=1, rejected=1)
    assert [(r.row, r.code) for r in rejects] == [(2, "AMBIGUOUS")]
    found = await rows(
        merchant, "SELECT first_id, second_id, state FROM merge_suggestions WHERE merchant_id = $1"
    )
    ids = [pk for (pk,) in await rows(
        merchant, "SELECT id FROM customers WHERE merchant_id = $1 AND name <> '客户3' ORDER BY id"
    )]  # fmt: skip
    assert found == [(*ids, "open")]
    await take(merchant, write(tmp_path / "3.csv", [mixed, mixed, person(4)]))
    assert await count(merchant, "merge_suggestions") == 1


async def test_two_customers_of_one_file_that_a_third_row_joins(merchant, tmp_path):
    path = write(
        tmp_path / "c.csv",
        [["甲", "13800000001", "", ""], ["乙", "", "b@example.com", ""],
         ["丙", "13800000001", "b@example.com", ""]],
    )  # fmt: skip
    ended, rejects = await take(merchant, path)
    assert ended.account == Account(read=3, created=2, rejected=1)
    assert [r.code for r in rejects] == ["AMBIGUOUS"]
    assert await count(merchant, "merge_suggestions") == 1


async def test_a_household_with_one_phone_stays_several_customers(merchant, tmp_path):
    path = write(
        tmp_path / "c.csv",
        [["妈妈", "13800000001", "", "V1"], ["爸爸", "13800000001", "", "V2"],
         ["", "13800000001", "", "V2"]],
    )  # fmt: skip
    ended, rejects = await take(merchant, path)
    assert (ended.account, rejects) == (Account(read=3, created=2, unchanged=1), [])
    ended, rejects = await take(merchant, path)
    assert (ended.account, rejects) == (Account(read=3, unchanged=3), [])
    assert [phone for phone, _ in (await contacts(merchant)).values()] == ["+8613800000001"] * 2


async def test_ids_are_of_their_shop_or_of_the_merchant(merchant, tmp_path):
    path = write(tmp_path / "c.csv", [["甲", "", "", "V1"]])
    ended, _ = await take(merchant, path)
    assert ended.account.created == 1
    ended, _ = await take(merchant, path, shop_id=merchant.shop_id)
    assert ended.account.created == 1
    scopes = await rows(
        merchant,
        "SELECT scope, scope_id, kind, value FROM customer_identities WHERE merchant_id = $1 "
        "ORDER BY scope",
    )
    assert scopes == [
        ("merchant", 0, "member_card", "V1"), ("shop", merchant.shop_id, "member_card", "V1")
    ]  # fmt: skip
    with pytest.raises(NotFound):
        await take(merchant, path, shop_id=merchant.shop_id + 10_000)


async def test_a_buyer_known_from_orders_is_found(merchant, tmp_path):
    async with merchant.work() as w:
        from core.domain.customers.identify import Person, identify, lock_customers, save

        await lock_customers(w)
        people = [Person(w.now, "nick1", "+8613800000001", None, "旧")]
        found = await identify(w, merchant.shop_id, "taobao_nick", people)
        await save(w, found, people, {}, "orders")
    path = write(tmp_path / "c.csv", [["nick1", "新"]], ["昵称", "姓名"])
    mapping = {"id.taobao_nick": "昵称"}
    ended, _ = await take(merchant, path, mapping=mapping, shop_id=merchant.shop_id)
    assert ended.account == Account(read=1, updated=1)
    path = write(tmp_path / "d.csv", [person(1)])
    ended, _ = await take(merchant, path)
    assert ended.account == Account(read=1, updated=1)
    assert await count(merchant) == 1


CONSENT = ["手机", "consent.email", "evidence.email"]


async def statuses(merchant):
    return dict(
        await rows(
            merchant,
            """SELECT right(c.name, 1), s.status FROM consents s
               JOIN customers c ON c.merchant_id = s.merchant_id AND c.id = s.customer_id
               WHERE s.merchant_id = $1 ORDER BY 1""",
        )
    )


async def test_consent_is_never_widened(merchant, tmp_path):
    def file(*words):
        lines = [[f"1380000000{n}", f"n{n}", *word] for n, word in enumerate(words)]
        return write(tmp_path / "c.csv", lines, ["手机", "姓名", "consent.email", "evidence.email"])

    await take(merchant, file(("是", "form 1"), ("是", ""), ("否", ""), ("", "form")))
    assert await statuses(merchant) == {"0": "granted", "1": "unproven", "2": "denied"}
    # a no beats everything, a yes never beats a no, evidence makes a proof of what had none
    await take(merchant, file(("否", ""), ("是", "form 2"), ("是", "form 3"), ("未知", "")))
    assert await statuses(merchant) == {
        "0": "denied", "1": "granted", "2": "denied", "3": "unproven"
    }  # fmt: skip
    await take(merchant, file(("", ""), ("是", ""), ("", ""), ("是", "")))
    assert await statuses(merchant) == {
        "0": "denied", "1": "granted", "2": "denied", "3": "unproven"
    }  # fmt: skip
    log = await rows(
        merchant,
        "SELECT status, source, evidence::text, actor FROM consent_events WHERE merchant_id = $1 "
        "ORDER BY id",
    )
    assert [entry[0] for entry in log] == [
        "granted", "unproven", "denied", "denied", "granted", "unproven"
    ]  # fmt: skip
    assert {entry[1] for entry in log} == {"import"}
    assert orjson.loads(log[0][2]) == {"text": "form 1"}
    assert log[0][3].startswith("job:")


async def test_consent_and_tags_of_the_whole_file(merchant, tmp_path):
    path = write(tmp_path / "c.csv", [["13800000001", "是"], ["13800000002", "否"],
                                      ["13800000003", ""]], ["手机", "consent.email"])  # fmt: skip
    options = {"consent": {"email": "fair 2026"}, "tags": ["fair", "2026"]}
    ended, _ = await take(merchant, path, **options)
    words = await rows(
        merchant, "SELECT status FROM consents WHERE merchant_id = $1 ORDER BY customer_id"
    )
    assert words == [("granted",), ("denied",), ("granted",)]
    assert await count(merchant, "customer_tags", f"source = 'import:{ended.job_id}'") == 6
    again, _ = await take(merchant, path, **options)
    assert again.account == Account(read=3, unchanged=3)


async def test_custom_fields(merchant, tmp_path):
    async with merchant.work() as w:
        for key, kind in (("size", "int"), ("since", "date"), ("level", "choice"),
                          ("note", "text"), ("vip", "bool")):  # fmt: skip
            await w.sql.execute(
                """INSERT INTO custom_fields (merchant_id, namespace, key, title, type, choices,
                                              created_at)
                   VALUES ($1, 'custom', $2, $2, $3, '["gold", "silver"]', $4)""",
                w.merchant_id, key, kind, w.now,
            )  # fmt: skip
    headers = ["手机", "尺码", "custom.since", "custom.level", "custom.note", "custom.vip"]
    path = write(
        tmp_path / "c.csv",
        [["13800000001", "42", "2020-01-02", "gold", "茶", "是"],
         ["13800000002", "4.5", "", "", "", ""],
         ["13800000003", "", "", "bronze", "", ""],
         ["13800000004", "", "", "", "", ""]],
        headers,
    )  # fmt: skip
    mapping = {"custom.size": "尺码"}
    ended, rejects = await take(merchant, path, mapping=mapping)
    assert ended.account == Account(read=4, created=2, rejected=2)
    assert [(r.code, r.column) for r in rejects] == [
        ("BAD_VALUE", "尺码"), ("BAD_VALUE", "custom.level")
    ]  # fmt: skip
    found = await rows(
        merchant,
        """SELECT f.key, v.text, v.number::int, v.moment::date FROM custom_field_values v
           JOIN custom_fields f ON f.merchant_id = v.merchant_id AND f.id = v.field_id
           WHERE v.merchant_id = $1 ORDER BY f.key""",
    )
    assert found == [
        ("level", "gold", None, None), ("note", "茶", None, None),
        ("since", None, None, date(2020, 1, 2)), ("size", None, 42, None), ("vip", None, 1, None),
    ]  # fmt: skip
    ended, _ = await take(merchant, path, mapping=mapping)
    assert ended.account == Account(read=4, unchanged=2, rejected=2)
    with pytest.raises(InvalidInput, match="no custom field none"):
        await take(merchant, path, mapping={"custom.none": "尺码"})


async def test_stop_at_the_first_error(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 3)
    path = write(tmp_path / "c.csv", [person(n, **({"手机": "1"} if n == 4 else {}))
                                      for n in range(7)])  # fmt: skip
    ended, rejects = await take(merchant, path, on_error="stop")
    assert "row 6, column 手机" in ended.error
    assert "the rows up to 4 are kept" in ended.error
    assert ended.account == Account(read=3, created=3)
    assert rejects == []
    assert await count(merchant) == 3


async def test_a_rehearsal_tells_the_truth_and_writes_nothing(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 4)
    await take(merchant, write(tmp_path / "a.csv", [person(n) for n in range(5)]))
    path = write(tmp_path / "b.csv", [*(person(n, 姓名="新") for n in range(3, 9)),
                                      person(9, 手机="x"), person(8)])  # fmt: skip
    found = []
    db = merchant.installation.db
    account = await rehearse(db, merchant.id, examine(path), Options(), found.append)
    assert account == Account(read=8, created=4, updated=3, rejected=1)
    assert [r.code for r in found] == ["BAD_PHONE"]
    assert await count(merchant) == 5
    ended, _ = await take(merchant, path)
    assert ended.account == account


async def test_a_preview_stores_nothing(merchant, tmp_path):
    path = write(tmp_path / "c.csv", [person(n) for n in range(30)] + [person(1, 手机="x")])
    async with merchant.read() as session:
        found = await preview(session, examine(path), Options(), 100)
        few = await preview(session, examine(path), Options())
    assert len(few.rows) == 20
    assert len(found.rows) == 31
    assert found.rows[0].values == {
        "phone": "+8613800000000", "email": "c0@example.com", "name": "客户0",
        "id.member_card": "V0",
    }  # fmt: skip
    assert (found.rows[-1].problem.code, found.rows[-1].problem.row) == ("BAD_PHONE", 32)
    assert await count(merchant) == 0
    assert await count(merchant, "jobs") == 0


async def test_an_interrupted_import_goes_on(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 10)
    path = write(tmp_path / "c.csv", [person(n) for n in range(50)])
    real, calls = importing.take_customers, []

    async def failing(*args):
        calls.append(1)
        found = await real(*args)
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return found

    monkeypatch.setattr(importing, "take_customers", failing)
    ended, _ = await take(merchant, path)
    assert ended.account == Account(read=20, created=20)
    again, _ = await take(merchant, path)
    assert (again.job_id, again.resumed_at, again.error) == (ended.job_id, 21, None)
    assert again.account == Account(read=50, created=50)
    assert await count(merchant) == 50


async def test_two_imports_at_once(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 50)
    one = write(tmp_path / "1.csv", [person(n) for n in range(300)])
    two = write(tmp_path / "2.csv", [person(n) for n in range(299, -1, -1)])
    (first, _), (second, _) = await asyncio.gather(take(merchant, one), take(merchant, two))
    assert first.account.created + second.account.created == 300
    assert first.account.unchanged + second.account.unchanged == 300
    assert await count(merchant) == 300
    results = await asyncio.gather(take(merchant, one), take(merchant, one), return_exceptions=True)
    assert [type(r) for r in results if isinstance(r, Exception)] in ([], [AlreadyRunning])


async def pieces(content):
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]


async def test_an_uploaded_file(merchant, tmp_path):
    content = write(tmp_path / "c.csv", [person(n) for n in range(3000)]).read_bytes()
    opened = merchant.installation
    async with merchant.work() as w:
        job_id = await start_import(w, Options(), pieces(content), "c.csv")
    stored = await value(merchant, "SELECT data FROM job_files WHERE merchant_id = $1 LIMIT 1")
    assert b"@example.com" not in stored
    job = await jobs.claim(opened.db, merchant.id, job_id)
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    async with merchant.read() as session:
        done = await jobs.get(session, job_id)
    assert done["state"] == "succeeded"
    assert orjson.loads(done["result"])["created"] == 3000
    assert "example.com" not in done["params"]
    assert await count(merchant, "job_files") == 0
    for options, data, name, why in (
        (Options(), content, "c.xls", "xls"),
        (Options(), b"", "c.csv", "empty"),
        (Options(mapping={"colour": "x"}), content, "c.csv", "there is no field"),
    ):
        with pytest.raises(InvalidInput, match=why):
            async with merchant.work() as w:
                await start_import(w, options, pieces(data), name)
    assert await count(merchant, "jobs") == 1  # nothing is left of those that were refused


async def test_other_merchants_customers_are_never_found(merchant, tmp_path):
    from core.domain.shops.setup import set_up_merchant
    from core.testing import TestMerchant

    opened = merchant.installation
    made = await set_up_merchant(opened.db, opened.registry, "Other", shop="shop")
    other = TestMerchant(made.merchant_id, made.shop_id, made.token, opened, merchant.clock)
    path = write(tmp_path / "c.csv", [person(n) for n in range(5)])
    for one in (merchant, other):
        ended, _ = await take(one, path)
        assert ended.account.created == 5


async def test_killed_and_run_again(merchant, tmp_path):
    """kill -9 in the middle of the command, then the same command: nothing lost, nothing twice."""
    total = 20_000
    path = write(
        tmp_path / "c.csv",
        [person(n, **({"手机": "x"} if n % 1000 == 7 else {})) for n in range(total)],
    )
    command = ("import", "customers", path, "--merchant", merchant.id, "--tag", "fair")
    env = environment(merchant.installation.settings.home)

    async def done():
        return await value(
            merchant, "SELECT COALESCE(max(done), 0) FROM jobs WHERE merchant_id = $1"
        )

    await huike(*command, env=env).kill_once(done)
    assert await done() < total
    again = await huike(*command, env=env).ended()
    assert again.returncode == 0, again.stderr
    assert "went on behind row" in again.stdout
    good = total - 20
    account = f"read {total} = created {good} + updated 0 + unchanged 0 + rejected 20"
    assert account in again.stdout
    assert await count(merchant) == good
    assert await count(merchant, "customer_tags") == good
    assert await count(merchant, "import_changes") == good
    with (tmp_path / "c.csv.rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.reader(file))) == 21


def test_options_that_cannot_be():
    for options in (
        Options(mapping={"colour": "x"}), Options(existing="replace"), Options(on_error="cry"),
        Options(tags=["x" * 65]), Options(consent={"E mail": "x"}), Options(consent={"email": " "}),
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            options.params()


def test_the_guide_lists_every_field_and_code():
    guide = (Path(__file__).parents[2] / "docs/guides/customers-import.md").read_text("utf-8")
    assert [field for field in FIELDS if f"| `{field}` |" not in guide] == []
    codes = {"AMBIGUOUS", "BAD_ROW", *REASONS}
    for module in (importing, import_rows, intake):
        source = Path(module.__file__).read_text(encoding="utf-8")
        codes |= set(re.findall(r'RowError\(\s*"([A-Z_]+)"', source))
    assert len(codes) > 15
    assert [code for code in codes if code not in guide] == []


def test_the_job_kind_is_registered(installation):
    assert isinstance(job_kinds(installation.registry)[importing.KIND], CustomerImport)
