"""A person with a row in every table that can hold one, and what may be searched for afterwards."""

import orjson

from core.domain.customers.consent import set_consent
from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.customers import add_tags
from core.installation import job_kinds
from core.storage import jobs

PLAIN = {
    "name": "欧阳修远", "old_name": "Ouyang Xiuyuan", "phone": "+8613812349876",
    "email": "xiuyuan@example.com", "old_phone": "+8613900005555", "buyer": "buyer-xy-77",
    "receiver": "杭州市西湖区文三路九十九号", "city": "杭州之城", "note": "likes oolong at dusk",
    "tracking": "SF-XY-0001", "scan": "signed by Ouyang", "field": "blue-eyed",
    "birthday_wish": "wants-a-red-kite", "card": "card-88-19",
    "detail": "550 xiuyuan@example.com refused", "answer": "said-yes-at-the-fair",
}  # fmt: skip


async def run_job(merchant, job_id):
    db = merchant.installation.db
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, job_kinds(merchant.installation.registry))
    async with merchant.read() as session:
        row = await jobs.get(session, job_id)
    assert row["state"] == "succeeded", row["error"]
    return orjson.loads(row["result"])


async def insert(w, table, **values):
    """Insert a row; returns its id."""
    given = {"merchant_id": w.merchant_id, **values}
    marks = ", ".join(f"${number}" for number in range(1, len(given) + 1))
    return await w.sql.fetchval(
        f"INSERT INTO {table} ({', '.join(given)}) VALUES ({marks}) RETURNING id",
        *given.values(),
    )


