"""The points ledger: lots of points, and entries that take from them.

A *lot* is what was earned at once: it can be used from `available_at` until `expires_at`. Whatever
takes points away takes them from lots, the one that expires first before the others, and says so in
`points_uses`; what no lot can cover is a debt, which the next lot covers first. Nothing is ever
changed or deleted, so a balance can be told for any instant: what is left of the lots that can be
used then, less the debts. An entry that counts for nothing from now on is marked as `settled`, so
that who takes points need not add up a member's whole history; only a return takes the mark away.

    balance(t) = sum over lots usable at t of (points - uses until t)
               - sum over entries until t of (taken - covered by uses until t)

A hold that lapsed counts as given back from the instant of its lapse, whether or not a worker
wrote that down already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core.sdk.errors import Faults, HuikeError, InvalidInput, NotFound, WrongState
from core.storage.database import Session, Work

MAX_POINTS = 10**9
CUSTOMER = ("input", "customerId")
"""Where the customer stands in an input."""
LAPSED_AT_ONCE = 1000

LAPSED = """EXISTS (SELECT 1 FROM points_holds h WHERE h.merchant_id = $1
    AND h.entry_id = {entry} AND h.state = 'held' AND h.expires_at <= {now})"""
"""Whether an entry is a hold whose time was over at an instant."""

LEFT = """SELECT l.id, l.customer_id, l.available_at, l.expires_at, l.order_id,
       l.points - COALESCE((SELECT sum(u.points) FROM points_uses u
           WHERE u.merchant_id = l.merchant_id AND u.lot_id = l.id {until}), 0)::bigint AS points
    FROM points_entries l WHERE l.merchant_id = $1 AND l.lot"""
"""What is left of lots, as a SELECT; {until} is a condition on the uses that count."""

LEFT_OF_LOT = f"""(e.points - COALESCE((SELECT sum(u.points) FROM points_uses u
    WHERE u.merchant_id = $1 AND u.lot_id = e.id AND u.at <= {{now}}
      AND NOT {LAPSED.format(entry="u.entry_id", now="{now}")}), 0))"""
"""What is left at {now} of the lot `e`, an entry."""

WORTH = f"""(CASE
    WHEN e.at > {{now}} THEN 0
    WHEN e.lot THEN CASE WHEN e.available_at <= {{now}} AND COALESCE(e.expires_at > {{now}}, TRUE)
        THEN {LEFT_OF_LOT} ELSE 0 END
    WHEN {LAPSED.format(entry="e.id", now="{now}")} THEN 0
    ELSE e.points + COALESCE((SELECT sum(u.points) FROM points_uses u
        WHERE u.merchant_id = $1 AND u.entry_id = e.id AND u.at <= {{now}}), 0) END)"""
"""What the entry `e` adds to its customer's balance at {now}, as SQL; see the formula above."""


USABLE = f"""{LEFT.format(until="")} AND l.customer_id = $2 AND NOT l.settled
    AND l.available_at <= {{at}} AND COALESCE(l.expires_at > {{at}}, TRUE)"""
"""What is left of the lots that customer $2 can use at {{at}}."""

USE = """
    used AS (
        INSERT INTO points_uses (merchant_id, entry_id, lot_id, points, at)
        SELECT $1, entry.id, lot.id, LEAST(lot.points, $3::bigint - lot.before), entry.at
        FROM {entry} entry (id, at), (
            SELECT id, points,
                   sum(points) OVER (ORDER BY expires_at NULLS LAST, id) - points AS before
            FROM lots WHERE points > 0) lot
        WHERE lot.before < $3 RETURNING lot_id, points),
    emptied AS (
        UPDATE points_entries e SET settled = TRUE
        FROM used JOIN lots ON lots.id = used.lot_id AND lots.points = used.points
        WHERE e.merchant_id = $1 AND e.id = used.lot_id)"""
"""Has the entry take $3 points of the usable `lots`, those that expire first before the others."""

