"""Which customer is it: buyers of orders found by their identities, or made, a whole set at once.

The identities of a record are tried from the strongest to the weakest: the platform's buyer id
(of one shop), further ids (of a shop, an app, the merchant, anywhere), contacts that the customer
gave to the merchant himself, and last the phone and email of an order's receiver. A record with
none of them has no customer. Contact data is sealed here, bound to its row; the database never
sees it plain.

A record that leads to several customers belongs to the one of its strongest identity. Two ids of
one record are one person: those customers are merged. A receiver's phone or email proves nothing
about two customers who exist already, since people order for others: that makes a suggestion.
Masked values and virtual numbers are no identities at all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from core.domain.customers.conflicts import Conflict, Key, record_conflicts
from core.domain.customers.contacts import (
    is_masked,
    normalise_email,
    normalise_phone,
    seal_email,
    seal_phone,
)
from core.sdk.errors import InvalidInput
from core.sdk.identities import CONTACT_KINDS, REFUSED_KINDS, Identity
from core.storage.database import Work

LOCK_SPACE = 0x6863
"""Advisory lock, one per merchant: whoever looks up and then makes identities holds it."""

CUSTOMER_COLUMNS = (
    "merchant_id", "id", "name", "province", "city", "phone_sealed", "phone_index",
    "email_sealed", "email_index", "version", "created_at", "updated_at",
)  # fmt: skip

OWN = "customer"
"""Source of a contact that the customer gave to the merchant himself."""

STRENGTH = {"shop": 0, "app": 1, "merchant": 2, "global": 3}
"""The narrower its scope, the surer an id is one person's."""


@dataclass(slots=True)
class Person:
    """What one order says about its buyer; `at` is when the order was made.

    `phone` and `email` are the receiver's. `identities` are further ids, and contacts that the
    customer gave to the merchant himself. `known` is the customer whose order it is already: ids
    that nobody has yet are his, unless he has another buyer id of this kind in the shop.
    """

    at: datetime
    buyer_id: str | None = None
    phone: str | None = None
    email: str | None = None
    name: str | None = None
    province: str | None = None
    city: str | None = None
    identities: Sequence[Identity] = ()
    known: int | None = None


@dataclass(slots=True)
class Identified:
    """The customer of each person, in their order; None where there is no identity.

    `identities` are to be stored: customer and key. Those of `own` the customer gave himself.
    """

    ids: list[int | None]
    new: set[int] = field(default_factory=set)
    identities: list[tuple[int, str, int, str, str]] = field(default_factory=list)
    indexes: dict[str, bytes] = field(default_factory=dict)
    own: set[Key] = field(default_factory=set)
    conflicts: list[Conflict] = field(default_factory=list)
    shop_id: int = 0
    identity_kind: str = ""


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
    if identity_kind in REFUSED_KINDS:
        raise InvalidInput(f"ids of kind {identity_kind} do not name a person: leave them out")
    search = _Search(w, shop_id, identity_kind)
    await search.look_up(people)
    ids = [search.customer_of(person) for person in people]
    fresh = await w.new_ids("customers", search.made)
    made = {-number: customer_id for number, customer_id in enumerate(fresh, 1)}
    return Identified(
        [None if found is None else made.get(found, found) for found in ids],
        set(fresh),
        [(made.get(found, found), *key) for key, found in search.added.items()],
        search.indexes,
        search.own,
        [
            replace(one, customer_id=made.get(one.customer_id, one.customer_id),
                    other_id=made.get(one.other_id, one.other_id))
            for one in search.conflicts
        ],
        shop_id,
        identity_kind,
    )  # fmt: skip


