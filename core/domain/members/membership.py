"""Joining the programme and leaving it, with the source of each, counted by day."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from core.domain.customers.customers import get_customer
from core.domain.members.points import CUSTOMER, Lot, give, lock
from core.domain.members.programme import Programme, get_programme
from core.domain.members.review import review_members
from core.domain.members.tiers import end_tiers
from core.domain.orders.facts import COUNTED
from core.domain.shops.shops import need_shop
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, WrongState
from core.sdk.events import MemberJoined, MemberLeft, TierChanged
from core.storage.database import Session, Work


class MemberSource(StrEnum):
    """By what a customer joined or left."""

    PAGE = "page"
    AGENT = "agent"
    SMS = "sms"
    CAMPAIGN = "campaign"
    SHOP = "shop"
    PLATFORM = "platform"
    IMPORT = "import"
    RULE = "rule"
    API = "api"


CARD_DIGITS = 12


async def join(
    w: Work,
    customer_id: int,
    source: str,
    *,
    shop_id: int | None = None,
    card_number: str | None = None,
) -> int:
    """Make a customer a member; returns the membership's id.

    Who joins for the first time gets the welcome points. A tier follows at once from what the
    customer has bought. Raises NotFound, InvalidInput, AlreadyExists for a member or a card number
    in use, WrongState where there is no programme.
    """
    programme, faults = await get_programme(w), Faults()
    with faults:
        await get_customer(w, customer_id, path=CUSTOMER)
    with faults:
        _check_source(source)
    with faults:
        await need_shop(w, shop_id)
    if await find_membership(w, customer_id) is not None:
        faults.add(AlreadyExists("the customer is a member already", CUSTOMER))
    faults.tell()
    joining = Joining(customer_id, w.now, shop_id, card_number)
    admitted = await admit(w, programme, [joining], source)
    if customer_id not in admitted:
        raise AlreadyExists("the card number is in use", ("input", "cardNumber"))
    return admitted[customer_id]


@dataclass(frozen=True)
class Joining:
    """A customer who becomes a member: when, in which shop, with which card (None: a new one)."""

    customer_id: int
    at: datetime
    shop_id: int | None = None
    card_number: str | None = None


async def admit(
    w: Work, programme: Programme, joining: Sequence[Joining], source: str, *, told: bool = True
) -> dict[int, int]:
    """Make customers members; returns the memberships' ids by customer.

    Who is a member already, or has a card number in use, is passed over. With `told` False it is
    history: there is neither an event nor a welcome.
    """
    if not joining:
        return {}
    customers = [one.customer_id for one in joining]
    rows = await w.sql.fetch(
        """SELECT DISTINCT customer_id FROM memberships
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])""",
        w.merchant_id, customers,
    )  # fmt: skip
    before = {row["customer_id"] for row in rows}
    rows = await w.sql.fetch(
        """INSERT INTO memberships (merchant_id, customer_id, card_number, joined_at, join_source,
               join_shop_id)
           SELECT $1, u.customer, u.card, u.at, $2, u.shop
           FROM unnest($3::bigint[], $4::text[], $5::timestamptz[], $6::bigint[])
                AS u (customer, card, at, shop)
           ON CONFLICT DO NOTHING RETURNING customer_id, id""",
        w.merchant_id, source, customers,
        [one.card_number or new_card_number() for one in joining],
        [one.at for one in joining], [one.shop_id for one in joining],
    )  # fmt: skip
    admitted = {row["customer_id"]: row["id"] for row in rows}
    if told:
        for one in joining:
            if one.customer_id in admitted:
                again = one.customer_id in before
                w.emit(MemberJoined(one.customer_id, source, one.shop_id, again))
        await _welcome(w, programme, [pk for pk in admitted if pk not in before])
    await review_members(w, programme, list(admitted))
    return admitted


async def _welcome(w: Work, programme: Programme, customer_ids: Sequence[int]) -> None:
    points = programme.rules.welcome_points
    if points and customer_ids:
        expires_at = programme.rules.points.expiry.after(w.now, programme.zone)
        await give(
            w, "earn",
            [Lot(pk, points, w.now, expires_at, rule="welcome") for pk in customer_ids],
        )  # fmt: skip


async def join_buyers(w: Work, customer_ids: Sequence[int]) -> None:
    """Let those of the customers in, by rule, who have bought and never were members."""
    rows = await w.sql.fetch(
        f"""SELECT DISTINCT ON (c.id) c.id, o.shop_id FROM customers c
            JOIN orders o ON o.merchant_id = $1 AND o.customer_id = c.id AND {COUNTED}
            WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[])
              AND NOT EXISTS (SELECT 1 FROM memberships m
                  WHERE m.merchant_id = $1 AND m.customer_id = c.id)
            ORDER BY c.id, o.paid_at""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    for row in rows:
        # two orders of a customer may be told of at once
        await lock(w, [row["id"]])
        if await find_membership(w, row["id"]) is None:
            await join(w, row["id"], MemberSource.RULE, shop_id=row["shop_id"])


