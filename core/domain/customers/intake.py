"""Taking in a set of customers' rows: who each one is, what changes, and a record for the undo.

A row names a customer by ids (of a shop, or of the merchant), phone and email. Rules as for
buyers of orders: an id is stronger than a contact, and an id not seen before joins the customer
of a contact only if that customer has no other id of its kind. A row whose names lead to
different customers is refused and suggested for merging, unless one of them has the contact too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from typing import Any, Literal

import orjson

from core.domain.customers.conflicts import Key
from core.domain.customers.consent import MARKETING
from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.identify import lock_customers
from core.domain.customers.import_fields import (
    CustomField,
    Value,
    packed,
    stored_values,
    write_values,
)
from core.domain.customers.import_rows import CustomerRecord
from core.domain.customers.log import log_event
from core.domain.customers.suggestions import add_suggestions
from core.storage.database import Work
from core.tabular.bulk import RejectedRow

Existing = Literal["update", "fill", "skip"]
PLAIN = ("name", "country", "province", "city", "birthday")
CONTACTS = ("phone", "email")
SEALED = ("phone_sealed", "phone_index", "email_sealed", "email_index")


@dataclass(frozen=True)
class Intake:
    """How one import takes customers in.

    `shop_id` is the shop whose ids the file has, None for ids of the merchant's own. `consent` is
    evidence by channel, for customers who never said anything. `custom` are the fields of the
    file's columns. Without a job it is a call of the API, which nobody takes back.
    """

    job_id: int | None
    shop_id: int | None = None
    existing: Existing = "update"
    tags: Sequence[str] = ()
    consent: Mapping[str, str] = field(default_factory=dict)
    custom: Mapping[str, CustomField] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What brings the customers."""
        return "api" if self.job_id is None else "import"

    @property
    def source(self) -> str:
        """What tags, identities and values say of where they came from."""
        return self.kind if self.job_id is None else f"import:{self.job_id}"

    def key(self, kind: str, value: str) -> Key:
        if self.shop_id is None:
            return ("merchant", 0, kind, value)
        return ("shop", self.shop_id, kind, value)


@dataclass(slots=True)
class State:
    """A customer as the set leaves it; a negative id stands for one still to be made."""

    id: int
    values: dict[str, Any]
    """Of the plain columns, and the indexes of the contacts."""
    before: Mapping[str, Any] | None = None
    """The stored row; None for a new customer."""
    said: dict[str, str] = field(default_factory=dict)
    """New contacts in their normal form, by kind."""
    tags: set[str] = field(default_factory=set)
    consents: dict[str, str] = field(default_factory=dict)
    custom: dict[int, Value] = field(default_factory=dict)
    old_custom: dict[int, Value | None] = field(default_factory=dict)
    new_tags: set[str] = field(default_factory=set)
    new_words: list[tuple[str, str, str | None]] = field(default_factory=list)
    touched: bool = False

    def changed_columns(self) -> list[str]:
        """The columns that differ from the stored row."""
        assert self.before is not None
        return [name for name, value in self.values.items() if value != self.before[name]]


async def take_customers(
    w: Work, intake: Intake, records: Sequence[CustomerRecord]
) -> tuple[list[str], list[RejectedRow]]:
    """Take a set of rows in, in this transaction.

    Returns the outcomes of the rows taken ("created", "updated", "unchanged"), and the rows that
    fit several customers.
    """
    if not records:
        return [], []
    taking = await _take(w, intake, records)
    return taking.outcomes, taking.rejects


async def upsert_customers(
    w: Work, intake: Intake, records: Sequence[CustomerRecord]
) -> list[tuple[str, int | None]]:
    """Take a set of records in; returns the outcome and the customer of each, in order.

    A record that fits several customers is "ambiguous" and has none.
    """
    if not records:
        return []
    taking = await _take(w, intake, records)
    refused = {reject.row for reject in taking.rejects}
    taken = iter(zip(taking.outcomes, taking.taken, strict=True))
    results: list[tuple[str, int | None]] = []
    for record in records:
        if record.row in refused:
            results.append(("ambiguous", None))
        else:
            outcome, state = next(taken)
            results.append((outcome, state.id))
    return results


async def _take(w: Work, intake: Intake, records: Sequence[CustomerRecord]) -> "_Taking":
    await lock_customers(w)
    taking = _Taking(w, intake)
    await taking.look_up(records)
    for record in records:
        taking.take(record)
    await taking.write()
    return taking