TAKE = f"""
    WITH moment AS MATERIALIZED (
        SELECT at, EXISTS (SELECT 1 FROM points_holds WHERE merchant_id = $1 AND customer_id = $2
                           AND state = 'held' AND expires_at <= at) AS lapsed
        FROM (SELECT GREATEST($4, (SELECT max(at) FROM points_entries
                                   WHERE merchant_id = $1 AND customer_id = $2)) AS at) latest),
    lots AS MATERIALIZED ({USABLE.format(at="(SELECT at FROM moment)")}),
    debts AS (
        SELECT sum(-e.points - COALESCE((SELECT sum(u.points) FROM points_uses u
                   WHERE u.merchant_id = $1 AND u.entry_id = e.id AND u.at <= m.at), 0)) AS points
        FROM points_entries e, moment m
        WHERE e.merchant_id = $1 AND e.customer_id = $2 AND NOT e.lot AND NOT e.settled),
    balance AS MATERIALIZED (
        SELECT usable, (usable - COALESCE((SELECT points FROM debts), 0))::bigint AS available
        FROM (SELECT COALESCE(sum(points), 0) AS usable FROM lots) l),
    entered AS (
        INSERT INTO points_entries (merchant_id, customer_id, kind, points, lot, at, order_id,
            reason, actor, settled)
        SELECT $1, $2, $5, -$3::bigint, FALSE, at, $6, $7, $8, usable >= $3 FROM moment, balance
        WHERE NOT lapsed AND ($9 OR available >= $3) RETURNING id, at),
    {USE.format(entry="entered")}
    SELECT available, lapsed, at, (SELECT id FROM entered) FROM balance, moment
"""
"""Takes $3 points of customer $2, unless a hold has lapsed that nobody wrote down yet, or there are
too few of them and $9 lets nobody have debts.

The moment is now, $4; or when the customer's points changed last, if a transaction that began after
this one was quicker: what it took must not be overlooked as something of the future."""


class NotEnoughPoints(HuikeError):
    code = "NOT_ENOUGH_POINTS"
    cause = "The customer has fewer points than are to be taken."
    cure = "Take no more than the balance that the message tells."


@dataclass(frozen=True, slots=True)
class Lot:
    """Points to give a customer; `rule` names the earning rule, if one gave them."""

    customer_id: int
    points: int
    available_at: datetime
    expires_at: datetime | None = None
    order_id: int | None = None
    rule: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """A customer's points at an instant: `available` may be negative where debts are allowed.

    `pending` become usable later, `held` are set aside. `expiring` of the available ones expire
    first, at `expires_at`.
    """

    available: int
    pending: int
    held: int
    expiring: int = 0
    expires_at: datetime | None = None


BALANCES = f"""
    WITH lots AS MATERIALIZED (
        {LEFT.format(until=f"AND u.at <= $3 AND NOT {LAPSED.format(entry='u.entry_id', now='$3')}")}
          AND l.customer_id {{whom}} AND l.at <= $3 AND COALESCE(l.expires_at > $3, TRUE)),
    usable AS (
        SELECT customer_id, sum(points) FILTER (WHERE available_at <= $3) AS available,
               sum(points) FILTER (WHERE available_at > $3) AS pending,
               sum(points) FILTER (WHERE available_at <= $3 AND expires_at = first) AS expiring,
               min(first) AS expires_at
        FROM (SELECT *, min(expires_at) FILTER (WHERE available_at <= $3 AND points > 0)
                  OVER (PARTITION BY customer_id) AS first FROM lots) l
        GROUP BY customer_id),
    debts AS (
        SELECT e.customer_id, sum(-e.points - COALESCE((
                   SELECT sum(u.points) FROM points_uses u WHERE u.merchant_id = $1
                     AND u.entry_id = e.id AND u.at <= $3), 0)) AS points
        FROM points_entries e
        WHERE e.merchant_id = $1 AND e.customer_id {{whom}} AND NOT e.lot
          AND e.at <= $3 AND NOT {LAPSED.format(entry="e.id", now="$3")}
        GROUP BY e.customer_id),
    held AS (
        SELECT h.customer_id, -sum(e.points) AS points
        FROM points_holds h JOIN points_entries e ON e.merchant_id = $1 AND e.id = h.entry_id
        WHERE h.merchant_id = $1 AND h.customer_id {{whom}} AND e.at <= $3
          AND h.expires_at > $3 AND COALESCE(h.settled_at > $3, TRUE)
        GROUP BY h.customer_id)
    SELECT c.id, (COALESCE(a.available, 0) - COALESCE(d.points, 0))::bigint AS available,
           COALESCE(a.pending, 0)::bigint AS pending, COALESCE(h.points, 0)::bigint AS held,
           a.expires_at, COALESCE(a.expiring, 0)::bigint AS expiring
    FROM {{people}} c (id)
    LEFT JOIN usable a ON a.customer_id = c.id LEFT JOIN debts d ON d.customer_id = c.id
    LEFT JOIN held h ON h.customer_id = c.id
"""
MANY = {"whom": "= ANY($2::bigint[])", "people": "unnest($2::bigint[])"}
ONE = {"whom": "= $2::bigint", "people": "(SELECT $2::bigint)"}
"""One customer by himself: the database then plans the statement once, not each time anew."""


