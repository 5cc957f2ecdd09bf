"""A shop's past and present come in, whatever its lists do meanwhile."""

from datetime import timedelta

from tests.connections.kit import REACH


async def test_the_past_comes_in_without_events_and_what_follows_with(shop):
    fair = shop.fair
    for day in range(REACH + 2):
        fair.order(f"old{day}", "done", at=fair.now() - day * 86_400 - 60)
    await shop.connect()
    await shop.work()
    orders = await shop.orders()
    assert await shop.problems() == []
    assert orders.keys() == {f"old{day}" for day in range(REACH)}  # beyond, it gives nothing
    assert await shop.events() == []
    assert await shop.problems() == []

    shop.later(minutes=3)
    fair.order("new1", "new")
    await shop.pass_time(3)
    fair.order("new1", "paid")
    fair.order("old1", "cancelled")
    await shop.pass_time(3)
    assert await shop.events() == [
        ("order.created", "new1", "created_unpaid"),
        ("order.state_changed", "old1", "closed_unpaid"),
        ("order.state_changed", "new1", "to_ship"),
    ]


async def test_a_list_that_shifts_while_it_is_read_loses_nothing(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    for n in range(130):
        fair.order(f"o{n}", "new")
    turns = []

    def shift():
        if len(turns) < 20:
            fair.order(f"o{len(turns)}", "paid")
            turns.append(1)

    fair.while_listing = shift
    await shop.pass_time(3)
    fair.while_listing = None
    await shop.pass_time(3)
    assert await shop.orders() == {one.id: one.state for one in fair.orders.values()}


async def test_a_change_that_lists_show_late_is_found(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    await shop.pass_time(5)
    fair.order("late", "new", hidden=9 * 60)
    await shop.pass_time(8)
    assert await shop.orders() == {}
    await shop.pass_time(14)
    assert await shop.orders() == {"late": "new"}


async def test_a_window_that_holds_too_much_is_halved(shop):
    fair = shop.fair
    fair.cap = 20
    for n in range(100):
        fair.order(f"past{n}", "done", at=fair.now() - 5000 - n * 60)
    await shop.connect()
    await shop.work()
    for n in range(100):
        fair.order(f"o{n}", "new")
        shop.later(seconds=10)
    await shop.pass_time(30, step=5)
    assert len(await shop.orders()) == 200
    rows = await shop.ask("SELECT state FROM sync_slices WHERE merchant_id = $1")
    assert {row["state"] for row in rows} == {"done"}


async def test_after_a_long_pause_the_windows_catch_up(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    for _ in range(12):
        fair.order(f"o{len(fair.orders)}", "new")
        shop.later(hours=1)
    fair.calls.clear()
    await shop.work()
    assert len(await shop.orders()) == 12
    # half-hour windows, each read once
    assert len([one for one in fair.called("orders.count") if one["by"] == "modified"]) <= 27
    (cursor,) = await shop.ask(
        """SELECT cursor_at, settled_at FROM sync_cursors
           WHERE merchant_id = $1 AND resource = 'orders'"""
    )
    assert shop.merchant.clock() - cursor["cursor_at"] <= timedelta(minutes=1, seconds=1)
