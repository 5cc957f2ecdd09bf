"""Coupons: codes made, checked and redeemed: `python -m bench.coupons [CODES]`.

Makes CODES codes (200,000 without it) into stock on an embedded server of its own, asks what single
codes are worth, and redeems some of them: one by one and many in a call, by one process. Each
figure is one JSON line. Afterwards it counts that every coupon was used once.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.large import show
from core.cli import run
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.settings import Settings
from plugins.coupons.checkout import Asked, quote_asked, redeem_asked
from plugins.coupons.codes import make_codes
from plugins.coupons.quoting import Basket, Line
from plugins.coupons.redeeming import Purchase, use
from plugins.coupons.stock import fill
from plugins.coupons.templates import create_template

CODES = 200_000
AT_ONCE = 100_000
QUOTES, SINGLE, MANY = 500, 2_000, 20_000
CLIENTS, BATCH = 16, 500
TEN_OFF = {
    "name": "Ten off", "handle": "ten", "kind": "amount_off", "value": 1000, "currency": "CNY",
    "source": "own",
}  # fmt: skip


def main() -> None:
    """Measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CODES
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    started = time.perf_counter()
    make_codes(count)
    show("codes made in memory", count / (time.perf_counter() - started), "codes/s")
    async with open_installation(Settings(home=home)) as installation:
        made = await set_up_merchant(installation.db, installation.registry, "Bench", shop="shop")
        codes = await stock(installation, made.merchant_id, count)
        await quotes(installation, made.merchant_id, codes[:QUOTES])
        single = codes[QUOTES : QUOTES + SINGLE]
        many = codes[QUOTES + SINGLE : QUOTES + SINGLE + MANY]
        await one_by_one(installation, made.merchant_id, single)
        await in_batches(installation, made.merchant_id, many)
        await check(installation, made.merchant_id, len(single) + len(many))


async def stock(installation: Installation, merchant_id: int, count: int) -> list[str]:
    """Codes of the merchant in stock, made by the plugin's use case."""
    async with installation.db.work(merchant_id) as w:
        template = await create_template(w, TEN_OFF)
    started = time.perf_counter()
    for place in range(0, count, AT_ONCE):
        async with installation.db.work(merchant_id) as w:
            await fill(w, template.id, min(AT_ONCE, count - place))
    seconds = time.perf_counter() - started
    show("codes in stock", count / seconds, "codes/s", codes=count, seconds=round(seconds, 2))
    async with installation.db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            "SELECT code FROM coupons_coupons WHERE merchant_id = $1 ORDER BY random() LIMIT $2",
            merchant_id, QUOTES + SINGLE + MANY,
        )  # fmt: skip
    return [row["code"] for row in rows]


def purchase(code: str) -> Purchase:
    return Purchase(Basket("CNY", [Line("tea", 20_000)], order=code), [code])


async def quotes(installation: Installation, merchant_id: int, codes: Sequence[str]) -> None:
    took = []
    for code in codes:
        started = time.perf_counter()
        async with installation.db.work(merchant_id) as w:
            (outcome,) = await quote_asked(w, [Asked(purchase(code), "till")])
        took.append((time.perf_counter() - started) * 1000)
        assert outcome.done
    show(
        "a quote",
        statistics.median(took),
        "ms",
        p99=round(statistics.quantiles(took, n=100)[-1], 2),
    )


async def one_by_one(installation: Installation, merchant_id: int, codes: Sequence[str]) -> None:
    """Each code by two clients at once, of whom one gets it."""
    left = [code for code in codes for _ in range(2)]
    used = 0

    async def client(number: int) -> None:
        nonlocal used
        while left:
            code = left.pop()
            bought = Purchase(Basket("CNY", [Line("tea", 20_000)], order=f"{code}{number}"), [code])
            asked = Asked(bought, client=str(number))
            outcome = await installation.db.together(merchant_id, "till", redeem_asked, asked)
            used += outcome.done

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    seconds = time.perf_counter() - started
    show("redemptions one by one, with as many that are refused", used / seconds, "redemptions/s",
         wrong=used - len(codes))  # fmt: skip


async def in_batches(installation: Installation, merchant_id: int, codes: Sequence[str]) -> None:
    started = time.perf_counter()
    for place in range(0, len(codes), BATCH):
        async with installation.db.work(merchant_id) as w:
            outcomes = await use(w, [purchase(code) for code in codes[place : place + BATCH]],
                                 "redeem")  # fmt: skip
            assert all(one.done for one in outcomes)
    show(f"redemptions, {BATCH} in a call", len(codes) / (time.perf_counter() - started),
         "redemptions/s")  # fmt: skip


async def check(installation: Installation, merchant_id: int, expected: int) -> None:
    async with installation.db.read(merchant_id) as session:
        row = await session.sql.fetchrow(
            """SELECT count(*) AS entries, count(DISTINCT coupon_id) AS coupons
               FROM coupons_entries WHERE merchant_id = $1 AND kind = 'redeemed'""",
            merchant_id,
        )  # fmt: skip
    assert row["entries"] == row["coupons"] == expected, dict(row)


if __name__ == "__main__":
    main()
