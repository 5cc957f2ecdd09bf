"""Quoting, reserving and redeeming coupons for baskets, many at once, and never one coupon twice.

Everything about a basket happens under locks taken in one order: the order's number, templates
whose limits or budget count, coupons. A repeated call for the same order gives the same answer.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from core.sdk import Faults, InvalidInput, NotFound
from plugins.coupons.allowance import Allowance, allowances
from plugins.coupons.codes import MAX_CODE, mistyped, normal
from plugins.coupons.entries import Entry, enter
from plugins.coupons.errors import CouponGuessing
from plugins.coupons.events import CouponAddressBusy, CouponRedeemed
from plugins.coupons.issuing import expiry
from plugins.coupons.quoting import Basket, Left, Quoted, Stack, fits, take_off, valid
from plugins.coupons.templates import Template, read_template

MAX_CODES, MAX_LINES, MAX_BASKETS = 10, 500, 1000
MAX_AMOUNT = 10**12
SAME_ADDRESS = timedelta(days=30)
BUSY = 5
"""From so many redemptions for one address within SAME_ADDRESS on, it is told."""

UNKNOWN = "there is no such coupon"
MISTYPED = "the code is mistyped"
Deed = Literal["quote", "reserve", "redeem"]


@dataclass(frozen=True)
class Purchase:
    """A basket and the codes that are to be used for it, in this order."""

    basket: Basket
    codes: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a purchase. Either all of its codes were used, or none of them.

    `guessed` counts codes that could be guesses: they are not there, and no typos either. With a
    `refusal` nobody looked, since the client has missed too often.
    """

    done: bool
    codes: Sequence[Quoted]
    guessed: int = 0
    refusal: CouponGuessing | None = None

    @property
    def amount(self) -> int:
        """What is taken off in all, in minor units; of a quote what the usable codes take off."""
        return sum(one.amount for one in self.codes)


@dataclass
class _Coupon:
    """A coupon while it is reckoned with; `id` None is one of a public template, to be made."""

    id: int | None
    template_id: int
    customer_id: int | None
    state: str
    expires_at: datetime | None
    order_ref: str | None = None
    reserved_until: datetime | None = None
    amount: int = 0
    key: str | None = None
    sales: int = 0
    address: str | None = None
    unclaimed: bool = False

    def taken(self, basket: Basket, now: datetime) -> str | None:
        """Why it cannot be had for the basket, or None."""
        mine = basket.ref is not None and self.order_ref == basket.ref
        if self.state in ("expired", "revoked"):
            return f"it is {self.state}"
        if self.state == "held":
            return "it has not been given to a customer yet"
        if self.state == "redeemed" and not mine:
            return "it was used already"
        held = self.state == "reserved" and not mine
        if held and (self.reserved_until is None or self.reserved_until > now):
            return "it is reserved for another order"
        if None not in (self.customer_id, basket.customer_id):
            return None if self.customer_id == basket.customer_id else "it is another customer's"
        return None


@dataclass
class _Found:
    """What the purchases name, locked."""

    templates: dict[int, Template]
    coupons: dict[int, _Coupon]
    by_code: dict[str, int]
    public: dict[str, int]
    of_order: dict[str, list[int]]
    platforms: dict[int, str]
    allowed: dict[int, Allowance]
    spent: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    issued: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


async def use(
    w: Any, purchases: Sequence[Purchase], deed: Deed, until: datetime | None = None
) -> list[Outcome]:
    """Quote the purchases, or reserve (until an instant) or redeem their coupons.

    One answer for each purchase, in their order. A quote writes nothing and takes a session; the
    others need the order's number. Raises InvalidInput.
    """
    _check(purchases, deed, until, w.now)
    found = await _find(w, purchases, lock=deed != "quote")
    outcomes: list[Outcome] = []
    changed: dict[int, _Coupon] = {}
    new: list[_Coupon] = []
    entries: list[tuple[_Coupon, str]] = []
    for purchase in purchases:
        outcome, used = _reckon(found, purchase, w.now)
        outcomes.append(outcome)
        if deed == "quote" or not outcome.done:
            for coupon, quoted in used:
                _count(found, coupon, quoted, purchase.basket, -1)
            continue
        sales = _sales(purchase.basket, outcome.amount)
        address = _address(w, purchase.basket)
        for coupon, quoted in used:
            if coupon.order_ref == purchase.basket.ref and coupon.state == "redeemed":
                continue
            _apply(found, coupon, quoted, purchase.basket, deed, until)
            coupon.sales, coupon.address = sales, address
            if coupon.id is None:
                new.append(coupon)
            else:
                changed[coupon.id] = coupon
            entries.append((coupon, "reserved" if deed == "reserve" else "redeemed"))
    if entries:
        await _write(w, found, changed, new, entries)
    return outcomes