async def balances(
    session: Session, customer_ids: Sequence[int], at: datetime | None = None
) -> dict[int, Balance]:
    """The customers' points at an instant, now unless another is given."""
    one = len(customer_ids) == 1
    rows = await session.sql.fetch(
        BALANCES.format(**(ONE if one else MANY)), session.merchant_id,
        customer_ids[0] if one else list(customer_ids), at or session.now,
    )  # fmt: skip
    return {
        row["id"]: Balance(
            row["available"], row["pending"], row["held"], row["expiring"], row["expires_at"]
        )
        for row in rows
    }


async def give(w: Work, kind: str, lots: Sequence[Lot]) -> list[int]:
    """Add lots; returns their ids in order. Open debts of their customers are covered first.

    `kind` is "earn", "adjust" or "transfer".
    """
    customer_ids = sorted({lot.customer_id for lot in lots})
    await lock(w, customer_ids)
    row = await w.sql.fetchrow(
        f"""WITH made AS MATERIALIZED (
                SELECT nextval(s.name) AS id, u.*
                FROM (SELECT pg_get_serial_sequence('points_entries', 'id')::regclass AS name) s,
                    unnest($5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[],
                           $9::bigint[], $10::text[], $11::text[]) WITH ORDINALITY
                        AS u (customer, points, available, expires, order_id, rule, reason, place)),
            entered AS (
                INSERT INTO points_entries (id, merchant_id, customer_id, kind, points, lot, at,
                    available_at, expires_at, order_id, rule, reason, actor)
                SELECT id, $1, customer, $3, points, TRUE, $4, available, expires, order_id, rule,
                       reason, $12 FROM made)
            SELECT ARRAY(SELECT id FROM made ORDER BY place) AS ids,
                   ARRAY(SELECT DISTINCT customer_id
                         FROM ({OPEN_DEBTS.format(whom="= ANY($2::bigint[])")}) d
                         WHERE points > 0 ORDER BY 1) AS debtors""",
        w.merchant_id, customer_ids, kind, w.now, [lot.customer_id for lot in lots],
        [lot.points for lot in lots], [lot.available_at for lot in lots],
        [lot.expires_at for lot in lots], [lot.order_id for lot in lots],
        [lot.rule for lot in lots], [lot.reason for lot in lots], w.actor,
    )  # fmt: skip
    for customer_id in row["debtors"]:
        await _cover_debts(w, customer_id)
    ids: list[int] = row["ids"]
    return ids


async def take(
    w: Work,
    customer_id: int,
    points: int,
    kind: Literal["spend", "hold", "adjust", "transfer"],
    *,
    order_id: int | None = None,
    reason: str | None = None,
    debt: bool = False,
) -> int:
    """Take points, the ones that expire first before the others; returns the entry's id.

    Raises NotEnoughPoints, unless `debt` lets the balance fall below zero.
    """
    faults = Faults()
    with faults:
        check_points(points)
    with faults:
        await lock(w, [customer_id])
    faults.tell()
    given = (w.merchant_id, customer_id, points, w.now, kind, order_id, reason, w.actor, debt)
    row = await w.sql.fetchrow(TAKE, *given)
    if row["lapsed"]:
        await release_lapsed(w, customer_id, row["at"])
        row = await w.sql.fetchrow(TAKE, *given)
    entry_id: int | None = row["id"]
    if entry_id is None:
        raise NotEnoughPoints(
            f"the customer has {row['available']} points, {points} are to be taken",
            ("input", "points"),
        )
    return entry_id


async def hold(w: Work, customer_id: int, points: int, until: datetime, reason: str) -> int:
    """Set points aside until an instant, as a checkout does; returns the hold's id.

    Raises NotEnoughPoints, InvalidInput.
    """
    if until <= w.now:
        raise InvalidInput("a hold must end in the future", ("input", "until"))
    entry_id = await take(w, customer_id, points, "hold", reason=reason)
    hold_id: int = await w.sql.fetchval(
        """INSERT INTO points_holds (merchant_id, customer_id, entry_id, expires_at)
           VALUES ($1, $2, $3, $4) RETURNING id""",
        w.merchant_id, customer_id, entry_id, until,
    )  # fmt: skip
    return hold_id


