"""Waves: parcels that a warehouse packs together, decided once and then frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.customers.tasks import NewTask, TaskKind, create_tasks
from core.domain.shops.merchants import check_name
from core.domain.shops.shops import need_shop
from core.sdk import Faults, InvalidInput, NotFound
from plugins.packages import codes
from plugins.packages.deciding import decide, of_wave, query_for
from plugins.packages.inserts import InsertKind, tell_low
from plugins.packages.outcomes import Outcome
from plugins.packages.packing import need_wave
from plugins.packages.returning import give_back
from plugins.packages.rules import PackingRule, currency_of, read_rules
from plugins.packages.settings import PackagesSettings
from plugins.packages.texts import Shown, render

MOST_PARCELS, MOST_OF_ORDER = 100_000, 100
READY = ("to_ship", "part_shipped")
"""States of orders that have something to pack."""


@dataclass(frozen=True)
class Wanted:
    """Orders to be packed, each in so many parcels; None for one parcel of every order that waits,
    of these shops if any, the longest waiting first, `limit` at most."""

    orders: Mapping[int, int] | None = None
    shop_ids: Sequence[int] | None = None
    limit: int = 500


async def create_wave(
    w: Any, registry: Any, settings: PackagesSettings, warehouse: str, wanted: Wanted
) -> int | None:
    """Gather parcels that no wave has yet and decide what goes in; returns the wave's id.

    None if there are no such parcels: the same orders again make nothing. Raises NotFound, and
    InvalidInput for orders that are not ready to be packed.
    """
    faults = Faults()
    with faults:
        name = check_name(warehouse, ("input", "warehouse"))
    with faults:
        await _check_wanted(w, wanted)
    faults.tell()
    wave_id: int = await w.sql.fetchval(
        """INSERT INTO packages_waves (merchant_id, warehouse, created_at, created_by)
           VALUES ($1, $2, $3, $4) RETURNING id""",
        w.merchant_id, name, w.now, w.actor,
    )  # fmt: skip
    count = await _gather(w, wave_id, wanted)
    if not count:
        await w.sql.execute(
            "DELETE FROM packages_waves WHERE merchant_id = $1 AND id = $2", w.merchant_id, wave_id
        )
        return None
    rules = await read_rules(w, registry, live=True, warehouse=name, locked=True)
    if rules:
        await choose(w, rules, wave_id, count, settings.max_per_parcel)
        await codes.hold(w, registry, wave_id)
        await _reserve(w, wave_id, name)
        await _make_notes(w, wave_id)
    w.audit("packages_wave.created", {"wave": wave_id, "parcels": count})
    return wave_id


async def cancel_wave(w: Any, registry: Any, wave_id: int) -> int:
    """Take the parcels of a wave that are not packed out of it; returns how many there were.

    What was set aside for them goes back, and their orders wait for a wave again. A wave without
    parcels is no more. Raises NotFound.
    """
    await need_wave(w, wave_id)
    rows = await w.sql.fetch(
        """SELECT id FROM packages_parcels
           WHERE merchant_id = $1 AND wave_id = $2 AND packed_at IS NULL ORDER BY id FOR UPDATE""",
        w.merchant_id, wave_id,
    )  # fmt: skip
    ids = [row["id"] for row in rows]
    await give_back(w, registry, ids)
    for table, column in (("packages_choices", "parcel_id"), ("packages_parcels", "id")):
        await w.sql.execute(
            f"DELETE FROM {table} WHERE merchant_id = $1 AND {column} = ANY($2::bigint[])",
            w.merchant_id, ids,
        )  # fmt: skip
    await w.sql.execute(
        """DELETE FROM packages_waves v WHERE merchant_id = $1 AND id = $2 AND NOT EXISTS (
               SELECT 1 FROM packages_parcels p WHERE p.merchant_id = $1 AND p.wave_id = v.id)""",
        w.merchant_id, wave_id,
    )  # fmt: skip
    w.audit("packages_wave.cancelled", {"wave": wave_id, "parcels": len(ids)})
    return len(ids)


async def choose(
    w: Any, rules: Sequence[PackingRule], wave_id: int, count: int, max_per_parcel: int
) -> None:
    """Write down what the rules decide about the parcels of a wave."""
    q = query_for(rules, w.merchant_id, count)
    made = decide(
        rules, of_wave(q, wave_id), q, currency=await currency_of(w), max_per_parcel=max_per_parcel
    )
    await w.sql.execute(
        f"""INSERT INTO packages_choices
                (merchant_id, parcel_id, rule_id, insert_id, customer_id, outcome, at)
            SELECT $1, d.parcel_id, d.rule_id, d.insert_id, d.customer_id, d.outcome,
                   {q.arg(w.now, "timestamptz")}
            FROM ({made.sql}) d""",
        *q.args,
    )


async def _gather(w: Any, wave_id: int, wanted: Wanted) -> int:
    """Put the parcels down that are in no wave; returns how many."""
    args: list[Any]
    if wanted.orders is not None:
        found = """SELECT o.id, o.customer_id, x.count FROM unnest($5::bigint[], $6::int[])
                       AS x (id, count) JOIN orders o ON o.merchant_id = $1 AND o.id = x.id"""
        args = [list(wanted.orders), list(wanted.orders.values())]
    else:
        found = """SELECT o.id, o.customer_id, 1 AS count FROM orders o
                   WHERE o.merchant_id = $1 AND o.state = 'to_ship' AND NOT o.in_dispute
                     AND ($5::bigint[] IS NULL OR o.shop_id = ANY($5::bigint[]))
                     AND NOT EXISTS (SELECT 1 FROM packages_parcels p
                                     WHERE p.merchant_id = $1 AND p.order_id = o.id)
                   ORDER BY o.paid_at NULLS LAST, o.id LIMIT $6"""
        args = [wanted.shop_ids, wanted.limit]
    row = await w.figures(
        f"""WITH made AS (
                INSERT INTO packages_parcels (merchant_id, wave_id, order_id, customer_id, number,
                                              count, decided_at)
                SELECT $1, $2, f.id, f.customer_id, n.number, f.count, $3
                FROM ({found}) f CROSS JOIN LATERAL generate_series(1, f.count) AS n (number)
                WHERE $4 > 0
                ON CONFLICT (merchant_id, order_id, number) DO NOTHING RETURNING id)
            SELECT count(*) AS n FROM made""",
        w.merchant_id, wave_id, w.now, MOST_PARCELS, *args,
    )  # fmt: skip
    return int(row["n"])


async def _check_wanted(w: Any, wanted: Wanted) -> None:
    faults = Faults()
    if not 1 <= wanted.limit <= MOST_PARCELS:
        faults.wrong(f"from 1 to {MOST_PARCELS}", "limit")
    for shop_id in wanted.shop_ids or ():
        with faults:
            await need_shop(w, shop_id, ("input", "shopIds"))
    if wanted.orders is not None:
        with faults:
            await _check_orders(w, wanted.orders)
    faults.tell()


async def _check_orders(w: Any, orders: Mapping[int, int]) -> None:
    path, faults = ("input", "orders"), Faults()
    if not orders or sum(orders.values()) > MOST_PARCELS:
        raise InvalidInput(f"a wave has 1 to {MOST_PARCELS} parcels", path)
    if not all(1 <= count <= MOST_OF_ORDER for count in orders.values()):
        raise InvalidInput(f"an order travels in 1 to {MOST_OF_ORDER} parcels", path)
    rows = await w.sql.fetch(
        "SELECT id, state FROM orders WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, list(orders),
    )  # fmt: skip
    states = {row["id"]: row["state"] for row in rows}
    for place, order_id in enumerate(orders):
        here = (*path, str(place), "orderId")
        if order_id not in states:
            faults.add(NotFound("there is no order with this id", here))
        elif states[order_id] not in READY:
            message = f"this order is {states[order_id]}: it is not to be packed"
            faults.add(InvalidInput(message, here))
    faults.tell()


async def _reserve(w: Any, wave_id: int, warehouse: str) -> None:
    """Take what was given off the stock and the budgets; both are locked already."""
    given = f"""SELECT c.rule_id, c.insert_id, count(*)::int AS n
        FROM packages_choices c
        JOIN packages_parcels p ON p.merchant_id = $1 AND p.id = c.parcel_id
        WHERE c.merchant_id = $1 AND p.wave_id = $2 AND c.outcome = {Outcome.GIVEN:d}
        GROUP BY c.rule_id, c.insert_id"""
    await w.sql.execute(
        f"""UPDATE packages_stock s SET reserved = reserved + g.n
            FROM (SELECT insert_id, sum(n)::int AS n FROM ({given}) x GROUP BY insert_id) g
            WHERE s.merchant_id = $1 AND s.insert_id = g.insert_id AND s.warehouse = $3""",
        w.merchant_id, wave_id, warehouse,
    )  # fmt: skip
    await w.sql.execute(
        f"""UPDATE packages_rules r SET spent = spent + g.cost
            FROM (SELECT x.rule_id, sum(x.n * i.unit_cost)::bigint AS cost FROM ({given}) x
                  JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = x.insert_id
                  GROUP BY x.rule_id) g
            WHERE r.merchant_id = $1 AND r.id = g.rule_id""",
        w.merchant_id, wave_id,
    )  # fmt: skip
    await tell_low(w, warehouse)


async def _make_notes(w: Any, wave_id: int) -> None:
    """Give staff a task for each note that is to be written by hand."""
    rows = await w.sql.fetch(
        f"""SELECT c.id AS choice_id, p.id, p.order_id, p.customer_id, i.name, i.text,
                   i.coupon_code
            FROM packages_choices c
            JOIN packages_parcels p ON p.merchant_id = $1 AND p.id = c.parcel_id
            JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = c.insert_id
            WHERE c.merchant_id = $1 AND p.wave_id = $2 AND c.outcome = {Outcome.GIVEN:d}
              AND i.kind = $3 AND p.customer_id IS NOT NULL ORDER BY p.id""",
        w.merchant_id, wave_id, InsertKind.NOTE,
    )  # fmt: skip
    shown = [
        Shown(row["id"], row["order_id"], row["customer_id"], row["text"], row["coupon_code"])
        for row in rows
    ]
    texts = await render(w, shown)
    tasks = await create_tasks(w, [
        (row["customer_id"],
         NewTask(row["name"], TaskKind.PARCEL, texts[place] or "", order_id=row["order_id"]))
        for place, row in enumerate(rows)
    ])  # fmt: skip
    await w.sql.execute(
        """UPDATE packages_choices c SET task_id = u.task
           FROM unnest($2::bigint[], $3::bigint[]) AS u (id, task)
           WHERE c.merchant_id = $1 AND c.id = u.id""",
        w.merchant_id, [row["choice_id"] for row in rows], tasks,
    )  # fmt: skip
