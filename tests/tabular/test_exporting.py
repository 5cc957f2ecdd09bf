import csv
import hashlib
import io
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import orjson
import pytest
from click.testing import CliRunner

from core.cli import main
from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.masking import RIGHTS
from core.domain.orders.ingest import ingest_orders
from core.domain.orders.refunds import ingest_refunds
from core.domain.shops.shops import find_shop
from core.installation import EXPORTS, job_kinds
from core.schema.build import build_schema
from core.schema.exports import record_export, where_of_json
from core.sdk import InvalidInput, LineRecord, OrderRecord, OrderState, RefundRecord, RefundState
from core.storage import jobs
from core.tabular import exporting
from core.tabular.exporting import Export
from tests.processes import environment, huike


async def fill(merchant, count, sealed=False):
    """Customers named c0, c1 and so on, with a phone each if `sealed`."""
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, city, version, created_at, updated_at)
               SELECT $1, 'c' || n, '杭州市', 1, $3, $3 FROM generate_series(0, $2 - 1) n
               RETURNING id""",
            w.merchant_id, count, w.now,
        )  # fmt: skip
        if sealed:
            await w.sql.executemany(
                "UPDATE customers SET phone_sealed = $3, email_sealed = $4 "
                "WHERE merchant_id = $1 AND id = $2",
                [
                    (
                        w.merchant_id, r[0],
                        seal_phone(w.keyring, w.merchant_id, r[0], f"+86138{n:08d}"),
                        seal_email(w.keyring, w.merchant_id, r[0], f"c{n}@example.com"),
                    )
                    for n, r in enumerate(rows)
                ],
            )  # fmt: skip
    return [row[0] for row in rows]


async def begin(merchant, name="customers", *, where=None, sort=None, format="csv", columns=None,
                contact=True):  # fmt: skip
    async with merchant.work() as w:
        return await record_export(
            w,
            name,
            where,
            sort,
            format,
            columns,
            clear=RIGHTS if contact else (),
            need=lambda _: None,
            queued=False,
        )


async def go_on(merchant, job_id, kind=None):
    opened = merchant.installation
    job = await jobs.claim(opened.db, merchant.id, job_id, force=True)
    kinds = {exporting.KIND: kind} if kind else job_kinds(opened.registry)
    await jobs.perform(opened.db, job, kinds)
    async with merchant.read() as session:
        return await jobs.get(session, job_id)


async def content(merchant, job_id):
    pieces = jobs.file_pieces(merchant.installation.db, merchant.id, job_id, "output")
    return b"".join([piece async for piece in pieces])


async def export(merchant, name="customers", **options):
    job_id = await begin(merchant, name, **options)
    row = await go_on(merchant, job_id)
    assert row["state"] == "succeeded", row["error"]
    data = await content(merchant, job_id)
    result = orjson.loads(row["result"])
    assert result["file"]["size"] == len(data)
    assert result["file"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["done"] == row["total"]
    return data, result


def lines(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def sheet(data):
    head, *rows = openpyxl.load_workbook(io.BytesIO(data)).active.values
    return [dict(zip(head, row, strict=True)) for row in rows]


async def test_customers_in_each_format(merchant):
    (pk, _) = await fill(merchant, 2, sealed=True)
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               VALUES ($1, $2, 'vip', 'staff', $3), ($1, $2, '=a', 'staff', $3)""",
            w.merchant_id, pk, w.now,
        )  # fmt: skip
        await w.sql.execute(
            "UPDATE customers SET name = '=1+1', birthday = '1990-01-02' "
            "WHERE merchant_id = $1 AND id = $2",
            merchant.id, pk,
        )  # fmt: skip
    data, result = await export(merchant)
    assert result["rows"] == 2
    local = merchant.clock().astimezone(ZoneInfo("Asia/Shanghai"))
    assert result["file"]["name"] == f"customers-{local:%Y-%m-%d}.csv"
    assert result["file"]["permissions"] == ["CUSTOMERS_READ", "PII_EMAIL", "PII_NAME", "PII_PHONE"]
    newest, first = lines(data)
    assert newest["name"] == "c1"
    assert first["name"] == "'=1+1"
    assert first["phone"] == "'+8613800000000"
    assert first["email"] == "c0@example.com"
    assert first["tags"] == "'=a,vip"
    assert (first["birthday"], first["city"]) == ("1990-01-02", "杭州市")
    assert first["created_at"] == f"{local:%Y-%m-%d %H:%M:%S}"
    data, _ = await export(merchant, format="jsonl")
    first = orjson.loads(data.splitlines()[1])
    assert first["name"] == "=1+1"
    assert first["phone"] == "+8613800000000"
    assert first["tags"] == ["=a", "vip"]
    data, _ = await export(merchant, format="xlsx")
    first = sheet(data)[1]
    assert first["name"] == "'=1+1"
    assert first["phone"] == "'+8613800000000"
    assert f"{first['birthday']:%Y-%m-%d}" == "1990-01-02"
    left = "SELECT count(*) FROM job_files WHERE merchant_id = $1 AND role = 'input'"
    async with merchant.read() as session:
        assert await session.sql.fetchval(left, merchant.id) == 0