async def settle_hold(w: Work, hold_id: int, spend: bool) -> None:
    """Spend what a hold set aside, or give it back. Raises NotFound, WrongState."""
    customer_id = await w.sql.fetchval(
        "SELECT customer_id FROM points_holds WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, hold_id,
    )  # fmt: skip
    if customer_id is None:
        raise NotFound("there is no hold with this id", ("input", "holdId"))
    await lock(w, [customer_id])
    await release_lapsed(w, customer_id)
    row = await w.sql.fetchrow(
        """UPDATE points_holds SET state = $3, settled_at = $4
           WHERE merchant_id = $1 AND id = $2 AND state = 'held' RETURNING entry_id""",
        w.merchant_id, hold_id, "spent" if spend else "released", w.now,
    )  # fmt: skip
    if row is None:
        raise WrongState("the hold was settled before, or its time is over", ("input", "holdId"))
    if not spend:
        await give_back(w, row["entry_id"], at=w.now)


async def release_lapsed(
    w: Work, customer_id: int | None = None, at: datetime | None = None
) -> int:
    """Write down the return of what lapsed holds set aside; returns how many there were.

    Without a customer it is for up to LAPSED_AT_ONCE holds of the merchant.
    """
    if customer_id is None:
        # customers are locked before their holds, as whoever takes points does
        found = await w.sql.fetch(
            """SELECT customer_id FROM points_holds
               WHERE merchant_id = $1 AND state = 'held' AND expires_at <= $2
               ORDER BY expires_at LIMIT $3""",
            w.merchant_id, w.now, LAPSED_AT_ONCE,
        )  # fmt: skip
        owners = sorted({row["customer_id"] for row in found})
        await lock(w, owners)
    else:
        owners = [customer_id]
    rows = await w.sql.fetch(
        """UPDATE points_holds SET state = 'lapsed', settled_at = expires_at
           WHERE merchant_id = $1 AND state = 'held' AND expires_at <= $2
             AND customer_id = ANY($3::bigint[]) RETURNING entry_id, expires_at""",
        w.merchant_id, at or w.now, owners,
    )  # fmt: skip
    for row in rows:
        await give_back(w, row["entry_id"], at=row["expires_at"])
    return len(rows)


async def give_back(
    w: Work, entry_id: int, points: int | None = None, *, at: datetime | None = None
) -> int:
    """Undo what an entry took, or so many points of it; returns the new entry's id.

    The points go back into the very lots that they came from, those that expire last first: what
    has expired meanwhile stays expired. Raises NotFound, InvalidInput when less is left to undo.
    """
    faults = Faults()
    if points is not None:
        with faults:
            check_points(points)
    await _lock_owner(w, entry_id)
    entry = await w.sql.fetchrow(
        """SELECT customer_id, -points - COALESCE((SELECT sum(r.points) FROM points_entries r
               WHERE r.merchant_id = $1 AND r.reverses = e.id), 0)::bigint AS open
           FROM points_entries e WHERE merchant_id = $1 AND id = $2 AND NOT lot AND points < 0""",
        w.merchant_id, entry_id,
    )  # fmt: skip
    if entry is None:
        faults.add(NotFound("no points were taken by this entry", ("input", "entryId")))
    faults.tell()
    assert entry is not None
    wanted = entry["open"] if points is None else points
    if not 0 < wanted <= entry["open"]:
        raise InvalidInput(
            f"{entry['open']} points of this entry can be given back, not {wanted}",
            ("input", "points"),
        )
    back_id = await _enter(w, entry["customer_id"], "return", wanted, reverses=entry_id, at=at)
    await w.sql.execute(
        """WITH used AS (
               INSERT INTO points_uses (merchant_id, entry_id, lot_id, points, at)
               SELECT $1, $3, lot_id, -LEAST(points, $4::bigint - before), $5
               FROM (SELECT t.lot_id, t.points,
                            sum(t.points) OVER (ORDER BY l.expires_at DESC NULLS FIRST, l.id DESC)
                                - t.points AS before
                     FROM (SELECT lot_id, sum(points)::bigint AS points FROM points_uses u
                           WHERE u.merchant_id = $1 AND (u.entry_id = $2 OR u.entry_id IN (
                               SELECT id FROM points_entries
                               WHERE merchant_id = $1 AND reverses = $2))
                           GROUP BY lot_id) t
                     JOIN points_entries l ON l.merchant_id = $1 AND l.id = t.lot_id
                     WHERE t.points > 0) open
               WHERE before < $4 RETURNING lot_id, points)
           UPDATE points_entries e SET settled = NOT e.lot
           WHERE e.merchant_id = $1 AND (e.id IN (SELECT lot_id FROM used)
               OR e.id = $3 AND (SELECT -sum(points) FROM used) = $4)""",
        w.merchant_id, entry_id, back_id, wanted, at or w.now,
    )  # fmt: skip
    await _cover_debts(w, entry["customer_id"])
    return back_id


