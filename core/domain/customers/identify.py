"""Which customer is it: buyers of orders found by their identities, or made, a whole set at once.

The identities of an order are tried from the strongest to the weakest: the platform's buyer id
(of one shop), the phone number, the email address (of the merchant). An order with none of them
has no customer. Contact data is sealed here, bound to its row; the database never sees it plain.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.domain.customers.contacts import is_masked, seal_email, seal_phone
from core.storage.database import Work

LOCK_SPACE = 0x6863
"""Advisory lock, one per merchant: whoever looks up and then makes identities holds it."""

CUSTOMER_COLUMNS = (
    "merchant_id", "id", "name", "province", "city", "phone_sealed", "phone_index",
    "email_sealed", "email_index", "version", "created_at", "updated_at",
)  # fmt: skip


Key = tuple[str, int, str, str]
"""An identity: its scope, the scope's id, its kind and value."""


@dataclass(slots=True)
class Person:
    """What one order says about its buyer; `at` is when the order was made."""

    at: datetime
    buyer_id: str | None = None
    phone: str | None = None
    email: str | None = None
    name: str | None = None
    province: str | None = None
    city: str | None = None


@dataclass(slots=True)
class Identified:
    """The customer of each person, in their order; None where there is no identity."""

    ids: list[int | None]
    new: set[int] = field(default_factory=set)
    identities: list[tuple[int, str, int, str, str]] = field(default_factory=list)
    indexes: dict[str, bytes] = field(default_factory=dict)


async def lock_customers(w: Work) -> None:
    """Keep other transactions from making this merchant's identities until the end of this one."""
    await w.sql.execute(
        "SELECT pg_advisory_xact_lock($1::int, $2::int)", LOCK_SPACE, w.merchant_id % 2**31
    )


async def identify(
    w: Work, shop_id: int, identity_kind: str, people: Sequence[Person]
) -> Identified:
    """Find the customers of `people`, and give those not yet known an id; `save` stores them.

    The caller holds `lock_customers`. A buyer id that is not known leads to a customer of the
    same phone or email only if that customer has no other buyer id in this shop.
    """
    search = _Search(w, shop_id, identity_kind)
    await search.look_up(people)
    ids = [search.customer_of(person) for person in people]
    fresh = await _new_ids(w, search.made)
    made = {-number: customer_id for number, customer_id in enumerate(fresh, 1)}
    return Identified(
        [None if found is None else made.get(found, found) for found in ids],
        set(fresh),
        [(made.get(found, found), *key) for key, found in search.added.items()],
        search.indexes,
    )