def _check(
    purchases: Sequence[Purchase], deed: Deed, until: datetime | None, now: datetime
) -> None:
    faults = Faults()
    if not 0 < len(purchases) <= MAX_BASKETS:
        raise InvalidInput(f"give 1 to {MAX_BASKETS} baskets", ("input", "baskets"))
    if deed == "reserve" and (until is None or until <= now):
        faults.wrong("a reservation ends in the future", "until")
    for place, one in enumerate(purchases):
        for name, message in _wrong_with(one, deed):
            faults.wrong(message, "baskets", place, name)
    refs = [one.basket.ref for one in purchases if one.basket.ref is not None]
    if deed != "quote" and len(set(refs)) < len(refs):
        faults.wrong("an order is given twice", "baskets")
    faults.tell()


def _wrong_with(one: Purchase, deed: Deed) -> Iterator[tuple[str, str]]:
    """What is wrong with a basket: the name of a value, and why."""
    basket = one.basket
    if not 0 < len(one.codes) <= MAX_CODES:
        yield "codes", f"give 1 to {MAX_CODES} codes"
    if any(len(code) > MAX_CODE * 2 for code in one.codes):
        yield "codes", f"a code has at most {MAX_CODE} characters"
    if len({normal(code) for code in one.codes}) < len(one.codes):
        yield "codes", "a code is given twice"
    if not 0 < len(basket.lines) <= MAX_LINES:
        yield "lines", f"give 1 to {MAX_LINES} lines"
    if not all(0 <= amount <= MAX_AMOUNT for amount in (line.amount for line in basket.lines)):
        yield "lines", "amounts are not negative"
    if not 0 <= basket.shipping <= MAX_AMOUNT:
        yield "shipping", "amounts are not negative"
    if not all(0 < line.quantity <= 10**6 for line in basket.lines):
        yield "lines", "quantities are from 1 to 1000000"
    if deed != "quote" and not basket.order:
        yield "order", "give the order's number"
    if basket.order is not None and len(basket.order) > 200:
        yield "order", "at most 200 characters"


async def lock_orders(w: Any, refs: Sequence[str]) -> None:
    """Let nobody else touch the coupons of these orders until the end of the transaction."""
    await w.sql.execute(
        """SELECT pg_advisory_xact_lock(k) FROM (
               SELECT DISTINCT hashtextextended('coupons:' || $1::bigint || ':' || u, 0) AS k
               FROM unnest($2::text[]) u ORDER BY 1) locks""",
        w.merchant_id, list(refs),
    )  # fmt: skip