async def take_back(w: Work, lot_id: int, points: int, reason: str) -> int:
    """Take points of a lot back, since what they were given for did not last; returns the entry.

    What is left of the lot goes first, even while it is pending; what was spent of it already is
    taken from the customer's other lots, and the rest is a debt. Raises NotFound, InvalidInput.
    """
    await _lock_owner(w, lot_id)
    lot = await w.sql.fetchrow(
        """SELECT customer_id, order_id, points - COALESCE((SELECT -sum(r.points)
               FROM points_entries r WHERE r.merchant_id = $1 AND r.reverses = e.id), 0)::bigint
               AS open
           FROM points_entries e WHERE merchant_id = $1 AND id = $2 AND lot""",
        w.merchant_id, lot_id,
    )  # fmt: skip
    if lot is None:
        raise NotFound("no points were given by this entry", ("input", "entryId"))
    if not 0 < points <= lot["open"]:
        raise InvalidInput(
            f"{lot['open']} points of this entry can be taken back, not {points}",
            ("input", "points"),
        )
    customer_id = lot["customer_id"]
    await release_lapsed(w, customer_id)
    entry_id = await _enter(
        w, customer_id, "reverse", -points, order_id=lot["order_id"], reverses=lot_id,
        reason=reason,
    )  # fmt: skip
    own: int = await w.sql.fetchval(
        f"""INSERT INTO points_uses (merchant_id, entry_id, lot_id, points, at)
            SELECT $1, $3, id, LEAST(points, $4), $5 FROM (
                {LEFT.format(until="")} AND l.id = $2) left_ WHERE points > 0 RETURNING points""",
        w.merchant_id, lot_id, entry_id, points, w.now,
    ) or 0  # fmt: skip
    if own < points:
        await _use(w, entry_id, customer_id, points - own, w.now)
    return entry_id


async def transfer(w: Work, from_id: int, to_id: int, points: int, reason: str) -> None:
    """Give points of one customer to another; they keep the dates on which they expire.

    Raises NotEnoughPoints, InvalidInput.
    """
    faults = Faults()
    with faults:
        await lock(w, [from_id, to_id], ["fromCustomerId", "toCustomerId"])
    if not faults and from_id == to_id:
        faults.wrong("the points would stay where they are", "toCustomerId")
    with faults:
        check_points(points)
    faults.tell()
    entry_id = await take(w, from_id, points, "transfer", reason=reason)
    rows = await w.sql.fetch(
        """SELECT l.expires_at, sum(u.points)::bigint AS points FROM points_uses u
           JOIN points_entries l ON l.merchant_id = $1 AND l.id = u.lot_id
           WHERE u.merchant_id = $1 AND u.entry_id = $2 GROUP BY l.expires_at""",
        w.merchant_id, entry_id,
    )  # fmt: skip
    lots = [Lot(to_id, row["points"], w.now, row["expires_at"], reason=reason) for row in rows]
    await give(w, "transfer", lots)


def check_points(points: int) -> None:
    """Raises InvalidInput for what nobody gives or takes."""
    if not 0 < points <= MAX_POINTS:
        raise InvalidInput(f"points must be from 1 to {MAX_POINTS}", ("input", "points"))


