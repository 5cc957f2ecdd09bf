"""The triggers that log about whom something changed that a rule may ask for."""

from dataclasses import dataclass, replace

import pytest

from core.domain.segments.segments import create_segment, update_segment
from core.domain.segments.tree import write_rule
from core.registry import Owned
from core.sdk import Facet, Rows, Text
from core.testing.fixtures import START
from tests.segments.members_kit import (
    add_customers,
    add_order,
    follow,
    logged,
    make,
    refresh,
    segment_row,
    tag,
)

NOW = "TIMESTAMPTZ '2026-06-15 04:00+00'"

# by table: a new row for customer $2 (order $3), an update that no rule can notice, and one that
# any might
WRITES = {
    "customers": (
        f"""INSERT INTO customers (merchant_id, id, version, created_at, updated_at)
            SELECT $1, -$2::bigint, $3, {NOW}, {NOW}""",
        "version = version + 1, updated_at = now()",
        "city = '杭州市'",
    ),
    "customer_tags": (
        f"""INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
            SELECT $1, $2, 'x', 'staff' || $3::bigint, {NOW}""",
        None,
        "tag = 'y'",
    ),
    "customer_identities": (
        f"""INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind, value,
                source, created_at) SELECT $1, $2, 'shop', $3, 'nick', 'x', 'test', {NOW}""",
        "source = 'other'",
        "value = 'y'",
    ),
    "custom_field_values": (
        f"""INSERT INTO custom_field_values (merchant_id, customer_id, field_id, text, version,
                source, updated_at) SELECT $1, $2, $3, 'x', 1, 'test', {NOW}""",
        "version = 2, updated_at = now()",
        "text = 'y'",
    ),
    "consents": (
        f"""INSERT INTO consents (merchant_id, customer_id, shop_id, channel, purpose, status, at)
            SELECT $1, $2, $3, 'email', 'marketing', 'granted', {NOW}""",
        None,
        "status = 'denied'",
    ),
    "suppressions": (
        f"""INSERT INTO suppressions (merchant_id, shop_id, channel, address_index, reason, at)
            SELECT $1, $3 * 0, 'email', c.email_index, 'bounced', {NOW}
            FROM customers c WHERE c.merchant_id = $1 AND c.id = $2""",
        None,
        "reason = 'complained'",
    ),
    "orders": (
        f"""INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                total, paid, refunded, ordered_at, content_hash, taken_at)
            SELECT $1, $3, 'x', $2, 'to_ship', 'CNY', 1, 1, 0, {NOW}, '', {NOW}""",
        "content_hash = 'x', taken_at = now(), modified_at = now(), receiver_sealed = 'x'",
        "state = 'shipped'",
    ),
    "order_lines": (
        """INSERT INTO order_lines (merchant_id, order_id, external_id, title, quantity)
           SELECT $1, $3, $2::bigint::text, 'x', 1""",
        "external_id = 'y'",
        "category = 'y'",
    ),
    "parcels": (
        """INSERT INTO parcels (merchant_id, order_id, tracking_number)
           SELECT $1, $3, $2::bigint::text""",
        "tracking_number = 'y'",
        "state = 'signed'",
    ),
    "refunds": (
        f"""INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, kind, state, amount,
                requested_at, content_hash, taken_at)
            SELECT $1, 1, $2::bigint::text, $3, 'return', 'requested', 1, {NOW}, '', {NOW}""",
        "content_hash = 'x', taken_at = now(), tracking_number = 'y'",
        "state = 'refunded'",
    ),
    "reviews": (
        f"""INSERT INTO reviews (merchant_id, shop_id, external_id, order_external_id, customer_id,
                at, content_hash, taken_at)
            SELECT $1, 1, $3::bigint::text, 'x', $2, {NOW}, '', {NOW}""",
        "content_hash = 'x', taken_at = now(), reply = 'y'",
        "sign = -1",
    ),
    "platform_members": (
        f"""INSERT INTO platform_members (merchant_id, shop_id, buyer_index, customer_id,
                content_hash, taken_at)
            SELECT $1, 1, int8send($3::bigint), $2, '', {NOW}""",
        "content_hash = 'x', taken_at = now(), points = 7, grade_name = 'y'",
        "grade = 2",
    ),
    "memberships": (
        f"""INSERT INTO memberships (merchant_id, customer_id, card_number, joined_at, join_source)
            SELECT $1, $2, $3::bigint::text, {NOW}, 'page'""",
        "card_number = 'y'",
        "left_at = now()",
    ),
    "tier_intervals": (
        f"""INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from, cause)
            SELECT $1, $2, $3, {NOW}, 'manual'""",
        "threshold = 7",
        "review_at = now()",
    ),
    "points_entries": (
        f"""INSERT INTO points_entries (merchant_id, customer_id, kind, points, lot, at, actor)
            SELECT $1, $2, 'spend', -$3::bigint, FALSE, {NOW}, 'test'""",
        "reason = 'y'",
        "points = points - 1",
    ),
}