class _Search:
    """Identities known to the database and those that the present set adds."""

    def __init__(self, w: Work, shop_id: int, identity_kind: str) -> None:
        self.w = w
        self.shop_id = shop_id
        self.kind = identity_kind
        self.known: dict[Key, int] = {}
        self.added: dict[Key, int] = {}
        self.with_buyer_id: set[int] = set()
        self.made = 0
        self.indexes: dict[str, bytes] = {}

    async def look_up(self, people: Sequence[Person]) -> None:
        buyers = {p.buyer_id for p in people if p.buyer_id}
        phones = {self._index("phone", p.phone) for p in people if p.phone}
        emails = {self._index("email", p.email) for p in people if p.email}
        rows = await self.w.sql.fetch(
            """SELECT scope, scope_id, kind, value, customer_id FROM customer_identities
               WHERE merchant_id = $1 AND scope = 'shop' AND scope_id = $2 AND kind = $3
                 AND value = ANY($4::text[])
               UNION ALL
               SELECT scope, scope_id, kind, value, customer_id FROM customer_identities
               WHERE merchant_id = $1 AND scope = 'merchant' AND scope_id = 0 AND kind = 'phone'
                 AND value = ANY($5::text[])
               UNION ALL
               SELECT scope, scope_id, kind, value, customer_id FROM customer_identities
               WHERE merchant_id = $1 AND scope = 'merchant' AND scope_id = 0 AND kind = 'email'
                 AND value = ANY($6::text[])""",
            self.w.merchant_id, self.shop_id, self.kind, list(buyers), list(phones), list(emails),
        )  # fmt: skip
        self.known = {(r[0], r[1], r[2], r[3]): r[4] for r in rows}
        reached = {
            found
            for person in people
            if person.buyer_id and self._buyer_key(person.buyer_id) not in self.known
            for key in self._address_keys(person)
            if (found := self.known.get(key)) is not None
        }
        if reached:
            rows = await self.w.sql.fetch(
                """SELECT customer_id FROM customer_identities
                   WHERE merchant_id = $1 AND customer_id = ANY($4::bigint[])
                     AND scope = 'shop' AND scope_id = $2 AND kind = $3""",
                self.w.merchant_id, self.shop_id, self.kind, list(reached),
            )  # fmt: skip
            self.with_buyer_id = {row[0] for row in rows}

    def customer_of(self, person: Person) -> int | None:
        """The person's customer; a negative number stands for one still to be made."""
        keys = self._keys(person)
        if not keys:
            return None
        found = None
        for key in keys:
            found = self.known.get(key)
            if found is None:
                found = self.added.get(key)
            if found is not None:
                if key[0] == "merchant" and person.buyer_id and found in self.with_buyer_id:
                    found = None  # another buyer's address, perhaps of one household
                    continue
                break
        if found is None:
            self.made += 1
            found = -self.made
        if person.buyer_id:
            self.with_buyer_id.add(found)
        for key in keys:
            if key not in self.known:
                self.added.setdefault(key, found)
        return found

    def _keys(self, person: Person) -> list[Key]:
        keys = self._address_keys(person)
        if person.buyer_id:
            keys.insert(0, self._buyer_key(person.buyer_id))
        return keys

    def _buyer_key(self, buyer_id: str) -> Key:
        return ("shop", self.shop_id, self.kind, buyer_id)

    def _address_keys(self, person: Person) -> list[Key]:
        keys = []
        if person.phone:
            keys.append(("merchant", 0, "phone", self._index("phone", person.phone)))
        if person.email:
            keys.append(("merchant", 0, "email", self._index("email", person.email)))
        return keys

    def _index(self, kind: str, value: str) -> str:
        # a phone number never equals an email address, so one dictionary serves both
        index = self.indexes.get(value)
        if index is None:
            index = self.w.keyring.blind_index(kind, self.w.merchant_id, value)
            self.indexes[value] = index
        return index.hex()


async def _new_ids(w: Work, count: int) -> list[int]:
    if not count:
        return []
    rows = await w.sql.fetch(
        """WITH ids AS MATERIALIZED (SELECT pg_get_serial_sequence('customers', 'id') AS name)
           SELECT nextval(ids.name::regclass) FROM ids, generate_series(1, $1::int)""",
        count,
    )
    return [row[0] for row in rows]


async def save(
    w: Work,
    found: Identified,
    people: Sequence[Person],
    latest_orders: Mapping[int, datetime],
    source: str,
) -> None:
    """Store new customers and identities, and what the latest orders say about known ones.

    `latest_orders` is when each known customer last ordered, as far as stored.
    """
    told = _latest_words(found.ids, people)
    new = [(customer_id, told[customer_id]) for customer_id in sorted(found.new)]
    if new:
        await w.sql.copy_records_to_table(
            "customers",
            columns=CUSTOMER_COLUMNS,
            records=[
                _new_row(w, found.indexes, customer_id, person) for customer_id, person in new
            ],
        )
    await _add_identities(w, found, source)
    known = {key: person for key, person in told.items() if key not in found.new}
    if known:
        await _update_known(w, found.indexes, known, latest_orders)


def _latest_words(ids: Sequence[int | None], people: Sequence[Person]) -> dict[int, Person]:
    """What each customer's latest order says; where it says nothing, the one before."""
    told: dict[int, Person] = {}
    for position in sorted(range(len(people)), key=lambda p: people[p].at):
        customer_id, person = ids[position], people[position]
        if customer_id is None:
            continue
        if person.name is not None and is_masked(person.name):
            person.name = None
        before = told.get(customer_id)
        if before is not None:
            person.phone = person.phone or before.phone
            person.email = person.email or before.email
            person.name = person.name or before.name
            person.province = person.province or before.province
            person.city = person.city or before.city
        told[customer_id] = person
    return told