async def _find(w: Any, purchases: Sequence[Purchase], *, lock: bool) -> _Found:
    codes = sorted({normal(code) for one in purchases for code in one.codes})
    refs = sorted({one.basket.ref for one in purchases if one.basket.ref is not None})
    people = sorted({
        one.basket.customer_id for one in purchases if one.basket.customer_id is not None
    })  # fmt: skip
    shops = sorted({one.basket.shop_id for one in purchases if one.basket.shop_id is not None})
    if lock:
        await lock_orders(w, refs)
    named = await w.sql.fetch(
        """SELECT c.id, c.template_id, c.code, c.state, t.budget IS NOT NULL AS budgeted
           FROM (SELECT id, template_id, code, state FROM coupons_coupons
                     WHERE merchant_id = $1 AND code = ANY($2::text[])
                 UNION ALL SELECT id, template_id, NULL, state FROM coupons_coupons
                     WHERE merchant_id = $1 AND order_ref = ANY($3::text[])
                 UNION ALL SELECT NULL, id, public_code, 'public' FROM coupons_templates
                     WHERE merchant_id = $1 AND public_code = ANY($2::text[])) c
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id""",
        w.merchant_id, codes, refs,
    )  # fmt: skip
    coupon_ids = sorted({row["id"] for row in named if row["id"] is not None})
    counted = {row["template_id"] for row in named if row["state"] in ("public", "stock")}
    # a granted coupon of a template without a budget changes nothing of its template
    shared = counted | {row["template_id"] for row in named if row["budgeted"]} if lock else set()
    templates = await _templates(w, shared, "FOR NO KEY UPDATE")
    templates |= await _templates(w, {row["template_id"] for row in named} - shared)
    rows = await w.sql.fetch(
        f"""SELECT * FROM coupons_coupons WHERE merchant_id = $1 AND id = ANY($2::bigint[])
            ORDER BY id {"FOR UPDATE" if lock else ""}""",
        w.merchant_id, coupon_ids,
    )  # fmt: skip
    coupons = {
        row["id"]: _Coupon(
            row["id"], row["template_id"], row["customer_id"], row["state"], row["expires_at"],
            row["order_ref"], row["reserved_until"], row["amount"] or 0,
            unclaimed=row["state"] == "stock",
        )
        for row in rows
    }  # fmt: skip
    of_order = defaultdict(list)
    for coupon in coupons.values():
        if coupon.order_ref is not None and coupon.state in ("reserved", "redeemed"):
            of_order[coupon.order_ref].append(coupon.id or 0)
    if people and await w.sql.fetchval(
        "SELECT count(*) FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, people,
    ) < len(people):  # fmt: skip
        raise NotFound("there is no such customer", ("input", "customerId"))
    platforms = await _platforms(w, shops)
    return _Found(
        templates=templates, coupons=coupons,
        by_code={row["code"]: row["id"] for row in rows if row["code"] is not None},
        public={
            row["code"]: row["template_id"] for row in named if row["state"] == "public"
        },
        of_order=of_order, platforms=platforms,
        allowed=await allowances(
            w, [one for one in templates.values() if one.id in counted], people
        ),
    )  # fmt: skip


async def _templates(w: Any, ids: set[int], lock: str = "") -> dict[int, Template]:
    if not ids:
        return {}
    rows = await w.sql.fetch(
        f"""SELECT * FROM coupons_templates WHERE merchant_id = $1 AND id = ANY($2::bigint[])
            ORDER BY id {lock}""",
        w.merchant_id, sorted(ids),
    )  # fmt: skip
    return {row["id"]: read_template(row) for row in rows}


async def _platforms(w: Any, shops: Sequence[int]) -> dict[int, str]:
    if not shops:
        return {}
    rows = await w.sql.fetch(
        "SELECT id, platform FROM shops WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, shops,
    )  # fmt: skip
    if len(rows) < len(shops):
        raise NotFound("there is no such shop", ("input", "shopId"))
    return {row["id"]: row["platform"] for row in rows}


def _reckon(
    found: _Found, purchase: Purchase, now: datetime
) -> tuple[Outcome, list[tuple[_Coupon, Quoted]]]:
    """What each code is worth for the basket; `done` if all of them can be used.

    Those that can are counted, so that the codes of a basket share a budget and limits.
    """
    basket, left, stack = purchase.basket, Left.of(purchase.basket), Stack()
    platform = found.platforms.get(basket.shop_id or 0)
    wanted = [(code, _named(found, normal(code), basket)) for code in purchase.codes]
    asked = {coupon.id for _, coupon in wanted if coupon is not None}
    for other in found.of_order.get(basket.ref or "", []):
        if other not in asked:  # what the order has already
            coupon = found.coupons[other]
            stack.templates.append(found.templates[coupon.template_id])
            take_off(found.templates[coupon.template_id], basket, left)
    quotes: list[Quoted] = []
    used: list[tuple[_Coupon, Quoted]] = []
    guessed = 0
    for code, named in wanted:
        if named is None:
            typo = mistyped(normal(code))
            guessed += not typo
            quotes.append(Quoted(code, reason=MISTYPED if typo else UNKNOWN))
            continue
        template = found.templates[named.template_id]
        quoted = _quote(found, code, named, template, basket, platform, left, stack, now)
        quotes.append(quoted)
        if quoted.reason is None:
            stack.templates.append(template)
            used.append((named, quoted))
            _count(found, named, quoted, basket)
    return Outcome(len(used) == len(wanted), quotes, guessed), used