async def clear(merchant):
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM customer_changes WHERE merchant_id = $1", merchant.id)


@pytest.mark.parametrize("table", WRITES)
async def test_rows_that_rules_ask_about_are_watched(merchant, table):
    insert, unnoticed, noticed = WRITES[table]
    await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        one, other = await add_customers(w, 2)
        await w.sql.execute("UPDATE customers SET email_index = 'a@b' WHERE id = $1", one)
        order = await add_order(w, one, "first")
    about = -one if table == "customers" else one
    own = f"WHERE merchant_id = {merchant.id} AND id = (SELECT max(id) FROM {table})"
    if table == "customers":
        own = f"WHERE merchant_id = {merchant.id} AND id = {about}"
    await clear(merchant)
    async with merchant.work() as w:
        await w.sql.execute(insert, merchant.id, one, order)
    assert await logged(merchant) == {about}
    await clear(merchant)
    async with merchant.work() as w:
        if unnoticed:
            await w.sql.execute(f"UPDATE {table} SET {unnoticed} {own}")
        await w.sql.execute(f"UPDATE {table} SET id = id {own}")
    assert await logged(merchant) == set()
    async with merchant.work() as w:
        await w.sql.execute(f"UPDATE {table} SET {noticed} {own}")
    assert await logged(merchant) == {about}
    await clear(merchant)
    async with merchant.work() as w:
        await w.sql.execute(f"DELETE FROM {table} {own}")
    assert await logged(merchant) == {about}
    assert other not in await logged(merchant)


async def test_a_row_that_moves_is_logged_for_both(merchant):
    await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        one, other = await add_customers(w, 2)
        order = await add_order(w, one, "x")
    await clear(merchant)
    async with merchant.work() as w:
        await w.sql.execute("UPDATE orders SET customer_id = $1 WHERE id = $2", other, order)
    assert await logged(merchant) == {one, other}


async def test_figures_that_change_without_an_order_are_logged(merchant):
    await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        (one,) = await add_customers(w)
        await add_order(w, one, "x")
    await clear(merchant)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE customer_facts SET days_between = 3 WHERE merchant_id = $1", merchant.id
        )
    assert await logged(merchant) == {one}


async def test_nothing_is_logged_where_no_segment_follows(merchant):
    async with merchant.work() as w:
        (one,) = await add_customers(w)
        await tag(w, one)
    assert await logged(merchant) == set()
    segment = await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        await tag(w, one, "other")
    assert await logged(merchant) == {one}
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM segments WHERE id = $1", segment)
    # what is left over goes with the next look
    assert await follow(merchant) == 1
    async with merchant.work() as w:
        await tag(w, one, "third")
    assert await logged(merchant) == set()


async def test_copied_rows_are_logged(merchant):
    await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        (one,) = await add_customers(w)
        await w.sql.execute("DELETE FROM customer_changes WHERE merchant_id = $1", merchant.id)
        await w.sql.copy_records_to_table(
            "customer_tags", columns=("merchant_id", "customer_id", "tag", "source", "created_at"),
            records=[(merchant.id, one, name, "import", w.now) for name in ("a", "b")],
        )  # fmt: skip
    assert await logged(merchant) == {one}


async def test_settings_that_rules_ask_for_have_everybody_asked_anew(merchant):
    segment = await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        await w.sql.execute("CREATE TABLE x_limits (merchant_id bigint, days int)")
        await w.sql.execute(
            """CREATE TRIGGER x_limits AFTER INSERT OR UPDATE OR DELETE ON x_limits FOR EACH ROW
               EXECUTE FUNCTION huike_ask_everybody('merchant_id')"""
        )
    try:
        for statement in (
            f"INSERT INTO x_limits VALUES ({merchant.id}, 30)",
            "UPDATE x_limits SET days = 50",
            "DELETE FROM x_limits",
        ):
            async with merchant.work() as w:
                await w.sql.execute(statement)
            assert (await segment_row(merchant, segment))["stale"] == "refresh"
            assert await refresh(merchant) == 1
            assert (await segment_row(merchant, segment))["stale"] is None
    finally:
        async with merchant.work() as w:
            await w.sql.execute("DROP TABLE x_limits")


