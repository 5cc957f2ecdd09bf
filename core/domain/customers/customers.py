"""Changes to one customer, made by staff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.customers.contacts import (
    normalise_email,
    normalise_phone,
    seal_email,
    seal_phone,
)
from core.domain.customers.countries import COUNTRIES
from core.domain.customers.identify import lock_customers
from core.domain.customers.tags import tag_customers, untag_customers
from core.domain.shops.merchants import time_zone_of
from core.sdk.errors import Faults, HuikeError, InvalidInput, NotFound, Several
from core.sdk.versions import check_version
from core.storage.connections import array_text
from core.storage.database import Session, Work

TEXT_LIMIT = 200
MAX_AGE = 130
CONTACTS = ("email", "phone")
TYPES = {
    "if_version": "int", "name": "text", "country": "text", "province": "text",
    "city": "text", "birthday": "date", "phone_sealed": "bytea", "phone_index": "bytea",
    "email_sealed": "bytea", "email_index": "bytea",
}  # fmt: skip


class CustomerMerged(HuikeError):
    """The customer became part of another, `customer_id`."""

    code = "CUSTOMER_MERGED"
    cause = "The customer was merged into another one and is no longer there by itself."
    cure = "Use the customer that the error names, or take the merge back with `customerUnmerge`."

    def __init__(self, merged: int, into: int, path: Sequence[str | int] = ("id",)) -> None:
        super().__init__(f"customer {merged} was merged into customer {into}", path)
        self.customer_id = into


async def get_customer(
    session: Session, customer_id: int, change: bool = False, path: tuple[str, ...] = ("id",)
) -> Mapping[str, Any]:
    """A customer's row. Raises NotFound, CustomerMerged.

    Inside a unit of work the customer is kept from being merged away until its end; with `change`
    its row stays as it is too. Who needs `lock_customers` as well takes that first.
    """
    kept = "NO KEY UPDATE" if change else "KEY SHARE"
    lock = f" FOR {kept}" if isinstance(session, Work) else ""
    row = await session.sql.fetchrow(
        f"SELECT * FROM customers WHERE merchant_id = $1 AND id = $2{lock}",
        session.merchant_id, customer_id,
    )  # fmt: skip
    if row is None:
        into = (await merged_into(session, [customer_id])).get(customer_id)
        if into is not None:
            raise CustomerMerged(customer_id, into, path)
        raise NotFound("there is no customer with this id", path)
    return dict(row)


async def merged_into(session: Session, customer_ids: Sequence[int]) -> dict[int, int]:
    """For those that became part of another customer: who holds their rows now."""
    rows = await session.sql.fetch(
        """SELECT from_id, into_id FROM customer_merges
           WHERE merchant_id = $1 AND from_id = ANY($2::bigint[]) AND undone_at IS NULL""",
        session.merchant_id, list(customer_ids),
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


async def kept_customer(session: Session, customer_id: int) -> int | None:
    """The customer whom an old link or reference means now; None when erased."""
    holder = (await merged_into(session, [customer_id])).get(customer_id, customer_id)
    found: int | None = await session.sql.fetchval(
        "SELECT id FROM customers WHERE merchant_id = $1 AND id = $2", session.merchant_id, holder
    )
    return found


@dataclass(frozen=True)
class Update:
    """What is to become of a customer: of name, country, province, city, birthday, phone, email.

    None clears, what is absent stays, other keys are a bug. It holds only for `if_version`; None is
    any version.
    """

    customer_id: int
    changes: Mapping[str, Any]
    if_version: int | None = None

    @property
    def contacts(self) -> list[str]:
        """The kinds of contact data among the changes."""
        return [kind for kind in CONTACTS if kind in self.changes]


async def update_customer(
    w: Work, customer_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> Mapping[str, Any]:
    """Change one customer as in `Update`, when whoever else holds its row is done.

    Returns the row as it is then. Raises NotFound, CustomerMerged, InvalidInput, Several,
    Conflict.
    """
    update = Update(customer_id, changes, if_version)
    if update.contacts:  # they lead to the customer; nothing else keeps all others waiting
        await lock_customers(w)
    before = await get_customer(w, customer_id, change=True)
    (after,) = await FreeUpdates(tuple(sorted(changes)))(w, [update])
    assert after is not None  # its row is held
    if isinstance(after, HuikeError | Several):
        raise after
    for kind in update.contacts:
        await _move_identity(w, customer_id, kind, before, after)
    return after


@dataclass(frozen=True)
class FreeUpdates:
    """Changes those customers whose rows nobody else holds, all in one statement.

    All are updates of the same fields. As it waits for nobody, it takes no part in deadlocks, in
    whichever order others lock their rows. Of contact data it is only for who holds the row.
    """

    fields: tuple[str, ...]
    """Sorted."""

    async def __call__(
        self, session: Session, updates: Sequence[Update]
    ) -> list[Mapping[str, Any] | HuikeError | Several | None]:
        """For each update the row as it is then, or why it cannot be done.

        None where `update_customer` has to see to it: somebody holds the row, there is none, or it
        is changed by an earlier one of these updates.
        """
        today = await merchants_day(session) if "birthday" in self.fields else None
        results: list[Mapping[str, Any] | HuikeError | Several | None] = [None] * len(updates)
        given: dict[int, int] = {}
        rows = []
        for number, one in enumerate(updates):
            try:
                columns = _columns(session, one, today)
            except (HuikeError, Several) as error:
                results[number] = error
                continue
            if given.setdefault(one.customer_id, number) == number:
                rows.append((one.customer_id, one.if_version, *columns.values()))
        if not rows:
            return results
        ids, *values = zip(*rows, strict=True)
        found = await session.sql.fetch(
            _update_statement(self.fields), session.merchant_id, session.now, session.actor,
            array_text(ids), *values,
        )  # fmt: skip
        for row in found:
            number = given[row["held_id"]]
            try:
                check_version(row["held_version"], updates[number].if_version)
                results[number] = row
            except HuikeError as error:
                results[number] = error
        return results


@cache
def _update_statement(fields: tuple[str, ...]) -> str:
    """The statement that changes fields of customers whose rows nobody holds.

    Its parameters are the merchant, the time, who acts, the ids as text, then arrays of the
    versions and of each column. It gives the ids and versions of the rows that it could hold, and
    these rows as they are then; of a version that is not the wanted one nothing.
    """
    columns = [column for field in fields for column in _columns_of(field)]
    names = ["if_version", *columns]
    arrays = ", ".join(f"${number}::{TYPES[name]}[]" for number, name in enumerate(names, 5))
    given = f"unnest($4::text::bigint[], {arrays}) AS u (id, {', '.join(names)})"
    sets = "".join(f", {name} = u.{name}" for name in columns)
    # a sealed text is another one each time, so contact data is compared by its index
    compared = {field: _columns_of(field)[-1] for field in fields}
    held = "".join(f", c.{column}" for column in compared.values())
    differing = ", ".join(
        f"CASE WHEN h.{column} IS DISTINCT FROM c.{column} THEN '{field}' END"
        for field, column in compared.items()
    )
    return f"""
        WITH held AS MATERIALIZED (
            SELECT c.id, c.version{held} FROM {given}
            JOIN customers c ON c.merchant_id = $1 AND c.id = u.id
            FOR NO KEY UPDATE OF c SKIP LOCKED),
        changed AS (
            UPDATE customers c SET version = h.version + 1, updated_at = $2{sets}
            FROM held h JOIN {given} ON u.id = h.id
            WHERE c.merchant_id = $1 AND c.id = h.id
                AND coalesce(u.if_version, h.version) = h.version
            RETURNING c.*, array_remove(ARRAY[{differing}]::text[], NULL) AS differing),
        logged AS (
            INSERT INTO customer_log (merchant_id, customer_id, kind, data, actor, at)
            SELECT $1, id, 'changed', jsonb_build_object('columns', differing), $3, $2
            FROM changed WHERE differing <> '{{}}')
        SELECT h.id AS held_id, h.version AS held_version, c.*
        FROM held h LEFT JOIN changed c ON c.id = h.id"""


def _columns_of(field: str) -> tuple[str, ...]:
    return (f"{field}_sealed", f"{field}_index") if field in CONTACTS else (field,)


def _columns(session: Session, update: Update, today: date | None) -> dict[str, Any]:
    """What the columns of the changed fields get, in the order of the sorted fields.

    `today` is where the merchant is. Raises InvalidInput, Several.
    """
    columns, faults = dict[str, Any](), Faults()
    for field, value in sorted(update.changes.items()):
        with faults:
            if field in CONTACTS:
                columns |= _contact_columns(session, update.customer_id, field, value)
            elif field == "birthday":
                assert today is not None
                columns[field] = check_birthday(today, value)
            elif field == "country":
                columns[field] = check_country(value)
            else:
                assert field in ("name", "province", "city")
                columns[field] = _text(field, value)
    faults.tell()
    return columns


def _contact_columns(
    session: Session, customer_id: int, field: str, value: str | None
) -> dict[str, Any]:
    if value is None:
        return {f"{field}_sealed": None, f"{field}_index": None}
    normal = normalise_phone(value) if field == "phone" else normalise_email(value)
    if normal is None:
        wanted = "a phone number" if field == "phone" else "an email address"
        raise InvalidInput(f"this is not {wanted} that can be reached", ("input", field))
    seal = seal_phone if field == "phone" else seal_email
    return {
        f"{field}_sealed": seal(session.keyring, session.merchant_id, customer_id, normal),
        f"{field}_index": session.keyring.blind_index(field, session.merchant_id, normal),
    }


async def _move_identity(
    w: Work, customer_id: int, kind: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Let the customer be found by the new address and no longer by the old one.

    An address that leads to another customer already keeps leading there.
    """
    old, new = before[f"{kind}_index"], after[f"{kind}_index"]
    if old is not None and old != new:
        await w.sql.execute(
            """DELETE FROM customer_identities WHERE merchant_id = $1 AND scope = 'merchant'
                  AND scope_id = 0 AND kind = $2 AND value = $3 AND customer_id = $4""",
            w.merchant_id, kind, old.hex(), customer_id,
        )  # fmt: skip
    if new is not None:
        await w.sql.execute(
            """INSERT INTO customer_identities
                   (merchant_id, customer_id, scope, scope_id, kind, value, source, created_at)
               VALUES ($1, $2, 'merchant', 0, $3, $4, 'staff', $5)
               ON CONFLICT (merchant_id, scope, scope_id, kind, value) DO NOTHING""",
            w.merchant_id, customer_id, kind, new.hex(), w.now,
        )  # fmt: skip