class _Taking:
    """One set on its way in."""

    def __init__(self, w: Work, intake: Intake) -> None:
        self.w = w
        self.intake = intake
        self.outcomes: list[str] = []
        self.taken: list[State] = []
        self.rejects: list[RejectedRow] = []
        self.known: dict[Key, int] = {}
        self.added: dict[Key, int] = {}
        self.states: dict[int, State] = {}
        self.kinds: dict[int, set[str]] = {}
        self.pairs: set[tuple[int, int]] = set()
        self.indexes: dict[str, bytes] = {}
        self.made = 0

    # -- reading what is stored ----------------------------------------------------------------

    async def look_up(self, records: Sequence[CustomerRecord]) -> None:
        keys = list({key for record in records for key in self._keys(record)})
        rows = await self.w.sql.fetch(
            """SELECT i.scope, i.scope_id, i.kind, i.value, i.customer_id
               FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[])
                   AS k (scope, scope_id, kind, value)
               JOIN customer_identities i ON i.merchant_id = $1 AND i.scope = k.scope
                AND i.scope_id = k.scope_id AND i.kind = k.kind AND i.value = k.value""",
            self.w.merchant_id, *(list(part) for part in zip(*keys, strict=True)),
        )  # fmt: skip
        self.known = {(r[0], r[1], r[2], r[3]): r[4] for r in rows}
        ids = sorted(set(self.known.values()))
        if ids:
            await self._load(ids, records)

    async def _load(self, ids: list[int], records: Sequence[CustomerRecord]) -> None:
        w, intake = self.w, self.intake
        rows = await w.sql.fetch(
            f"""SELECT id, version, {', '.join((*PLAIN, *SEALED))} FROM customers
                WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
            w.merchant_id, ids,
        )  # fmt: skip
        for row in rows:
            values = {name: row[name] for name in (*PLAIN, "phone_index", "email_index")}
            self.states[row["id"]] = State(row["id"], values, row)
        scope, scope_id, _, _ = intake.key("", "")
        kinds = {kind for record in records for kind, _ in record.ids}
        if kinds:
            rows = await w.sql.fetch(
                """SELECT DISTINCT customer_id, kind FROM customer_identities
                   WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND scope = $3
                     AND scope_id = $4 AND kind = ANY($5::text[])""",
                w.merchant_id, ids, scope, scope_id, list(kinds),
            )  # fmt: skip
            for customer_id, kind in rows:
                self.kinds.setdefault(customer_id, set()).add(kind)
        rows = await w.sql.fetch(
            """SELECT customer_id, tag FROM customer_tags
               WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])""",
            w.merchant_id, ids,
        )  # fmt: skip
        for customer_id, tag in rows:
            self.states[customer_id].tags.add(tag)
        rows = await w.sql.fetch(
            """SELECT customer_id, channel, status FROM consents
               WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND shop_id = 0
                 AND purpose = $3""",
            w.merchant_id, ids, MARKETING,
        )  # fmt: skip
        for customer_id, channel, status in rows:
            self.states[customer_id].consents[channel] = status
        if intake.custom:
            for (customer_id, field_id), value in (
                await stored_values(w, ids, intake.custom)
            ).items():
                self.states[customer_id].custom[field_id] = value

    def _keys(self, record: CustomerRecord) -> list[Key]:
        return [*self._id_keys(record), *self._contact_keys(record).values()]

    def _id_keys(self, record: CustomerRecord) -> list[Key]:
        return [self.intake.key(kind, value) for kind, value in record.ids]

    def _contact_keys(self, record: CustomerRecord) -> dict[str, Key]:
        return {
            kind: ("merchant", 0, kind, self._index(kind, value).hex())
            for kind in CONTACTS
            if (value := getattr(record, kind))
        }

    def _index(self, kind: str, value: str) -> bytes:
        # a phone number never equals an email address, so one dictionary serves both
        index = self.indexes.get(value)
        if index is None:
            index = self.w.keyring.blind_index(kind, self.w.merchant_id, value)
            self.indexes[value] = index
        return index

    # -- one row after the other ---------------------------------------------------------------

    def take(self, record: CustomerRecord) -> None:
        candidates = self._candidates(record)
        if len(candidates) > 1:
            self.pairs.update(combinations(sorted(candidates), 2))
            self.rejects.append(
                RejectedRow(
                    record.row, "AMBIGUOUS", None,
                    f"the row fits {len(candidates)} different customers; they are suggested for "
                    "merging",
                )
            )  # fmt: skip
            return
        found = next(iter(candidates), None)
        state = self._new_state() if found is None else self.states[found]
        self.taken.append(state)
        if found is not None and self.intake.existing == "skip":
            self.outcomes.append("unchanged")
        elif found is not None:
            changed = self._overlay(state, record, self.intake.existing)
            self.outcomes.append("updated" if changed else "unchanged")
        else:
            self._overlay(state, record, "update")
            self.outcomes.append("created")

    def _candidates(self, record: CustomerRecord) -> set[int]:
        """The customers that the row may be, none if it is a new one."""
        by_id = {found for key in self._id_keys(record) if (found := self._find(key)) is not None}
        by_contact = {
            kind: found
            for kind, key in self._contact_keys(record).items()
            if (found := self._find(key)) is not None
        }
        if not by_id and record.ids:
            kinds = {kind for kind, _ in record.ids}
            by_contact = {
                # another one's contact, perhaps of one household
                kind: found
                for kind, found in by_contact.items()
                if not kinds & self.kinds.get(found, set())
            }
        if len(by_id) > 1:
            return by_id
        for one in by_id or set(by_contact.values()):
            if all(
                found == one or self.states[one].values[f"{kind}_index"]
                == self._index(kind, getattr(record, kind))
                for kind, found in by_contact.items()
            ):  # fmt: skip
                return {one}
        return by_id | set(by_contact.values())

    def _find(self, key: Key) -> int | None:
        found = self.known.get(key)
        return self.added.get(key) if found is None else found

    def _new_state(self) -> State:
        self.made += 1
        values = dict.fromkeys((*PLAIN, "phone_index", "email_index"))
        state = self.states[-self.made] = State(-self.made, values)
        return state

    def _claim(self, state: State, record: CustomerRecord) -> bool:
        """Let the customer be found by the names that nobody has; whether there was one."""
        self.kinds.setdefault(state.id, set()).update(kind for kind, _ in record.ids)
        free = [key for key in self._keys(record) if self._find(key) is None]
        self.added.update(dict.fromkeys(free, state.id))
        return bool(free)

    def _overlay(self, state: State, record: CustomerRecord, existing: Existing) -> bool:
        """Let the row speak; returns whether it said anything new."""
        fill = existing == "fill"
        changed = self._claim(state, record)
        changed |= self._overlay_columns(state, record, fill)
        tags = {*record.tags, *self.intake.tags} - state.tags
        state.tags |= tags
        state.new_tags |= tags
        changed |= bool(tags)
        for channel, status, evidence in self._words(record):
            if _speaks(status, state.consents.get(channel)):
                state.consents[channel] = status
                state.new_words.append((channel, status, evidence))
                changed = True
        for key, value in record.custom.items():
            field_id = self.intake.custom[key].id
            old = state.custom.get(field_id)
            if value != old and not (fill and old is not None):
                state.old_custom.setdefault(field_id, old)
                state.custom[field_id] = value
                changed = True
        state.touched |= changed
        return changed

    def _overlay_columns(self, state: State, record: CustomerRecord, fill: bool) -> bool:
        changed = False
        for name in PLAIN:
            value = getattr(record, name)
            old = state.values[name]
            if value is not None and value != old and not (fill and old is not None):
                state.values[name] = value
                changed = True
        for kind in CONTACTS:
            value = getattr(record, kind)
            if value is None:
                continue
            index, old = self._index(kind, value), state.values[f"{kind}_index"]
            if index != old and not (fill and old is not None):
                state.values[f"{kind}_index"] = index
                state.said[kind] = value
                changed = True
        return changed

    def _words(self, record: CustomerRecord) -> Iterable[tuple[str, str, str | None]]:
        for channel, (status, evidence) in record.consents.items():
            evidence = evidence or self.intake.consent.get(channel)
            proven = "granted" if evidence else "unproven"
            yield channel, proven if status == "granted" else status, evidence
        for channel, evidence in self.intake.consent.items():
            if channel not in record.consents:
                yield channel, "granted", evidence

    # -- writing -------------------------------------------------------------------------------

    async def write(self) -> None:
        ids = await self._real_ids()
        new = [state for state in self.states.values() if state.before is None]
        old = [s for s in self.states.values() if s.before is not None and s.touched]
        await self._insert(new)
        versions = await self._update([state for state in old if state.changed_columns()])
        await self._identities(ids)
        touched = [*new, *old]
        await self._tags(touched)
        await self._consents(touched)
        await write_values(
            self.w,
            {
                (state.id, field_id): state.custom[field_id]
                for state in touched
                for field_id in state.old_custom
            },
            self.intake.source,
        )
        await self._changes(touched, versions)
        kind, job = self.intake.kind, {"job_id": self.intake.job_id}
        await log_event(self.w, [state.id for state in new], f"{kind}.created", job)
        await log_event(self.w, [state.id for state in old], f"{kind}.updated", job)
        await self._suggest(ids)

    async def _real_ids(self) -> dict[int, int]:
        """Give the new customers their ids."""
        new = [state for state in self.states.values() if state.before is None]
        ids = {}
        fresh = await self.w.new_ids("customers", len(new))
        for state, customer_id in zip(new, fresh, strict=True):
            ids[state.id] = customer_id
            state.id = customer_id
        return ids

    async def _insert(self, new: Sequence[State]) -> None:
        if not new:
            return
        w = self.w
        await w.sql.copy_records_to_table(
            "customers",
            columns=("merchant_id", "id", *PLAIN, *SEALED, "version", "created_at", "updated_at"),
            records=[
                (
                    w.merchant_id, state.id, *(state.values[name] for name in PLAIN),
                    *self._contact_columns(state), 1, w.now, w.now,
                )
                for state in new
            ],
        )  # fmt: skip

    def _contact_columns(self, state: State) -> list[bytes | None]:
        """phone_sealed, phone_index, email_sealed, email_index."""
        columns: list[bytes | None] = []
        for kind, seal in (("phone", seal_phone), ("email", seal_email)):
            sealed = None if state.before is None else state.before[f"{kind}_sealed"]
            if kind in state.said:
                sealed = seal(self.w.keyring, self.w.merchant_id, state.id, state.said[kind])
            columns += [sealed, state.values[f"{kind}_index"]]
        return columns

    async def _update(self, changed: Sequence[State]) -> dict[int, int]:
        """Store what changed; returns the new versions."""
        if not changed:
            return {}
        w = self.w
        rows = [
            (state.id, *(state.values[n] for n in PLAIN), *self._contact_columns(state))
            for state in changed
        ]
        found = await w.sql.fetch(
            """UPDATE customers c SET name = u.name, country = u.country, province = u.province,
                   city = u.city, birthday = u.birthday, phone_sealed = u.phone_sealed,
                   phone_index = u.phone_index, email_sealed = u.email_sealed,
                   email_index = u.email_index, version = c.version + 1, updated_at = $2
               FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                           $8::date[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[])
                   AS u (id, name, country, province, city, birthday, phone_sealed, phone_index,
                         email_sealed, email_index)
               WHERE c.merchant_id = $1 AND c.id = u.id RETURNING c.id, c.version""",
            w.merchant_id, w.now, *zip(*rows, strict=True),
        )  # fmt: skip
        return {row[0]: row[1] for row in found}

    async def _identities(self, ids: Mapping[int, int]) -> None:
        if not self.added:
            return
        # no conflict is possible: all who make identities hold the lock, and these were looked up
        await self.w.sql.copy_records_to_table(
            "customer_identities",
            columns=(
                "merchant_id", "customer_id", "scope", "scope_id", "kind", "value", "source",
                "created_at",
            ),
            records=[
                (self.w.merchant_id, ids.get(found, found), *key, self.intake.source, self.w.now)
                for key, found in self.added.items()
            ],
        )  # fmt: skip

    async def _tags(self, touched: Sequence[State]) -> None:
        rows = [(state.id, tag) for state in touched for tag in sorted(state.new_tags)]
        if rows:
            await self.w.sql.execute(
                """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
                   SELECT $1, id, tag, $4, $5 FROM unnest($2::bigint[], $3::text[]) AS n (id, tag)
                   ON CONFLICT (merchant_id, customer_id, tag) DO NOTHING""",
                self.w.merchant_id, *zip(*rows, strict=True), self.intake.source, self.w.now,
            )  # fmt: skip

    async def _consents(self, touched: Sequence[State]) -> None:
        rows = [
            (state.id, channel, status, orjson.dumps({"text": evidence}).decode())
            if evidence
            else (state.id, channel, status, None)
            for state in touched
            for channel, status, evidence in state.new_words
        ]
        await append_words(self.w, rows, self.intake.kind)

    async def _changes(self, touched: Sequence[State], versions: Mapping[int, int]) -> None:
        """Note down what the undo needs; of several changes of one import the first one's
        `before` counts."""
        if not touched or self.intake.job_id is None:
            return
        rows = [
            (state.id, _before(state), _version(state, versions))
            for state in sorted(touched, key=lambda state: state.id)
        ]
        await self.w.sql.execute(
            """INSERT INTO import_changes AS c
                   (merchant_id, job_id, customer_id, before, after_version)
               SELECT $1, $2, n.id, n.before, n.version
               FROM unnest($3::bigint[], $4::jsonb[], $5::int[]) AS n (id, before, version)
               ON CONFLICT (merchant_id, job_id, customer_id) DO UPDATE
               SET after_version = excluded.after_version,
                   before = CASE WHEN c.before IS NULL THEN NULL ELSE
                       excluded.before || c.before || jsonb_build_object(
                           'custom', (excluded.before->'custom') || (c.before->'custom')) END""",
            self.w.merchant_id, self.intake.job_id, *zip(*rows, strict=True),
        )  # fmt: skip

    async def _suggest(self, ids: Mapping[int, int]) -> None:
        pairs = [
            (ids.get(first, first), ids.get(second, second), "told_together")
            for first, second in self.pairs
        ]
        await add_suggestions(self.w, pairs)


def _speaks(status: str, present: str | None) -> bool:
    """Whether a file's word counts: a no always, a yes never against a no."""
    if status == "denied":
        return present != "denied"
    if status == "granted":
        return present in (None, "unproven")
    return present is None