async def test_products_measured_anew_have_everybody_asked_anew_by_statement(merchant):
    segment = await make(merchant, "all", {"all": []})
    for statement in (
        """INSERT INTO product_cycles
               (merchant_id, shop_id, product_id, days, sample, customers, at)
           SELECT $1, 1, 'p' || n, 30, 20, 20, now() FROM generate_series(1, 3) n""",
        "UPDATE product_cycles SET days = 31 WHERE merchant_id = $1",
        "DELETE FROM product_cycles WHERE merchant_id = $1",
    ):
        async with merchant.work() as w:
            await w.sql.execute(statement, merchant.id)
        assert (await segment_row(merchant, segment))["stale"] == "refresh"
        assert await refresh(merchant) == 1
        async with merchant.work() as w:  # and no rows ask nobody
            await w.sql.execute("DELETE FROM product_cycles WHERE merchant_id = 0")
        assert (await segment_row(merchant, segment))["stale"] is None


async def test_messages_are_watched_where_a_rule_asks_about_them_alone(merchant):
    async def send(number):
        async with merchant.work() as w:
            await w.sql.execute(
                """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                       attempts, next_at, updated_at)
                   VALUES ($1, $2, 0, $3, 'email', 'pending', 0, $4, $4)""",
                merchant.id, number, one, START,
            )  # fmt: skip

    async def update(**columns):
        await clear(merchant)
        async with merchant.work() as w:
            for name, value in columns.items():
                await w.sql.execute(
                    f"UPDATE deliveries SET {name} = $2 WHERE merchant_id = $1", merchant.id, value
                )
        return await logged(merchant)

    await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        (one,) = await add_customers(w)
    await clear(merchant)
    await send(1)
    assert await update(state="sent") == set()
    segment = await make(merchant, "other", {"all": []})
    async with merchant.work() as w:
        await w.sql.execute("UPDATE segments SET watches_deliveries = TRUE WHERE id = $1", segment)
    await send(2)
    assert await logged(merchant) == {one}
    assert await update(state="sending", attempts=1) == set()
    assert await update(state="sent") == {one}
    assert await update(updated_at=START) == set()


async def test_a_plugin_can_have_its_own_table_watched(merchant):
    await make(merchant, "all", {"all": []})
    async with merchant.work() as w:
        one, other = await add_customers(w, 2)
        await w.sql.execute(
            "CREATE TABLE x_visits (merchant_id bigint, id bigint, customer_id bigint, pages int)"
        )
        for event, tables in (
            ("INSERT", "NEW TABLE AS changed"),
            ("UPDATE", "OLD TABLE AS before NEW TABLE AS changed"),
            ("DELETE", "OLD TABLE AS changed"),
        ):
            await w.sql.execute(
                f"""CREATE TRIGGER x_visits_{event} AFTER {event} ON x_visits
                    REFERENCING {tables} FOR EACH STATEMENT
                    EXECUTE FUNCTION huike_customers_changed()"""
            )
    try:
        await clear(merchant)
        for statement, about in (
            (f"INSERT INTO x_visits VALUES ({merchant.id}, 1, {one}, 1)", {one}),
            (f"UPDATE x_visits SET customer_id = {other}", {one, other}),
            ("DELETE FROM x_visits", {other}),
        ):
            async with merchant.work() as w:
                await w.sql.execute(statement)
            assert await logged(merchant) == about
            await clear(merchant)
    finally:
        async with merchant.work() as w:
            await w.sql.execute("DROP TABLE x_visits")


@dataclass(frozen=True)
class SentRule:
    pass


class Sent(Facet):
    name = "sent"
    title = Text("Got a message", "收到过消息")
    rule = SentRule

    def sql(self, rule, q):
        return q.has(Rows("deliveries d", "d.customer_id", ["d.state = 'sent'"]))

    def explain(self, rule, say):
        return "got a message"


async def test_a_stored_rule_knows_whether_it_asks_about_messages(merchant):
    installation = merchant.installation
    registry = replace(
        installation.registry,
        facets={**installation.registry.facets, "sent": Owned("core", Sent())},
    )
    plain, sent = {"has_email": {}}, {"not": {"sent": {}}}
    async with merchant.work() as w:
        segment = await create_segment(w, registry, "mail", write_rule(plain, registry.facets))
    assert not (await segment_row(merchant, segment))["watches_deliveries"]
    for node, watches in ((sent, True), (plain, False)):
        async with merchant.work() as w:
            rule = write_rule(node, registry.facets)
            await update_segment(w, registry, segment, {"rule": rule})
        assert (await segment_row(merchant, segment))["watches_deliveries"] is watches