async def lock(
    w: Work, customer_ids: Sequence[int], fields: Sequence[str] = ("customerId",)
) -> None:
    """Let nobody else change these customers' points until the transaction ends.

    Raises NotFound, by the input's `fields` that they stand in; several customers that come from
    no input are known to be there.
    """
    found = await w.sql.fetch(
        """SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    known, faults = {row["id"] for row in found}, Faults()
    for place, customer_id in enumerate(customer_ids):
        if customer_id not in known:
            path = ("input", fields[min(place, len(fields) - 1)])
            faults.add(NotFound("there is no customer with this id", path))
    faults.tell()


async def _lock_owner(w: Work, entry_id: int) -> None:
    """Lock the customer of an entry, so that what is read of it afterwards stays true."""
    await w.sql.execute(
        """SELECT 1 FROM customers c JOIN points_entries e
               ON e.merchant_id = $1 AND e.customer_id = c.id
           WHERE c.merchant_id = $1 AND e.id = $2 FOR NO KEY UPDATE OF c""",
        w.merchant_id, entry_id,
    )  # fmt: skip


async def _enter(
    w: Work,
    customer_id: int,
    kind: str,
    points: int,
    *,
    order_id: int | None = None,
    reverses: int | None = None,
    reason: str | None = None,
    at: datetime | None = None,
) -> int:
    entry_id: int = await w.sql.fetchval(
        """INSERT INTO points_entries (merchant_id, customer_id, kind, points, lot, at, order_id,
               reverses, reason, actor)
           VALUES ($1, $2, $3, $4, FALSE, $5, $6, $7, $8, $9) RETURNING id""",
        w.merchant_id, customer_id, kind, points, at or w.now, order_id, reverses, reason, w.actor,
    )  # fmt: skip
    return entry_id


async def _use(w: Work, entry_id: int, customer_id: int, points: int, at: datetime) -> None:
    """Take points from the customer's usable lots, as far as they go."""
    await w.sql.execute(
        f"""WITH lots AS MATERIALIZED ({USABLE.format(at="$4")}),
            {USE.format(entry="(VALUES ($5::bigint, $4::timestamptz))")} SELECT""",
        w.merchant_id, customer_id, points, at, entry_id,
    )  # fmt: skip


OPEN_DEBTS = """SELECT e.id, e.customer_id, -e.points - COALESCE((
        SELECT sum(u.points) FROM points_uses u
        WHERE u.merchant_id = $1 AND u.entry_id = e.id), 0)::bigint
        - COALESCE((SELECT sum(r.points + COALESCE((SELECT sum(v.points) FROM points_uses v
            WHERE v.merchant_id = $1 AND v.entry_id = r.id), 0)) FROM points_entries r
            WHERE r.merchant_id = $1 AND r.reverses = e.id), 0)::bigint AS points
    FROM points_entries e
    WHERE e.merchant_id = $1 AND e.customer_id {whom} AND NOT e.lot AND e.points < 0
      AND NOT e.settled"""
"""What entries took and no lot has covered, nor a return undone."""


async def _cover_debts(w: Work, customer_id: int) -> None:
    """Cover open debts from lots, the oldest debt first, from when the lot can be used."""
    await w.sql.execute(
        f"""WITH debts AS (
                SELECT id, points, sum(points) OVER (ORDER BY id) AS upto
                FROM ({OPEN_DEBTS.format(**ONE)}) d WHERE points > 0),
            lots AS (
                SELECT id, points, available_at,
                       sum(points) OVER (ORDER BY available_at, expires_at NULLS LAST, id) AS upto
                FROM ({LEFT.format(until="")} AND l.customer_id = $2::bigint
                      AND NOT l.settled AND COALESCE(l.expires_at > $3, TRUE)) open
                WHERE points > 0),
            used AS (
                INSERT INTO points_uses (merchant_id, entry_id, lot_id, points, at)
                SELECT $1, d.id, l.id,
                       LEAST(d.upto, l.upto) - GREATEST(d.upto - d.points, l.upto - l.points),
                       GREATEST($3::timestamptz, l.available_at)
                FROM debts d JOIN lots l
                      ON l.upto > d.upto - d.points AND d.upto > l.upto - l.points
                RETURNING lot_id, points)
            UPDATE points_entries e SET settled = TRUE
            FROM (SELECT lot_id, sum(points) AS points FROM used GROUP BY lot_id) u
            JOIN lots l ON l.id = u.lot_id AND l.points = u.points
            WHERE e.merchant_id = $1 AND e.id = u.lot_id""",
        w.merchant_id, customer_id, w.now,
    )  # fmt: skip