async def append_words(
    w: Work, rows: Sequence[tuple[int, str, str, str | None]], source: str
) -> None:
    """Append (customer, channel, status, evidence as JSON) to the log of marketing consent.

    The last word on a channel counts.
    """
    if not rows:
        return
    await w.sql.execute(
        """INSERT INTO consent_events (merchant_id, customer_id, channel, purpose, status, source,
                                       evidence, actor, at)
           SELECT $1, n.id, n.channel, $6, n.status, $7, n.evidence, $8, $9
           FROM unnest($2::bigint[], $3::text[], $4::text[], $5::jsonb[])
               WITH ORDINALITY AS n (id, channel, status, evidence, place) ORDER BY n.place""",
        w.merchant_id, *zip(*rows, strict=True), MARKETING, source, w.actor, w.now,
    )  # fmt: skip
    last = {(row[0], row[1]): row[2] for row in rows}
    states = sorted((customer, channel, status) for (customer, channel), status in last.items())
    await w.sql.execute(
        """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
           SELECT $1, n.id, n.channel, $5, n.status, $6
           FROM unnest($2::bigint[], $3::text[], $4::text[]) AS n (id, channel, status)
           ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose)
               DO UPDATE SET status = excluded.status, at = excluded.at""",
        w.merchant_id, *zip(*states, strict=True), MARKETING, w.now,
    )  # fmt: skip


def _before(state: State) -> str | None:
    """What the undo gives back: changed columns as `to_jsonb` writes them, and the old values of
    custom fields by their ids under "custom"."""
    if state.before is None:
        return None
    columns: dict[str, Any] = {}
    for name in state.changed_columns():
        old = state.before[name]
        columns[name] = _bytea(old) if isinstance(old, bytes) else old
        if name.endswith("_index"):
            sealed = state.before[name.replace("_index", "_sealed")]
            columns[name.replace("_index", "_sealed")] = _bytea(sealed) if sealed else None
    custom = {str(field_id): packed(old) for field_id, old in state.old_custom.items()}
    return orjson.dumps({**columns, "custom": custom}).decode()


def _bytea(value: bytes) -> str:
    return "\\x" + value.hex()


def _version(state: State, versions: Mapping[int, int]) -> int:
    if state.before is None:
        return 1
    return versions.get(state.id, state.before["version"])


def old_value(name: str, stored: Any) -> Any:
    """A column's value of what `_before` wrote."""
    if stored is None:
        return None
    if name in SEALED:
        return bytes.fromhex(stored.removeprefix("\\x"))
    return date.fromisoformat(stored) if name == "birthday" else stored
