"""Changes to one customer, made by staff."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
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
from core.domain.customers.log import log_each
from core.domain.customers.tags import tag_customers, untag_customers
from core.domain.shops.merchants import time_zone_of
from core.sdk.errors import HuikeError, InvalidInput, NotFound
from core.sdk.versions import check_version
from core.storage.connections import array_text
from core.storage.database import Session, Work

TEXT_LIMIT = 200
MAX_AGE = 130
TYPES = {
    "id": "bigint", "version": "int", "name": "text", "country": "text", "province": "text",
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
    session: Session, customer_id: int, change: bool = False
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
            raise CustomerMerged(customer_id, into)
        raise NotFound(f"there is no customer {customer_id}", ("id",))
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
        return [kind for kind in ("phone", "email") if kind in self.changes]


async def update_customer(
    w: Work, customer_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> Mapping[str, Any]:
    """Change one customer as in `Update`, when whoever else holds its row is done.

    Returns the row as it is then. Raises NotFound, CustomerMerged, InvalidInput, Conflict.
    """
    update = Update(customer_id, changes, if_version)
    if update.contacts:  # they lead to the customer; nothing else keeps all others waiting
        await lock_customers(w)
    before = await get_customer(w, customer_id, change=True)
    (after,) = await _update(w, {customer_id: before}, [update])
    if isinstance(after, HuikeError):
        raise after
    for kind in update.contacts:
        await _move_identity(w, customer_id, kind, before, after)
    return after


async def update_free(
    w: Work, updates: Sequence[Update]
) -> list[Mapping[str, Any] | HuikeError | None]:
    """Change those customers whose rows nobody holds, one after the other; not of contact data.

    For each update the row as it is then, or why it cannot be done; None where `update_customer`
    has to see to it, since somebody holds the row or there is none. As this waits for nobody, it
    takes no part in deadlocks, in whichever order others lock their rows.
    """
    assert not any(one.contacts for one in updates)
    found = await w.sql.fetch(
        """SELECT * FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           FOR NO KEY UPDATE SKIP LOCKED""",
        w.merchant_id, [one.customer_id for one in updates],
    )  # fmt: skip
    rows = {row["id"]: row for row in found}
    done = iter(await _update(w, rows, [one for one in updates if one.customer_id in rows]))
    return [next(done) if one.customer_id in rows else None for one in updates]


async def _update(
    w: Work, rows: Mapping[int, Mapping[str, Any]], updates: Sequence[Update]
) -> list[Mapping[str, Any] | HuikeError]:
    """Change customers whose rows are held; the next update of one sees what the last one left."""
    today = None
    if any("birthday" in one.changes for one in updates):
        today = await merchants_day(w)
    held = dict(rows)
    results: list[Mapping[str, Any] | HuikeError] = []
    changed: dict[int, Mapping[str, Any]] = {}
    touched: set[str] = set()
    logged = []
    for one in updates:
        before = held[one.customer_id]
        try:
            check_version(before["version"], one.if_version)
            columns = _columns(w, one, today)
        except HuikeError as error:
            results.append(error)
            continue
        after = {**before, **columns, "version": before["version"] + 1, "updated_at": w.now}
        held[one.customer_id] = changed[one.customer_id] = after
        results.append(after)
        touched |= columns.keys()
        logged.append((one.customer_id, [f for f in one.changes if _differs(f, before, after)]))
    if changed:
        await _store(w, list(changed.values()), touched)
        await log_each(w, "changed", [entry for entry in logged if entry[1]], "columns", {})
    return results


async def _store(w: Work, rows: Sequence[Mapping[str, Any]], changed: Collection[str]) -> None:
    """Write the changed columns of rows that are held."""
    names = ["id", "version", *sorted(changed)]
    arrays = ", ".join(f"${number}::{TYPES[name]}[]" for number, name in enumerate(names[1:], 4))
    sets = "".join(f", {name} = u.{name}" for name in names[2:])
    await w.sql.execute(
        f"""UPDATE customers c SET version = u.version, updated_at = $2{sets}
            FROM unnest($3::text::bigint[], {arrays}) AS u ({", ".join(names)})
            WHERE c.merchant_id = $1 AND c.id = u.id""",
        w.merchant_id, w.now, array_text([row["id"] for row in rows]),
        *([row[name] for row in rows] for name in names[1:]),
    )  # fmt: skip


def _columns(w: Work, update: Update, today: date | None) -> dict[str, Any]:
    """What the changed columns get; `today` is where the merchant is. Raises InvalidInput."""
    columns: dict[str, Any] = {}
    for field, value in update.changes.items():
        if field in ("phone", "email"):
            columns |= _contact_columns(w, update.customer_id, field, value)
        elif field == "birthday":
            assert today is not None
            columns[field] = check_birthday(today, value)
        elif field == "country":
            columns[field] = check_country(value)
        else:
            assert field in ("name", "province", "city")
            columns[field] = _text(field, value)
    return columns


def _differs(field: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    # a sealed text is another one each time
    column = f"{field}_index" if field in ("phone", "email") else field
    return bool(before[column] != after[column])


def _contact_columns(w: Work, customer_id: int, field: str, value: str | None) -> dict[str, Any]:
    if value is None:
        return {f"{field}_sealed": None, f"{field}_index": None}
    normal = normalise_phone(value) if field == "phone" else normalise_email(value)
    if normal is None:
        wanted = "a phone number" if field == "phone" else "an email address"
        raise InvalidInput(f"this is not {wanted} that can be reached", ("input", field))
    seal = seal_phone if field == "phone" else seal_email
    return {
        f"{field}_sealed": seal(w.keyring, w.merchant_id, customer_id, normal),
        f"{field}_index": w.keyring.blind_index(field, w.merchant_id, normal),
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