async def make_customer(w, name, phone=None, email=None):
    pk = await insert(w, "customers", name=name, version=1, created_at=w.now, updated_at=w.now)
    for kind, value, seal in (("phone", phone, seal_phone), ("email", email, seal_email)):
        if value is None:
            continue
        index = w.keyring.blind_index(kind, w.merchant_id, value)
        await w.sql.execute(
            f"""UPDATE customers SET {kind}_sealed = $3, {kind}_index = $4
                WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, pk, seal(w.keyring, w.merchant_id, pk, value), index,
        )  # fmt: skip
        await identity(w, pk, "merchant", 0, kind, index.hex())
    return pk


async def identity(w, pk, scope, scope_id, kind, value):
    await insert(w, "customer_identities", customer_id=pk, scope=scope, scope_id=scope_id,
                 kind=kind, value=value, source="test", created_at=w.now)  # fmt: skip


async def make_coupon(w, pk):
    coupon = await insert(w, "coupons_coupons", template_id=1, customer_id=pk, code="AAAA",
                          state="granted", granted_at=w.now, transferred=0,
                          unused_told=False)  # fmt: skip
    await insert(w, "coupons_entries", coupon_id=coupon, template_id=1, customer_id=pk,
                 kind="granted", actor="system", at=w.now)  # fmt: skip


async def make_inserts(w, pk, order):
    parcel = await insert(w, "packages_parcels", wave_id=1, order_id=order, customer_id=pk,
                          number=1, count=1, decided_at=w.now)  # fmt: skip
    await insert(w, "packages_choices", parcel_id=parcel, rule_id=1, insert_id=1, customer_id=pk,
                 outcome=1, at=w.now)  # fmt: skip


async def make_person(merchant, plain=PLAIN):
    """A customer into whom another one was merged; returns both ids and the order's."""
    async with merchant.work() as w:
        old = await make_customer(w, plain["old_name"], plain["old_phone"])
        pk = await make_customer(w, plain["name"], plain["phone"], plain["email"])
        await identity(w, pk, "shop", merchant.shop_id, "nick", plain["buyer"])
        await add_tags(w, pk, ["vip"], "staff")
        await set_consent(w, pk, "email", "marketing", "granted", "fair",
                          {"text": plain["answer"]})  # fmt: skip
        await insert(w, "tasks", customer_id=pk, kind="call", title="call", text=plain["note"],
                     due_at=w.now, state="open", source="token:1", version=1, created_at=w.now,
                     updated_at=w.now)  # fmt: skip
        await insert(w, "customer_notes", customer_id=pk, text=plain["note"], author="token:1",
                     version=1, created_at=w.now, updated_at=w.now)  # fmt: skip
        await insert(w, "segment_members", segment_id=1, customer_id=pk, entered_at=w.now)
        await insert(w, "customer_log", customer_id=pk, kind="test", actor="system", at=w.now,
                     data="{}")  # fmt: skip
        field = await insert(w, "custom_fields", namespace="m", key="eyes", title="Eyes",
                             type="text", choices="[]", created_at=w.now)  # fmt: skip
        await insert(w, "custom_field_values", customer_id=pk, field_id=field,
                     text=plain["field"], version=1, source="test", updated_at=w.now)  # fmt: skip
        await insert(w, "consent_requests", customer_id=pk, channel="email", purpose="marketing",
                     address_index=w.keyring.blind_index("email", w.merchant_id, plain["email"]),
                     token_hash=b"x" * 32, source="page", text="yes?", text_version="1",
                     state="pending", created_at=w.now, expires_at=w.now)  # fmt: skip
        order = await make_order(w, merchant.shop_id, pk, plain)
        await make_coupon(w, pk)
        await make_inserts(w, pk, order)
        await make_deliveries(w, pk, plain)
        await make_member(w, pk, plain)
        await merge_away(w, old, pk)
        row = await w.sql.fetchval(
            "SELECT to_jsonb(c) FROM customers c WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, pk,
        )  # fmt: skip
        await insert(w, "import_changes", job_id=1, customer_id=pk, before=row, after_version=1)
        other = await make_customer(w, "Somebody Else", "+8613712121212")
        for first, second in ((pk, other), (0, pk)):  # 0: somebody who is gone
            await insert(w, "merge_suggestions", first_id=first, second_id=second,
                         reasons='["same_name"]', state="open", created_at=w.now)  # fmt: skip
    return pk, old, order, other


async def make_order(w, shop_id, pk, plain):
    order = await insert(
        w, "orders", shop_id=shop_id, external_id="XY1", customer_id=pk, buyer_id=plain["buyer"],
        state="completed", currency="CNY", total=9900, paid=9900, refunded=100, ordered_at=w.now,
        paid_at=w.now, province="浙江省", city=plain["city"], content_hash=b"\0" * 16,
        taken_at=w.now,
    )  # fmt: skip
    receiver = {"name": plain["name"], "phone": plain["phone"], "address": plain["receiver"]}
    sealed = w.keyring.seal_bytes(
        orjson.dumps(receiver), f"orders.receiver|{w.merchant_id}|{order}"
    )
    await w.sql.execute(
        "UPDATE orders SET receiver_sealed = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, order, sealed,
    )  # fmt: skip
    await insert(w, "order_lines", order_id=order, external_id="1", title="茶", quantity=2,
                 amount=9900)  # fmt: skip
    parcel = await insert(w, "parcels", order_id=order, tracking_number=plain["tracking"])
    await insert(w, "parcel_events", parcel_id=parcel, kind="signed", place=plain["city"],
                 text=plain["scan"], at=w.now)  # fmt: skip
    await insert(w, "refunds", shop_id=shop_id, external_id="R1", order_id=order,
                 kind="return", state="refunded", amount=100, tracking_number=plain["tracking"],
                 requested_at=w.now, content_hash=b"\0", taken_at=w.now)  # fmt: skip
    await insert(w, "reviews", shop_id=shop_id, external_id="V1", order_external_id="XY1",
                 order_id=order, customer_id=pk, at=w.now, sign=-1, text=plain["note"],
                 content_hash=b"\0", taken_at=w.now)  # fmt: skip
    await insert(w, "customer_facts", customer_id=pk, shop_id=0, currency="CNY", orders=1,
                 purchases=1, paid=9900, refunded=100, refunds=1)  # fmt: skip
    return order


async def make_member(w, pk, plain):
    await insert(w, "memberships", customer_id=pk, card_number=plain["card"], joined_at=w.now,
                 join_source="page")  # fmt: skip
    joined = await insert(
        w, "platform_members", shop_id=1, buyer_index=b"\1" * 16, buyer_id=plain["buyer"],
        customer_id=pk, member=True, grade=2, content_hash=b"\0", taken_at=w.now,
    )  # fmt: skip
    await insert(w, "platform_memberships", platform_member_id=joined, joined_at=w.now)
    await insert(w, "tier_intervals", customer_id=pk, tier_id=1, valid_from=w.now, cause="manual")
    entry = await insert(
        w, "points_entries", customer_id=pk, kind="hold", points=-5, lot=False, at=w.now,
        reason=plain["birthday_wish"], actor="token:1",
    )  # fmt: skip
    await insert(w, "points_holds", customer_id=pk, entry_id=entry, expires_at=w.now)
    await insert(w, "member_reminders", customer_id=pk, kind="points.expiring", occasion="x",
                 at=w.now)  # fmt: skip
    await insert(w, "points_requests", customer_id=pk, points=5, reason=plain["birthday_wish"],
                 actor="token:1", requested_at=w.now)  # fmt: skip
    code = await insert(w, "referral_codes", customer_id=pk, code=plain["card"], created_at=w.now)
    await insert(w, "referrals", customer_id=pk, code_id=code, note=plain["card"],
                 actor="token:1", entered_at=w.now)  # fmt: skip
    await insert(w, "member_imports", job_id=1, customer_id=pk, points=5)
    await insert(w, "redemptions", customer_id=pk, reward_id=1, entry_id=entry, points=5,
                 given=plain["card"], actor="token:1", requested_at=w.now)  # fmt: skip


async def make_deliveries(w, pk, plain):
    campaign = await insert(
        w, "campaigns", name="c", channel="email", message_class="marketing", segment_id=1,
        flow="{}", options="{}", state="running", version=1, created_at=w.now, updated_at=w.now,
    )  # fmt: skip
    await insert(w, "enrolments", campaign_id=campaign, run_id=1, customer_id=pk, entry_key=0,
                 entered_at=w.now)  # fmt: skip
    await insert(w, "webhook_calls", campaign_id=campaign, run_id=1, step=0, enrolment_id=1,
                 customer_id=pk, url="https://shop.example/hook", state="done", attempts=1,
                 next_at=w.now, created_at=w.now)  # fmt: skip
    for number, state in enumerate(("sent", "pending", "sending")):
        run = await insert(w, "campaign_runs", campaign_id=campaign, state="running", version=1,
                           flow="{}", options="{}", created_at=w.now)  # fmt: skip
        delivery = await insert(
            w, "deliveries", run_id=run, step=0, customer_id=pk, channel="email", state=state,
            attempts=number, next_at=w.now, updated_at=w.now, detail=plain["detail"],
            provider_id="provider-7", lease_owner="w1" if state == "sending" else None,
        )  # fmt: skip
        await insert(w, "link_clicks", delivery_id=delivery, link_id=1, at=w.now)
        await insert(
            w, "message_links", delivery_id=delivery, number=1, link=0, url="https://a.cn/x"
        )
        index = w.keyring.blind_index("email", w.merchant_id, plain["email"])
        await insert(
            w, "delivery_receipts", channel="email", event_key=f"event-{number}", status="bounced",
            at=w.now, delivery_id=delivery, provider_id="provider-7", address_index=index,
            detail=plain["detail"], received_at=w.now,
        )  # fmt: skip
    reply = await insert(w, "inbound_messages", channel="email", event_key="reply", at=w.now,
                         customer_id=pk, address_index=index, received_at=w.now)  # fmt: skip
    sealed = w.keyring.seal(plain["note"], f"inbound_messages.text|{w.merchant_id}|{reply}")
    await w.sql.execute(
        "UPDATE inbound_messages SET text_sealed = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, reply, sealed,
    )  # fmt: skip


async def merge_away(w, old, pk):
    """What a merge leaves: the old customer's row and identity as copies, and what it filled."""
    merge = await insert(w, "customer_merges", from_id=old, into_id=pk, reason="staff",
                         evidence="{}", filled="{}", actor="token:1", at=w.now)  # fmt: skip
    for table, column in (("customers", "id"), ("customer_identities", "customer_id")):
        rows = await w.sql.fetch(
            f"""DELETE FROM {table} t WHERE merchant_id = $1 AND {column} = $2
                RETURNING id, to_jsonb(t) AS content""",
            w.merchant_id, old,
        )  # fmt: skip
        for row in rows:
            await insert(w, "customer_merge_moves", merge_id=merge, table_name=table,
                         row_id=row["id"], content=row["content"])  # fmt: skip


async def dump(merchant, but=()):
    """Every row of every table of the merchant, as text."""
    async with merchant.read() as session:
        tables = await session.sql.fetch(
            """SELECT c.relname AS name FROM pg_class c
               JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id'
               WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1"""
        )
        lines = []
        for table in tables:
            if table["name"] in but:
                continue
            rows = await session.sql.fetch(
                f"SELECT to_jsonb(t) AS row FROM {table['name']} t WHERE merchant_id = $1",
                merchant.id,
            )
            lines += [(table["name"], row["row"]) for row in rows]
    return lines