class _Search:
    """Identities known to the database and those that the present set adds."""

    def __init__(self, w: Work, shop_id: int, identity_kind: str) -> None:
        self.w = w
        self.shop_id = shop_id
        self.kind = identity_kind
        self.known: dict[Key, int] = {}
        self.known_own: set[Key] = set()
        self.added: dict[Key, int] = {}
        self.own: set[Key] = set()
        self.with_buyer_id: set[int] = set()
        self.conflicts: list[Conflict] = []
        self.made = 0
        self.indexes: dict[str, bytes] = {}

    async def look_up(self, people: Sequence[Person]) -> None:
        buyers = {p.buyer_id for p in people if p.buyer_id}
        phones = {self._index("phone", p.phone) for p in people if p.phone}
        emails = {self._index("email", p.email) for p in people if p.email}
        further = {key for p in people if p.identities for key in self._further_keys(p)}
        rows = await self.w.sql.fetch(
            """SELECT scope, scope_id, kind, value, customer_id, source FROM customer_identities
               WHERE merchant_id = $1 AND scope = 'shop' AND scope_id = $2 AND kind = $3
                 AND value = ANY($4::text[])
               UNION ALL
               SELECT scope, scope_id, kind, value, customer_id, source FROM customer_identities
               WHERE merchant_id = $1 AND scope = 'merchant' AND scope_id = 0 AND kind = 'phone'
                 AND value = ANY($5::text[])
               UNION ALL
               SELECT scope, scope_id, kind, value, customer_id, source FROM customer_identities
               WHERE merchant_id = $1 AND scope = 'merchant' AND scope_id = 0 AND kind = 'email'
                 AND value = ANY($6::text[])""",
            self.w.merchant_id, self.shop_id, self.kind, list(buyers), list(phones), list(emails),
        )  # fmt: skip
        if further:
            rows += await self._further_rows(further)
        self.known = {(r[0], r[1], r[2], r[3]): r[4] for r in rows}
        self.known_own = {(r[0], r[1], r[2], r[3]) for r in rows if r[5] == OWN}
        reached = {
            found
            for person in people
            if person.buyer_id and self._buyer_key(person.buyer_id) not in self.known
            for found in (
                person.known, *(self.known.get(key) for key in self._contact_keys(person))
            )
            if found is not None
        }  # fmt: skip
        if reached:
            rows = await self.w.sql.fetch(
                """SELECT customer_id FROM customer_identities
                   WHERE merchant_id = $1 AND customer_id = ANY($4::bigint[])
                     AND scope = 'shop' AND scope_id = $2 AND kind = $3""",
                self.w.merchant_id, self.shop_id, self.kind, list(reached),
            )  # fmt: skip
            self.with_buyer_id = {row[0] for row in rows}

    async def _further_rows(self, keys: Collection[Key]) -> list[Any]:
        scopes, scope_ids, kinds, values = zip(*keys, strict=True)
        rows: list[Any] = await self.w.sql.fetch(
            """SELECT i.scope, i.scope_id, i.kind, i.value, i.customer_id, i.source
               FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[])
                    AS k (scope, scope_id, kind, value)
               JOIN customer_identities i ON i.merchant_id = $1 AND i.scope = k.scope
                    AND i.scope_id = k.scope_id AND i.kind = k.kind AND i.value = k.value""",
            self.w.merchant_id, scopes, scope_ids, kinds, values,
        )  # fmt: skip
        return rows

    def customer_of(self, person: Person) -> int | None:
        """The person's customer; a negative number stands for one still to be made."""
        sure, receiver = self._sure_keys(person), self._receiver_keys(person)
        found, by = self._found(person, sure, receiver)
        if not sure and not receiver:
            return None
        if found is None:
            self.made += 1
            found = -self.made
        if by is not None and len(sure) + len(receiver) > 1:
            self._note_conflicts(found, by, sure, receiver)
        if person.buyer_id:
            self.with_buyer_id.add(found)
        for key in sure:
            if key[2] in CONTACT_KINDS and self._led_to(key) in (None, found):
                self.own.add(key)
        for key in (*sure, *receiver):
            if key not in self.known:
                self.added.setdefault(key, found)
        return found

    def _found(
        self, person: Person, sure: Sequence[Key], receiver: Sequence[Key]
    ) -> tuple[int | None, Key | None]:
        """The customer that the person's identities lead to, and the one that decided it."""
        for key in (*sure, *receiver):
            found = self._led_to(key)
            if found is None:
                continue
            certain = key in sure and self._proves(key)
            if certain or not person.buyer_id or found not in self.with_buyer_id:
                return found, key
            # otherwise another buyer's address, perhaps of one household
        if person.known is not None and not (
            person.buyer_id and person.known in self.with_buyer_id
        ):
            return person.known, None
        return None, None

    def _led_to(self, key: Key) -> int | None:
        found = self.known.get(key)
        return self.added.get(key) if found is None else found

    def _note_conflicts(
        self, found: int, by: Key, sure: Sequence[Key], receiver: Sequence[Key]
    ) -> None:
        certain = set(sure)
        for key in (*sure, *receiver):
            other = self._led_to(key)
            if other is not None and other != found:
                both = {by, key} <= certain and self._proves(by) and self._proves(key)
                self.conflicts.append(Conflict(by, key, found, other, both))

    def _proves(self, key: Key) -> bool:
        """Whether what is stored under the key is one person's for certain."""
        return key[2] not in CONTACT_KINDS or key in self.known_own or key in self.own

    def _sure_keys(self, person: Person) -> list[Key]:
        keys = self._further_keys(person) if person.identities else []
        if person.buyer_id:
            keys.insert(0, self._buyer_key(person.buyer_id))
        return keys

    def _buyer_key(self, buyer_id: str) -> Key:
        return ("shop", self.shop_id, self.kind, buyer_id)

    def _further_keys(self, person: Person) -> list[Key]:
        """The further ids, then the contacts that the customer gave; masked ones are none."""
        ids, contacts = [], []
        for one in person.identities:
            if one.kind in CONTACT_KINDS:
                normal = (normalise_phone if one.kind == "phone" else normalise_email)(one.value)
                if normal is not None:
                    contacts.append(("merchant", 0, one.kind, self._index(one.kind, normal)))
            elif not is_masked(one.value):
                ids.append((one.scope, one.scope_id, one.kind, one.value))
        return [*sorted(ids, key=lambda key: STRENGTH[key[0]]), *contacts]

    def _receiver_keys(self, person: Person) -> list[Key]:
        keys = []
        if person.phone:
            keys.append(("merchant", 0, "phone", self._index("phone", person.phone)))
        if person.email:
            keys.append(("merchant", 0, "email", self._index("email", person.email)))
        return keys

    def _contact_keys(self, person: Person) -> list[Key]:
        further = self._further_keys(person) if person.identities else []
        return [key for key in further if key[2] in CONTACT_KINDS] + self._receiver_keys(person)

    def _index(self, kind: str, value: str) -> str:
        # a phone number never equals an email address, so one dictionary serves both
        index = self.indexes.get(value)
        if index is None:
            index = self.w.keyring.blind_index(kind, self.w.merchant_id, value)
            self.indexes[value] = index
        return index.hex()


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
    if found.own:
        await _mark_own(w, found.own)
    if found.conflicts:
        await record_conflicts(w, found.shop_id, found.identity_kind, found.conflicts)
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


async def _mark_own(w: Work, keys: Collection[Key]) -> None:
    """Contacts that were known from orders are the customer's own from now on."""
    _, _, kinds, values = zip(*keys, strict=True)
    await w.sql.execute(
        """UPDATE customer_identities i SET source = $4
           FROM unnest($2::text[], $3::text[]) AS k (kind, value)
           WHERE i.merchant_id = $1 AND i.scope = 'merchant' AND i.scope_id = 0
             AND i.kind = k.kind AND i.value = k.value AND i.source <> $4""",
        w.merchant_id, kinds, values, OWN,
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