async def leave(w: Work, customer_id: int, source: str) -> None:
    """End a membership and its tier; points stay in the ledger, for who comes back.

    Raises NotFound, InvalidInput, WrongState.
    """
    faults = Faults()
    with faults:
        await get_customer(w, customer_id, path=CUSTOMER)
    with faults:
        _check_source(source)
    faults.tell()
    if not await dismiss(w, [customer_id], source):
        raise WrongState("the customer is not a member", CUSTOMER)


async def dismiss(w: Work, customer_ids: Sequence[int], source: str) -> list[int]:
    """End the memberships of customers, and their tiers; returns those who were members."""
    rows = await w.sql.fetch(
        """UPDATE memberships SET left_at = $3, leave_source = $4
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND left_at IS NULL
           RETURNING customer_id""",
        w.merchant_id, list(customer_ids), w.now, source,
    )  # fmt: skip
    gone = sorted(row["customer_id"] for row in rows)
    if not gone:
        return []
    for table in ("memberships", "tier_intervals"):  # who left as one customer did so as each
        await w.sql.execute(
            f"""UPDATE {table} SET merged = FALSE
                WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND merged""",
            w.merchant_id, gone,
        )  # fmt: skip
    for customer_id, tier_id in (await end_tiers(w, gone)).items():
        w.emit(TierChanged(customer_id, tier_id, None, "left"))
    for customer_id in gone:
        w.emit(MemberLeft(customer_id, source))
    return gone


async def find_membership(session: Session, customer_id: int) -> int | None:
    """The id of a customer's present membership, or None."""
    found: int | None = await session.sql.fetchval(
        """SELECT id FROM memberships
           WHERE merchant_id = $1 AND customer_id = $2 AND left_at IS NULL""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    return found


async def customer_of_card(session: Session, card_number: str) -> int | None:
    """The customer who has or had this card, or None."""
    found: int | None = await session.sql.fetchval(
        "SELECT customer_id FROM memberships WHERE merchant_id = $1 AND card_number = $2",
        session.merchant_id, card_number,
    )  # fmt: skip
    return found


async def counts_by_day(
    session: Session, first: date, last: date
) -> list[tuple[date, str, int, int]]:
    """(day, source, joined, left) of each day of the merchant's calendar that has any."""
    if last < first:
        raise InvalidInput("the last day is before the first", ("last",))
    rows = await session.sql.fetch(
        """WITH moves AS (
               SELECT joined_at AS at, join_source AS source, 1 AS joined, 0 AS gone
               FROM memberships WHERE merchant_id = $1
               UNION ALL
               SELECT left_at, leave_source, 0, 1 FROM memberships
               WHERE merchant_id = $1 AND leave_source IS NOT NULL)
           SELECT (v.at AT TIME ZONE m.time_zone)::date AS day, v.source,
                  sum(v.joined)::int AS joined, sum(v.gone)::int AS gone
           FROM moves v JOIN merchants m ON m.id = $1
           WHERE (v.at AT TIME ZONE m.time_zone)::date BETWEEN $2 AND $3
           GROUP BY 1, 2 ORDER BY 1, 2""",
        session.merchant_id, first, last,
    )  # fmt: skip
    return [(row["day"], row["source"], row["joined"], row["gone"]) for row in rows]


def _check_source(source: str) -> None:
    if source not in list(MemberSource):
        raise InvalidInput(f"a source is one of {', '.join(MemberSource)}", ("input", "source"))


def new_card_number() -> str:
    """A card number at random; the first digit is none that a spreadsheet would drop."""
    return str(secrets.randbelow(9 * 10 ** (CARD_DIGITS - 1)) + 10 ** (CARD_DIGITS - 1))
