"""Joining the programme and leaving it, with the source of each, counted by day."""

import secrets
from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from core.domain.customers.customers import get_customer
from core.domain.members.points import Lot, give, lock
from core.domain.members.programme import get_programme
from core.domain.members.review import review_members
from core.domain.members.tiers import end_tiers
from core.domain.orders.facts import COUNTED
from core.sdk.errors import AlreadyExists, InvalidInput, WrongState
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
    programme = await get_programme(w)
    await get_customer(w, customer_id)
    _check_source(source)
    if await find_membership(w, customer_id) is not None:
        raise AlreadyExists(f"customer {customer_id} is a member already", ("input", "customerId"))
    before: bool = await w.sql.fetchval(
        "SELECT EXISTS (SELECT 1 FROM memberships WHERE merchant_id = $1 AND customer_id = $2)",
        w.merchant_id, customer_id,
    )  # fmt: skip
    membership_id: int | None = await w.sql.fetchval(
        """INSERT INTO memberships (merchant_id, customer_id, card_number, joined_at, join_source,
               join_shop_id) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (merchant_id, card_number) DO NOTHING RETURNING id""",
        w.merchant_id, customer_id, card_number or new_card_number(), w.now, source, shop_id,
    )  # fmt: skip
    if membership_id is None:
        raise AlreadyExists("the card number is in use", ("input", "cardNumber"))
    w.emit(MemberJoined(customer_id, source, shop_id, before))
    rules = programme.rules
    if rules.welcome_points and not before:
        expires_at = rules.points.expiry.after(w.now, programme.zone)
        await give(w, "earn", [
            Lot(customer_id, rules.welcome_points, w.now, expires_at, rule="welcome")
        ])  # fmt: skip
    await review_members(w, programme, [customer_id])
    return membership_id


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
    await get_customer(w, customer_id)
    _check_source(source)
    ended = await w.sql.execute(
        """UPDATE memberships SET left_at = $3, leave_source = $4
           WHERE merchant_id = $1 AND customer_id = $2 AND left_at IS NULL""",
        w.merchant_id, customer_id, w.now, source,
    )  # fmt: skip
    if ended == "UPDATE 0":
        raise WrongState(f"customer {customer_id} is not a member", ("input", "customerId"))
    for table in ("memberships", "tier_intervals"):  # who left as one customer did so as each
        await w.sql.execute(
            f"""UPDATE {table} SET merged = FALSE
                WHERE merchant_id = $1 AND customer_id = $2 AND merged""",
            w.merchant_id, customer_id,
        )  # fmt: skip
    for tier_id in (await end_tiers(w, [customer_id])).values():
        w.emit(TierChanged(customer_id, tier_id, None, "left"))
    w.emit(MemberLeft(customer_id, source))


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
