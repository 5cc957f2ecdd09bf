import pytest

from core.domain.customers.consent import grant_where_unknown, set_consent, unsubscribe
from core.domain.customers.customers import add_tags, get_customer, remove_tags, update_customer
from core.domain.customers.suppressions import suppress
from core.sdk import InvalidInput, NotFound


async def make_customer(w, name="李雷"):
    return await w.sql.fetchval(
        """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
           VALUES ($1, $2, 1, $3, $3) RETURNING id""",
        w.merchant_id, name, w.now,
    )  # fmt: skip


async def events(w):
    await w.flush()
    w._events.clear()
    return await w.sql.fetch(
        "SELECT type FROM outbox_events WHERE merchant_id = $1 AND type LIKE 'customer.%'",
        w.merchant_id,
    )


async def test_contact_data_is_sealed_and_found(merchant):
    async with merchant.work() as w:
        customer_id = await make_customer(w)
        await update_customer(
            w,
            customer_id,
            {"phone": "138 0013 8000", "email": "A@b.cn", "name": None, "city": "杭州市"},
        )
        row = await get_customer(w, customer_id)
        phone = w.keyring.open(row["phone_sealed"], f"customers.phone|{merchant.id}|{customer_id}")
        email = w.keyring.open(row["email_sealed"], f"customers.email|{merchant.id}|{customer_id}")
        assert (phone, email) == ("+8613800138000", "a@b.cn")
        assert row["phone_index"] == w.keyring.blind_index("phone", merchant.id, "+8613800138000")
        assert (row["name"], row["city"], row["version"]) == (None, "杭州市", 2)
        assert b"138" not in row["phone_sealed"]


async def test_a_new_phone_moves_the_identity(merchant):
    async with merchant.work() as w:
        customer_id = await make_customer(w)
        for phone in ("13800138000", "13900139000"):
            await update_customer(w, customer_id, {"phone": phone})
        values = await w.sql.fetch(
            "SELECT value FROM customer_identities WHERE merchant_id = $1", merchant.id
        )
        assert [v["value"] for v in values] == [
            w.keyring.blind_index("phone", merchant.id, "+8613900139000").hex()
        ]
        await update_customer(w, customer_id, {"phone": None})
        assert (await get_customer(w, customer_id))["phone_sealed"] is None
        assert not await w.sql.fetchval(
            "SELECT count(*) FROM customer_identities WHERE merchant_id = $1", merchant.id
        )


@pytest.mark.parametrize(
    "changes", [{"phone": "138****8000"}, {"email": "x"}, {"name": " "}, {"city": "x" * 201}]
)
async def test_wrong_values_are_refused(merchant, changes):
    async with merchant.work() as w:
        customer_id = await make_customer(w)
        with pytest.raises(InvalidInput) as error:
            await update_customer(w, customer_id, changes)
        assert error.value.path == ("input", next(iter(changes)))


async def test_other_merchants_customers_are_not_found(merchant):
    async with merchant.work() as w:
        for call in (
            update_customer(w, 10**9, {"name": "x"}),
            add_tags(w, 10**9, ["x"], "staff"),
            remove_tags(w, 10**9, ["x"]),
            set_consent(w, 10**9, "email", "marketing", "granted", "staff"),
            unsubscribe(w, 10**9, "email", "link"),
        ):
            with pytest.raises(NotFound):
                await call


async def test_tags(merchant):
    async with merchant.work() as w:
        customer_id = await make_customer(w)
        await add_tags(w, customer_id, ["a", "b", " a "], "staff")
        await add_tags(w, customer_id, ["b", "c"], "staff")
        await remove_tags(w, customer_id, ["a", "none"])
        rows = await w.sql.fetch(
            "SELECT tag FROM customer_tags WHERE merchant_id = $1 ORDER BY 1", merchant.id
        )
        assert [row["tag"] for row in rows] == ["b", "c"]
        with pytest.raises(InvalidInput):
            await add_tags(w, customer_id, [" "], "staff")


async def test_the_latest_word_counts_and_the_log_keeps_all(merchant):
    async with merchant.work() as w:
        customer_id = await make_customer(w)
        await set_consent(w, customer_id, "email", "marketing", "granted", "form", {"page": "1"})
        await set_consent(w, customer_id, "email", "marketing", "denied", "phone call")
        status = await w.sql.fetchval(
            "SELECT status FROM consents WHERE merchant_id = $1", merchant.id
        )
        log = await w.sql.fetch(
            "SELECT status FROM consent_events WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
        assert status == "denied"
        assert [row["status"] for row in log] == ["granted", "denied"]
        with pytest.raises(InvalidInput):
            await set_consent(w, customer_id, "email", "marketing", "perhaps", "form")


async def test_granting_to_many_overrules_nobody(merchant):
    async with merchant.work() as w:
        said_no, silent = await make_customer(w), await make_customer(w)
        await set_consent(w, said_no, "email", "marketing", "denied", "link")
        ids = [said_no, silent, 10**9]
        assert await grant_where_unknown(w, ids, "email", "import", {"text": "box"}) == 1
        assert await grant_where_unknown(w, ids, "email", "import", {"text": "box"}) == 0
        rows = await w.sql.fetch(
            "SELECT customer_id, status FROM consents WHERE merchant_id = $1", merchant.id
        )
        assert {(r[0], r[1]) for r in rows} == {(said_no, "denied"), (silent, "granted")}


async def test_unsubscribing_twice_is_once(merchant):
    async with merchant.work() as w:
        customer_id = await make_customer(w)
        await update_customer(w, customer_id, {"email": "a@b.cn"})
        await set_consent(w, customer_id, "email", "marketing", "granted", "form")
        await unsubscribe(w, customer_id, "email", "link")
        await unsubscribe(w, customer_id, "email", "link")
        index = w.keyring.blind_index("email", merchant.id, "a@b.cn")
        kept = await w.sql.fetch(
            "SELECT channel, address_index FROM suppressions WHERE merchant_id = $1", merchant.id
        )
        assert [tuple(row) for row in kept] == [("email", index)]
        assert len(await events(w)) == 1
        await suppress(w, "email", index, "bounce")
        assert (
            await w.sql.fetchval(
                "SELECT count(*) FROM suppressions WHERE merchant_id = $1", merchant.id
            )
            == 1
        )