async def merchants_day(session: Session) -> date:
    """What day it is where the merchant is."""
    return session.now.astimezone(ZoneInfo(await time_zone_of(session))).date()


def check_birthday(today: date, value: date | None) -> date | None:
    if value is None:
        return None
    if value > today:
        raise InvalidInput("a birthday lies in the past", ("input", "birthday"))
    if (today.year - value.year, today.month, today.day) > (MAX_AGE, value.month, value.day):
        raise InvalidInput(
            f"a birthday lies at most {MAX_AGE} years in the past", ("input", "birthday")
        )
    return value


def check_country(value: str | None) -> str | None:
    if value is not None and value not in COUNTRIES:
        raise InvalidInput("country is a code of ISO 3166-1 such as CN or TH", ("input", "country"))
    return value


def _text(field: str, value: str | None) -> str | None:
    if value is None:
        return None
    cleaned = value.strip()
    if not 1 <= len(cleaned) <= TEXT_LIMIT or "\x00" in cleaned:
        raise InvalidInput(f"{field} has 1 to {TEXT_LIMIT} characters", ("input", field))
    return cleaned


async def add_tags(w: Work, customer_id: int, tags: Sequence[str], source: str) -> None:
    """Put tags on a customer; one that is there already stays as it is.

    Raises NotFound, InvalidInput.
    """
    await get_customer(w, customer_id)
    await tag_customers(w, [customer_id], tags, source)


async def remove_tags(w: Work, customer_id: int, tags: Sequence[str]) -> None:
    """Take tags off a customer; one that is not there is no error.

    Raises NotFound, InvalidInput.
    """
    await get_customer(w, customer_id)
    await untag_customers(w, [customer_id], tags)
