"""PostGraphile, installed on demand from its lock file into a folder that is kept for later runs.

It answers the same questions from the same tables, as a role that may do everything; it has
neither tokens nor limits to check. Orders and lines have no foreign keys, so comments on the
tables tell it what belongs together, and a function is its filter by time.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from bench.graphql.questions import ORDERS, PAGE, PROVINCE, Data, numbers
from core.storage.database import credentials

PROJECT = Path(__file__).with_name("postgraphile")
INSTALLED = Path(tempfile.gettempdir()) / "huike-bench-postgraphile"
SECONDS_TO_STOP = 60

TOLD = """
    COMMENT ON TABLE orders IS
        E'@foreignKey (merchant_id, customer_id) references customers (merchant_id, id)';
    COMMENT ON TABLE order_lines IS
        E'@foreignKey (merchant_id, order_id) references orders (merchant_id, id)';
    CREATE OR REPLACE FUNCTION customers_since(merchant bigint, region text, since timestamptz)
        RETURNS SETOF customers LANGUAGE sql STABLE AS
        'SELECT * FROM customers WHERE merchant_id = $1 AND province = $2 AND created_at >= $3
         ORDER BY created_at DESC, id DESC';
"""
QUESTIONS = {
    "one": """query One($m: BigInt!, $id: BigInt!) {
        customerByMerchantIdAndRowId(merchantId: $m, rowId: $id) {
            id name province city createdAt } }""",
    "page": f"""query Page($m: BigInt!) {{
        allCustomers(first: {PAGE}, condition: {{merchantId: $m}}, orderBy: ROW_ID_DESC) {{ nodes {{
            id name birthday country province city createdAt updatedAt }} }} }}""",
    "nested": f"""query Nested($m: BigInt!) {{
        allCustomers(first: {PAGE}, condition: {{merchantId: $m}}, orderBy: ROW_ID_DESC) {{ nodes {{
            id name
            ordersByMerchantIdAndCustomerId(first: {ORDERS}, orderBy: ORDERED_AT_DESC) {{ nodes {{
                id externalId state total currency orderedAt
                orderLinesByMerchantIdAndOrderId {{ nodes {{ id title quantity amount }} }}
            }} }} }} }} }}""",
    "filtered": f"""query Filtered($m: BigInt!, $since: Datetime!) {{
        customersSince(merchant: $m, region: "{PROVINCE}", since: $since, first: {PAGE}) {{
            nodes {{ id name province city createdAt }} totalCount }} }}""",
    "update": """mutation Update($m: BigInt!, $id: BigInt!, $city: String) {
        updateCustomerByMerchantIdAndRowId(
            input: {merchantId: $m, rowId: $id, customerPatch: {city: $city}}) {
            customer { id city } } }""",
}


def available() -> bool:
    """Whether there are node and npm."""
    return bool(shutil.which("node") and shutil.which("npm"))


def requests(data: Data, name: str) -> list[dict[str, Any]]:
    """The requests of one question."""
    since = {"since": data.since.isoformat()} if name == "filtered" else {}
    return [
        {"query": QUESTIONS[name], "variables": {"m": str(data.merchant_id), **since, **{
            key: value for key, value in (("id", str(number)), ("city", f"{number % 97}"))
            if f"${key}:" in QUESTIONS[name]
        }}}
        for number in numbers(data, name)
    ]  # fmt: skip


async def prepare(data: Data) -> None:
    """Tell PostGraphile what the tables do not."""
    connection = await asyncpg.connect(**credentials(data.url))
    try:
        await connection.execute(TOLD)
    finally:
        await connection.close()


@contextlib.contextmanager
def serving(port: int, data: Data) -> Iterator["subprocess.Popen[bytes]"]:
    """PostGraphile on this port until the end of the block."""
    _install()
    given = credentials(data.url)
    pool = orjson.dumps({name: given[name] for name in ("host", "port", "user", "password",
                                                        "database")} | {"max": 10})  # fmt: skip
    command = ["node", "server.mjs", str(port), pool.decode()]
    with subprocess.Popen(
        command, cwd=INSTALLED, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            yield server
        finally:
            server.terminate()
            server.wait(SECONDS_TO_STOP)


def _install() -> None:
    shutil.copytree(PROJECT, INSTALLED, dirs_exist_ok=True)
    if not (INSTALLED / "node_modules").exists():
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=INSTALLED, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