async def test_contacts_are_masked_without_the_right(merchant):
    await fill(merchant, 1, sealed=True)
    data, result = await export(merchant, contact=False)
    (row,) = lines(data)
    assert (row["phone"], row["email"]) == ("138****0000", "c***@example.com")
    assert result["file"]["permissions"] == ["CUSTOMERS_READ"]


async def test_orders_and_deliveries(merchant):
    (pk,) = await fill(merchant, 1)
    async with merchant.work() as w:
        order = await w.sql.fetchval(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, content_hash, taken_at)
               VALUES ($1, $2, '=E1', $3, 'completed', 'CNY', 9900, 9950, 0, $4, '\\x00', $4)
               RETURNING id""",
            w.merchant_id, merchant.shop_id, pk, w.now,
        )  # fmt: skip
        receiver = orjson.dumps(
            {"name": "张三", "phone": "+8613812341234", "address": "浙江省杭州市"}
        )
        await w.sql.execute(
            "UPDATE orders SET receiver_sealed = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, order,
            w.keyring.seal_bytes(
                receiver, f"orders.receiver|{w.merchant_id}|{order}"
            ),
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, state, currency, total, paid,
                   refunded, ordered_at, content_hash, taken_at)
               VALUES ($1, $2, 'E2', 'completed', 'JPY', 500, 500, 0, $3, '\\x00', $3)""",
            w.merchant_id, merchant.shop_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO order_lines (merchant_id, order_id, external_id, title, quantity, amount)
               VALUES ($1, $2, '1', '茶', 2, 1), ($1, $2, '2', '壶', 1, 1)""",
            w.merchant_id, order,
        )  # fmt: skip
        run = await w.sql.fetchval(
            """WITH segment AS (
                   INSERT INTO segments (merchant_id, name, rule, version, created_at, updated_at)
                   VALUES ($1, 's', '{}', 1, $2, $2) RETURNING id),
               campaign AS (
                   INSERT INTO campaigns (merchant_id, name, channel, segment_id, flow, options,
                                          state, message_class, version, created_at, updated_at)
                   SELECT $1, '=sale', 'email', id, '{}', '{}', 'finished', 'marketing', 1, $2, $2
                   FROM segment
                   RETURNING id)
               INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, flow,
                                          options, created_at)
               SELECT $1, id, 1, 'finished', '{}', '{}', $2 FROM campaign RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                   attempts, next_at, updated_at)
               VALUES ($1, $2, 0, $3, 'email', 'sent', 1, $4, $4)""",
            w.merchant_id, run, pk, w.now,
        )  # fmt: skip
    data, result = await export(merchant, "orders", contact=True)
    second, first = lines(data)
    assert (first["external_id"], first["shop"], first["paid"]) == ("'=E1", "shop", "99.50")
    assert (first["titles"], first["quantity"]) == ("茶,壶", "3")
    assert first["receiver_address"] == "浙江省杭州市"
    assert (second["total"], second["customer_id"], second["receiver_name"]) == ("500", "", "")
    assert result["file"]["permissions"] == ["ORDERS_READ", "PII_ADDRESS", "PII_NAME", "PII_PHONE"]
    data, _ = await export(merchant, "orders", contact=False, format="jsonl")
    first = orjson.loads(data.splitlines()[1])
    assert [first[f"receiver_{part}"] for part in ("name", "phone", "address")] == [
        "张**", "138****1234", "浙江省****"
    ]  # fmt: skip
    data, _ = await export(merchant, "deliveries")
    (row,) = lines(data)
    assert (row["campaign"], row["state"]) == ("'=sale", "sent")


async def test_chosen_columns(merchant):
    await fill(merchant, 1)
    data, _ = await export(merchant, columns=["city", "name"])
    assert data.decode("utf-8-sig") == "city,name\r\n杭州市,c0\r\n"
    for columns, says in ((["colour"], "no column colour"), ([], "at least one"),
                          (["name", "name"], "each once")):  # fmt: skip
        with pytest.raises(InvalidInput, match=says):
            await begin(merchant, columns=columns)


@pytest.mark.parametrize("format", ["csv", "xlsx", "jsonl"])
async def test_nothing_at_all(merchant, format):
    data, result = await export(merchant, format=format, columns=["name"])
    assert result["rows"] == 0
    if format == "xlsx":
        assert sheet(data) == []
    else:
        assert data == {"csv": b"\xef\xbb\xbfname\r\n", "jsonl": b""}[format]


async def test_which_rows_there_are_is_settled_at_the_start(merchant):
    ids = await fill(merchant, 5)
    job_id = await begin(merchant, columns=["name", "city"])
    await fill(merchant, 3)
    async with merchant.work() as w:
        await w.sql.execute(
            "DELETE FROM customers WHERE merchant_id = $1 AND id = $2", merchant.id, ids[1]
        )
        await w.sql.execute(
            "UPDATE customers SET city = '上海市', updated_at = updated_at + INTERVAL '1 day' "
            "WHERE merchant_id = $1 AND id = $2",
            merchant.id, ids[2],
        )  # fmt: skip
    row = await go_on(merchant, job_id)
    found = lines(await content(merchant, job_id))
    assert [one["name"] for one in found] == ["c4", "c3", "c2", "c0"]
    assert found[2]["city"] == "上海市"
    assert orjson.loads(row["result"])["rows"] == 4
    assert (row["done"], row["total"]) == (5, 5)


@pytest.mark.parametrize("format", ["csv", "xlsx", "jsonl"])
async def test_an_interrupted_export_goes_on(merchant, format, monkeypatch):
    monkeypatch.setattr(exporting, "PAGE", 10)
    monkeypatch.setattr(exporting, "IDS_IN_PIECE", 16)
    monkeypatch.setattr(exporting, "FETCH", 7)
    await fill(merchant, 100)
    job_id = await begin(merchant, format=format, columns=["name"])
    calls = []

    def failing(done, total):
        calls.append(done)
        if len(calls) in (3, 4):
            raise RuntimeError("power cut")

    kind = Export(EXPORTS, failing)
    for _ in range(3):
        row = await go_on(merchant, job_id, kind)
    assert row["state"] == "succeeded"
    assert calls == sorted(set(calls))
    data = await content(merchant, job_id)
    found = {
        "csv": lambda: [one["name"] for one in lines(data)],
        "xlsx": lambda: [one["name"] for one in sheet(data)],
        "jsonl": lambda: [orjson.loads(line)["name"] for line in data.splitlines()],
    }[format]()
    assert found == [f"c{n}" for n in range(99, -1, -1)]


async def test_an_excel_file_that_was_half_packed_is_packed_anew(merchant, monkeypatch):
    monkeypatch.setattr(jobs, "PIECE_BYTES", 500)
    await fill(merchant, 3000)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE customers SET name = md5(name) WHERE merchant_id = $1", merchant.id
        )
    job_id = await begin(merchant, format="xlsx", columns=["id", "name"])
    real, calls = jobs.add_file_piece, []

    async def failing(w, job, piece, data, role="input"):
        await real(w, job, piece, data, role)
        calls.append(role)
        if calls.count("output") == 3:
            raise RuntimeError("power cut")

    monkeypatch.setattr(jobs, "add_file_piece", failing)
    row = await go_on(merchant, job_id)
    assert row["state"] == "queued"
    row = await go_on(merchant, job_id)
    assert row["state"] == "succeeded"
    assert len(sheet(await content(merchant, job_id))) == 3000


async def test_a_cancelled_export_leaves_nothing(merchant):
    await fill(merchant, 3)
    job_id = await begin(merchant)
    async with merchant.work() as w:
        await jobs.cancel(w, job_id)
    async with merchant.read() as session:
        files = "SELECT count(*) FROM job_files WHERE merchant_id = $1"
        assert await session.sql.fetchval(files, merchant.id) == 0


async def test_other_merchants_rows_are_never_exported(merchant):
    from core.domain.shops.setup import set_up_merchant

    opened = merchant.installation
    made = await set_up_merchant(opened.db, opened.registry, "Other", shop="shop")
    other = replace(merchant, id=made.merchant_id)
    theirs = await fill(other, 3, sealed=True)
    await fill(merchant, 1)
    data, _ = await export(merchant)
    assert len(lines(data)) == 1
    # not even when their ids are among those settled
    async with merchant.work() as w:
        job_id = await exporting.start_export(
            w, EXPORTS[0], "SELECT unnest($2::bigint[]) FROM merchants WHERE id = $1",
            [merchant.id, theirs], format="csv", columns=None, clear=(), queued=False,
        )  # fmt: skip
    await go_on(merchant, job_id)
    assert lines(await content(merchant, job_id)) == []


async def test_params_hold_no_filter(merchant):
    job_id = await begin(merchant)
    async with merchant.read() as session:
        row = await jobs.get(session, job_id)
    assert set(orjson.loads(row["params"])) == {"table", "format", "columns", "clear", "request"}


def begun(merchant, path, *more):
    return huike(
        "export", "customers", "--merchant", merchant.id, "--output", path, *more,
        env=environment(merchant.installation.settings.home),
    )  # fmt: skip


async def called(merchant, path, *more):
    done = await begun(merchant, path, *more).ended()
    return done.returncode, done.stdout, done.stderr


async def test_the_command(merchant, tmp_path):
    await fill(merchant, 3, sealed=True)
    path = tmp_path / "c.csv"
    where = '{"name": {"in": ["c0", "c2"]}}'
    code, output, complaints = await called(
        merchant, path, "--where", where, "--columns", "name,phone", "--masked"
    )
    assert code == 0, complaints
    assert path.read_text("utf-8-sig") == "name,phone\nc***,138****0002\nc***,138****0000\n"
    assert output.startswith("2 rows, ")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in output
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    async with merchant.read() as session:
        files = "SELECT count(*) FROM job_files WHERE merchant_id = $1"
        assert await session.sql.fetchval(files, merchant.id) == 0


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"colour": {"eq": 1}}, "colour"), ({"name": None}, "null"),
        ({"name": {"eq": 3}}, "String"),
        ([], "CustomerWhere"), ({"createdAt": {"gt": "soon"}}, "soon"),
    ],
)  # fmt: skip
def test_a_filter_in_json_is_checked_as_in_a_request(installation, where, says):
    with pytest.raises(InvalidInput, match=says):
        where_of_json(build_schema(installation.registry), "customers", where)


async def test_a_filter_in_json_filters(merchant):
    await fill(merchant, 5)
    schema = build_schema(merchant.installation.registry)
    given = {
        "or": [{"name": {"eq": "c1"}}, {"name": {"startsWith": "c3"}}],
        "createdAt": {"gte": "2026-06-15T00:00:00+08:00"}, "not": {"city": {"isNull": True}},
    }  # fmt: skip
    data, _ = await export(merchant, where=where_of_json(schema, "customers", given))
    assert [row["name"] for row in lines(data)] == ["c3", "c1"]
    none = where_of_json(schema, "customers", {"name": {"in": []}})
    assert (await export(merchant, where=none))[1]["rows"] == 0
    assert where_of_json(schema, "customers", None) is None


def test_the_command_refuses_what_is_no_json(tmp_path):
    result = CliRunner().invoke(
        main, ["export", "customers", "--where", "{", "--output", str(tmp_path / "c.csv")]
    )
    assert result.exit_code == 2
    assert "--where is JSON" in result.output


async def test_killed_and_run_again(merchant, tmp_path):
    """kill -9 in the middle of the command, then the same command: nothing lost, nothing twice."""
    total = 60_000
    await fill(merchant, total)
    path = tmp_path / "c.jsonl"
    more = ("--format", "jsonl", "--columns", "id,name")
    done = "SELECT COALESCE(max(done), 0) FROM jobs WHERE merchant_id = $1"

    async def so_far():
        async with merchant.read() as session:
            return await session.sql.fetchval(done, merchant.id)

    await begun(merchant, path, *more).kill_once(so_far)
    assert 0 < await so_far() < total
    assert not path.exists()
    await fill(merchant, 10)
    code, output, complaints = await called(merchant, path, *more)
    assert code == 0, complaints
    assert "went on behind row" in output
    names = [orjson.loads(line)["name"] for line in path.read_bytes().splitlines()]
    assert names == [f"c{n}" for n in range(total - 1, -1, -1)]


def test_the_guide_lists_every_column():
    guide = (Path(__file__).parents[2] / "docs/guides/export.md").read_text("utf-8")
    for table in EXPORTS:
        names = ", ".join(f"`{column.name}`" for column in table.columns)
        assert f"| {table.name} | {names} |" in guide


async def test_refunds(merchant):
    async with merchant.work() as w:
        shop = await find_shop(w, str(merchant.shop_id))
        order = OrderRecord(
            "1", OrderState.COMPLETED, "CNY", 1000, 1000, w.now, paid_at=w.now,
            lines=[LineRecord("L1", "茶")],
        )  # fmt: skip
        await ingest_orders(w, shop, [order], "nick", False)
        back = RefundRecord("R1", "1", RefundState.REFUNDED, 400, w.now, line_external_id="L1",
                            reason="尺码")  # fmt: skip
        await ingest_refunds(w, shop, [back], False)
    data, result = await export(merchant, "refunds")
    (row,) = lines(data)
    assert (row["external_id"], row["order_external_id"], row["amount"]) == ("R1", "1", "4.00")
    assert (row["title"], row["reason"], row["state"]) == ("茶", "尺码", "refunded")
    assert result["file"]["permissions"] == ["ORDERS_READ"]
