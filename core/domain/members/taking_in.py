"""Taking in a set of rows of an existing programme: members, tiers and lots of points.

What is known already stays as it is: a member keeps membership and tier, and a lot is given once,
however often a file says so. A lot is known by card, the instant at which it expires, and the name
that the file may give it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from core.domain.customers.intake import Intake, upsert_customers
from core.domain.members.import_rows import MemberRecord
from core.domain.members.membership import new_card_number
from core.domain.members.points import Lot, give, lock
from core.domain.members.programme import Programme
from core.domain.members.review import review_members
from core.storage.database import Work
from core.tabular.bulk import RejectedRow

KIND = "import"

TierChoice = Literal["keep", "manual", "compute"]
"""What becomes of the tiers of the file: they are kept until they end and then follow the rules,
they are given by hand, or they are not stored at all but follow from what was bought."""

Place = tuple[int, str]
"""A customer, and the key of a lot of his."""


@dataclass
class MemberAccount:
    """What became of the rows: read = joined + known + rejected; and of the points in them.

    `lots` were given, with `points` altogether; `lots_known` had been given before. What had
    expired already was not taken in: `expired` points.
    """

    read: int = 0
    joined: int = 0
    known: int = 0
    rejected: int = 0
    lots: int = 0
    points: int = 0
    lots_known: int = 0
    expired: int = 0


@dataclass
class Taking:
    """One import on its way in."""

    job_id: int
    programme: Programme
    intake: Intake
    tiers: TierChoice
    account: MemberAccount = field(default_factory=MemberAccount)


async def take_members(
    w: Work, taking: Taking, records: Sequence[MemberRecord]
) -> list[RejectedRow]:
    """Take a set of rows in, in this transaction; returns those that were refused."""
    rejects: list[RejectedRow] = []
    owners = await _owners(w, records)
    # a member's card says surest who it is
    known = [(owners[card], one) for one in records if (card := one.card_number) in owners]
    others = [one for one in records if one.card_number not in owners]
    outcomes = await upsert_customers(w, taking.intake, others)
    for record, (_, customer_id) in zip(others, outcomes, strict=True):
        if customer_id is None:
            rejects.append(_reject(record, "AMBIGUOUS", None, "the row fits several customers"))
        else:
            known.append((customer_id, record))
    await lock(w, sorted({customer_id for customer_id, _ in known}))
    known.sort(key=lambda row: row[1].row)
    known = _without_taken_cards(known, rejects)
    known, lots = await _choose_lots(w, taking, known, rejects)
    joined = await _join(w, known)
    await _give_tiers(w, taking, known)
    await review_members(w, taking.programme, sorted({pk for pk, _ in known}))
    if lots:
        await give(w, KIND, lots)
    await _note(w, taking, known)
    account = taking.account
    account.read += len(records)
    account.rejected += len(rejects)
    account.joined += joined
    account.known += len(known) - joined
    account.lots += len(lots)
    account.points += sum(lot.points for lot in lots)
    return rejects


def _reject(record: MemberRecord, code: str, column: str | None, reason: str) -> RejectedRow:
    return RejectedRow(record.row, code, column, reason)


async def _owners(w: Work, records: Sequence[MemberRecord]) -> dict[str | None, int]:
    """Whose the cards are that members have or had."""
    found = await w.sql.fetch(
        """SELECT card_number, customer_id FROM memberships
           WHERE merchant_id = $1 AND card_number = ANY($2::text[])""",
        w.merchant_id, list({one.card_number for one in records if one.card_number is not None}),
    )  # fmt: skip
    return {row["card_number"]: row["customer_id"] for row in found}


def _without_taken_cards(
    rows: Sequence[tuple[int, MemberRecord]], rejects: list[RejectedRow]
) -> list[tuple[int, MemberRecord]]:
    """The rows whose cards are no other row's customer's."""
    owners: dict[str, int] = {}
    kept = []
    for customer_id, record in rows:
        if record.card_number is not None and (
            owners.setdefault(record.card_number, customer_id) != customer_id
        ):
            rejects.append(_reject(record, "CARD_TAKEN", None, "the card is another member's"))
        else:
            kept.append((customer_id, record))
    return kept


async def _choose_lots(
    w: Work,
    taking: Taking,
    rows: Sequence[tuple[int, MemberRecord]],
    rejects: list[RejectedRow],
) -> tuple[list[tuple[int, MemberRecord]], list[Lot]]:
    """The rows that can be taken in, and the lots among them that were not given before."""
    source, account = f"job {taking.job_id}", taking.account
    given = await _given(w, rows)
    kept: list[tuple[int, MemberRecord]] = []
    lots: list[Lot] = []
    for customer_id, record in rows:
        place = (customer_id, _key(record))
        if not record.points:
            kept.append((customer_id, record))
            continue
        if record.points_until is not None and record.points_until <= w.now:
            account.expired += record.points
            kept.append((customer_id, record))
            continue
        if any(job == source for _, job in given[place]):
            rejects.append(_reject(
                record, "SAME_LOT", "points",
                "a row before tells of points of this member that expire at the same time: give "
                "such lots names in a column `lot`",
            ))  # fmt: skip
            continue
        if given[place] and record.points not in {points for points, _ in given[place]}:
            rejects.append(_reject(
                record, "OTHER_POINTS", "points",
                "these points were imported before, and were another number then",
            ))  # fmt: skip
            continue
        kept.append((customer_id, record))
        if given[place]:
            account.lots_known += 1
            continue
        given[place].append((record.points, source))
        lots.append(
            Lot(customer_id, record.points, w.now, record.points_until, rule=place[1],
                reason=source)
        )  # fmt: skip
    return kept, lots


async def _given(
    w: Work, rows: Sequence[tuple[int, MemberRecord]]
) -> defaultdict[Place, list[tuple[int, str]]]:
    """The lots that imports have given these customers: points, and which job it was."""
    found = await w.sql.fetch(
        """SELECT customer_id, rule, points, reason FROM points_entries
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND kind = 'import'""",
        w.merchant_id, [customer_id for customer_id, _ in rows],
    )  # fmt: skip
    given: defaultdict[Place, list[tuple[int, str]]] = defaultdict(list)
    for row in found:
        given[row["customer_id"], row["rule"]].append((row["points"], row["reason"]))
    return given


def _key(record: MemberRecord) -> str:
    until = "never" if record.points_until is None else record.points_until.isoformat()
    return "/".join((KIND, record.card_number or "", until, record.lot))


async def _join(w: Work, rows: Sequence[tuple[int, MemberRecord]]) -> int:
    """Let those in who never were members; returns how many. Nobody is welcomed anew."""
    first: dict[int, MemberRecord] = {}
    for customer_id, record in rows:
        first.setdefault(customer_id, record)
    records = list(first.values())
    joined = await w.sql.execute(
        """INSERT INTO memberships (merchant_id, customer_id, card_number, joined_at, join_source,
               earns_from)
           SELECT $1, u.customer, u.card, u.joined, u.source, $6
           FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::text[])
                AS u (customer, card, joined, source)
           WHERE NOT EXISTS (SELECT 1 FROM memberships m
               WHERE m.merchant_id = $1 AND m.customer_id = u.customer)""",
        w.merchant_id, list(first), [one.card_number or new_card_number() for one in records],
        [one.joined_at or w.now for one in records],
        [one.join_source or "import" for one in records], w.now,
    )  # fmt: skip
    return int(joined.split()[-1])


async def _give_tiers(w: Work, taking: Taking, rows: Sequence[tuple[int, MemberRecord]]) -> None:
    """Members who never had a tier get the one of the file."""
    if taking.tiers == "compute":
        return
    named = {pk: record for pk, record in reversed(rows) if record.tier_id is not None}
    manual = taking.tiers == "manual"
    kept_until = None if manual else w.now + timedelta(days=taking.programme.rules.tiers.keep_days)
    await w.sql.execute(
        """INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from, review_at,
               manual, cause)
           SELECT $1, u.customer, u.tier, $2, u.until, $3, 'import'
           FROM unnest($4::bigint[], $5::bigint[], $6::timestamptz[]) AS u (customer, tier, until)
           JOIN memberships m ON m.merchant_id = $1 AND m.customer_id = u.customer
                AND m.left_at IS NULL
           WHERE NOT EXISTS (SELECT 1 FROM tier_intervals i
               WHERE i.merchant_id = $1 AND i.customer_id = u.customer)""",
        w.merchant_id, w.now, manual, list(named), [one.tier_id for one in named.values()],
        [one.tier_until or kept_until for one in named.values()],
    )  # fmt: skip


async def _note(w: Work, taking: Taking, rows: Sequence[tuple[int, MemberRecord]]) -> None:
    """Keep what the file says of each customer, for the reconciliation."""
    points: defaultdict[int, int] = defaultdict(int)
    tiers: dict[int, int | None] = {}
    for customer_id, record in rows:
        if record.points_until is None or record.points_until > w.now:
            points[customer_id] += record.points
        tiers[customer_id] = tiers.get(customer_id) or record.tier_id
    await w.sql.execute(
        """INSERT INTO member_imports AS i (merchant_id, job_id, customer_id, tier_id, points)
           SELECT $1, $2, * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[])
           ON CONFLICT (merchant_id, job_id, customer_id) DO UPDATE
           SET tier_id = COALESCE(i.tier_id, excluded.tier_id),
               points = i.points + excluded.points""",
        w.merchant_id, taking.job_id, list(tiers), list(tiers.values()),
        [points[pk] for pk in tiers],
    )  # fmt: skip