def _new_row(
    w: Work, indexes: Mapping[str, bytes], customer_id: int, person: Person
) -> tuple[Any, ...]:
    phone, email, merchant_id = person.phone, person.email, w.merchant_id
    return (
        merchant_id, customer_id, person.name, person.province, person.city,
        seal_phone(w.keyring, merchant_id, customer_id, phone) if phone else None,
        indexes[phone] if phone else None,
        seal_email(w.keyring, merchant_id, customer_id, email) if email else None,
        indexes[email] if email else None,
        1, w.now, w.now,
    )  # fmt: skip


async def _add_identities(w: Work, found: Identified, source: str) -> None:
    if not found.identities:
        return
    # no conflict is possible: all who make identities hold the lock, and these were looked up
    await w.sql.copy_records_to_table(
        "customer_identities",
        columns=(
            "merchant_id", "customer_id", "scope", "scope_id", "kind", "value", "source",
            "created_at",
        ),
        records=[(w.merchant_id, *identity, source, w.now) for identity in found.identities],
    )  # fmt: skip


async def _update_known(
    w: Work,
    indexes: Mapping[str, bytes],
    told: Mapping[int, Person],
    latest_orders: Mapping[int, datetime],
) -> None:
    rows = await w.sql.fetch(
        """SELECT id, name, province, city, phone_sealed, phone_index, email_sealed, email_index
           FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
        w.merchant_id, list(told),
    )  # fmt: skip
    changed = []
    for row in rows:
        person = told[row["id"]]
        stored_at = latest_orders.get(row["id"])
        after = _overlaid(w, indexes, row, person, stored_at is None or person.at >= stored_at)
        if after != tuple(row):
            changed.append(after)
    if changed:
        await w.sql.execute(
            """UPDATE customers c SET name = u.name, province = u.province, city = u.city,
                   phone_sealed = u.phone_sealed, phone_index = u.phone_index,
                   email_sealed = u.email_sealed, email_index = u.email_index,
                   version = c.version + 1, updated_at = $2
               FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[],
                           $8::bytea[], $9::bytea[], $10::bytea[])
                   AS u (id, name, province, city, phone_sealed, phone_index, email_sealed,
                         email_index)
               WHERE c.merchant_id = $1 AND c.id = u.id""",
            w.merchant_id, w.now, *zip(*changed, strict=True),
        )  # fmt: skip


def _overlaid(
    w: Work, indexes: Mapping[str, bytes], row: Mapping[str, Any], person: Person, newer: bool
) -> tuple[int, str | None, str | None, str | None, Any, Any, Any, Any]:
    """The customer's row with what a newer order says; an older one fills gaps only."""

    def chosen(stored: str | None, said: str | None) -> str | None:
        return (said or stored) if newer else (stored or said)

    customer_id = row["id"]
    return (
        customer_id,
        chosen(row["name"], person.name),
        chosen(row["province"], person.province),
        chosen(row["city"], person.city),
        *_contact(w, indexes, customer_id, "phone", row, person.phone, newer, seal_phone),
        *_contact(w, indexes, customer_id, "email", row, person.email, newer, seal_email),
    )


def _contact(
    w: Work,
    indexes: Mapping[str, bytes],
    customer_id: int,
    kind: str,
    row: Mapping[str, Any],
    said: str | None,
    newer: bool,
    seal: Callable[..., bytes],
) -> tuple[bytes | None, bytes | None]:
    sealed, index = row[f"{kind}_sealed"], row[f"{kind}_index"]
    if said is None or (index is not None and not newer):
        return sealed, index
    new_index = indexes[said]
    if new_index == index:
        return sealed, index
    return seal(w.keyring, w.merchant_id, customer_id, said), new_index