def _named(found: _Found, code: str, basket: Basket) -> _Coupon | None:
    """The coupon that a code names for this basket."""
    if code in found.by_code:
        return found.coupons[found.by_code[code]]
    if code not in found.public:
        return None
    template = found.templates[found.public[code]]
    for other in found.of_order.get(basket.ref or "", []):
        if found.coupons[other].template_id == template.id:
            return found.coupons[other]
    return _Coupon(None, template.id, basket.customer_id, "public", None, unclaimed=True)


def _quote(
    found: _Found, code: str, coupon: _Coupon, template: Template, basket: Basket,
    platform: str | None, left: Left, stack: Stack, now: datetime,
) -> Quoted:  # fmt: skip
    mine = basket.ref is not None and coupon.order_ref == basket.ref
    if mine and coupon.state == "redeemed":
        take_off(template, basket, left)
        return Quoted(code, coupon.amount, None, template.gift, template.id, coupon.id)
    why = coupon.taken(basket, now)
    # a reservation keeps what it was promised, even if the coupon ends meanwhile; one that lapsed,
    # whether or not that was written down, keeps nothing
    kept = mine and (coupon.reserved_until is None or coupon.reserved_until > now)
    why = why or (None if kept else valid(template, coupon.expires_at, now))
    why = why or fits(template, basket, platform) or stack.why_not(template)
    if why is None and coupon.state in ("public", "stock"):
        allowed = found.allowed[template.id]
        why = allowed.not_for(basket.customer_id) or allowed.exhausted()
    if why is not None:
        return Quoted(code, reason=why, template_id=template.id, coupon_id=coupon.id)
    before = Left(list(left.lines), left.shipping)
    amount = take_off(template, basket, left)
    reason = None
    if amount == 0 and template.kind != "gift":
        reason = "there is nothing left to take off"
    elif template.budget is not None:
        held = coupon.amount if coupon.state == "reserved" else 0
        if template.spent + found.spent[template.id] - held + amount > template.budget:
            reason = "its budget is used up"
    if reason is not None:
        left.lines, left.shipping = before.lines, before.shipping
        return Quoted(code, reason=reason, template_id=template.id, coupon_id=coupon.id)
    return Quoted(code, amount, None, template.gift, template.id, coupon.id)


def _count(found: _Found, coupon: _Coupon, quoted: Quoted, basket: Basket, times: int = 1) -> None:
    """Count a coupon that the basket uses against its template's budget and limits."""
    if coupon.state == "redeemed":
        return  # of this order, and counted long ago
    held = coupon.amount if coupon.state == "reserved" else 0
    found.spent[coupon.template_id] += times * (quoted.amount - held)
    if coupon.state in ("public", "stock"):
        found.allowed[coupon.template_id].take(basket.customer_id, times)


def _apply(
    found: _Found, coupon: _Coupon, quoted: Quoted, basket: Basket, deed: Deed,
    until: datetime | None,
) -> None:  # fmt: skip
    """Note that the coupon is used, for this purchase and those that follow."""
    template = found.templates[coupon.template_id]
    if coupon.state in ("public", "stock"):
        found.issued[template.id] += 1
    coupon.state = "reserved" if deed == "reserve" else "redeemed"
    coupon.customer_id = coupon.customer_id or basket.customer_id
    coupon.order_ref, coupon.amount = basket.ref, quoted.amount
    coupon.reserved_until = until if deed == "reserve" else None


def _sales(basket: Basket, off: int) -> int:
    return sum(line.amount for line in basket.lines) + basket.shipping - off


def _address(w: Any, basket: Basket) -> str | None:
    if not basket.address or not basket.address.strip():
        return None
    plain = "".join(basket.address.split()).casefold()
    return str(w.keyring.blind_index("coupons.address", w.merchant_id, plain).hex())


async def _write(
    w: Any, found: _Found, changed: dict[int, _Coupon], new: Sequence[_Coupon],
    entries: Sequence[tuple[_Coupon, str]],
) -> None:  # fmt: skip
    for coupon, pk in zip(new, await w.new_ids("coupons_coupons", len(new)), strict=True):
        coupon.id = pk
    if new:
        await w.sql.execute(
            """INSERT INTO coupons_coupons (merchant_id, template_id, state, source, granted_at,
                   transferred, unused_told, id, customer_id, expires_at)
               SELECT $1, u.template, 'granted', 'public', $2, 0, FALSE, u.id, u.customer, u.expires
               FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[])
                    AS u (id, template, customer, expires)""",
            w.merchant_id, w.now, [one.id for one in new], [one.template_id for one in new],
            [one.customer_id for one in new],
            [expiry(found.templates[one.template_id], w.now) for one in new],
        )  # fmt: skip
    rows = [*changed.values(), *new]
    await w.sql.execute(
        """UPDATE coupons_coupons c SET state = u.state, customer_id = u.customer,
               order_ref = u.ref, reserved_until = u.until, amount = u.amount, sales = u.sales,
               address = u.address, granted_at = COALESCE(c.granted_at, $2),
               source = COALESCE(c.source, 'code'),
               redeemed_at = CASE WHEN u.state = 'redeemed' THEN $2::timestamptz END
           FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[],
                       $8::bigint[], $9::bigint[], $10::text[])
                AS u (id, state, customer, ref, until, amount, sales, address)
           WHERE c.merchant_id = $1 AND c.id = u.id""",
        w.merchant_id, w.now, [one.id for one in rows], [one.state for one in rows],
        [one.customer_id for one in rows], [one.order_ref for one in rows],
        [one.reserved_until for one in rows], [one.amount for one in rows],
        [one.sales for one in rows], [one.address for one in rows],
    )  # fmt: skip
    counted = [
        pk for pk in sorted({*found.spent, *found.issued})
        if found.templates[pk].budget is not None or found.issued[pk]
    ]  # fmt: skip
    if counted:
        await w.sql.execute(
            """UPDATE coupons_templates t SET issued = t.issued + u.issued,
                   spent = CASE WHEN t.budget IS NULL THEN t.spent ELSE t.spent + u.spent END
               FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS u (id, issued, spent)
               WHERE t.merchant_id = $1 AND t.id = u.id""",
            w.merchant_id, counted, [found.issued[pk] for pk in counted],
            [found.spent[pk] for pk in counted],
        )  # fmt: skip
    told = []
    for coupon, kind in entries:
        assert coupon.id is not None
        if coupon.unclaimed:
            told.append(Entry(coupon.id, coupon.template_id, coupon.customer_id, "claimed"))
        told.append(Entry(
            coupon.id, coupon.template_id, coupon.customer_id, kind, coupon.amount,
            coupon.order_ref,
        ))  # fmt: skip
        if kind == "redeemed":
            w.emit(CouponRedeemed(
                coupon.id, coupon.template_id, coupon.customer_id, coupon.amount
            ))  # fmt: skip
    await enter(w, told)
    await _tell_busy(w, [coupon for coupon, kind in entries if kind == "redeemed"])


async def _tell_busy(w: Any, coupons: Sequence[_Coupon]) -> None:
    """Emit for addresses that many coupons were redeemed for."""
    addresses = {one.address for one in coupons if one.address is not None}
    if not addresses:
        return
    rows = await w.sql.fetch(
        """SELECT address, count(*) AS number FROM coupons_coupons
           WHERE merchant_id = $1 AND address = ANY($2::text[]) AND state = 'redeemed'
             AND redeemed_at > $3 GROUP BY 1 HAVING count(*) >= $4""",
        w.merchant_id, sorted(addresses), w.now - SAME_ADDRESS, BUSY,
    )  # fmt: skip
    busy = {row["address"]: row["number"] for row in rows}
    for one in coupons:
        if one.address in busy:
            w.emit(CouponAddressBusy(one.id or 0, one.template_id, busy[one.address]))
