"""Objects by the ids that their platforms know them by: in every filter, and one at a time.

A reference names a platform, not a shop: it stands for the id in each shop of the platform, of
which merchants have a few. So every search is one by whole keys of an index.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import strawberry

from core.domain.customers.references import KNOWN_AS
from core.domain.shops.shops import shops_by_platform
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.scalars import read_id
from core.schema.where import Args, OwnColumn
from core.sdk.errors import NotFound
from core.sdk.identities import CONTACT_KINDS
from core.storage.database import Session

Key = tuple[int | None, str | None, str]
"""Shop, kind and id."""
KEYS = """unnest({}::bigint[], {}::text[], {}::text[])
    WITH ORDINALITY AS k (shop_id, kind, id, number)"""
NARROWER = "name the shop in shopId, or the kind of id"
CUSTOMERS = f"SELECT found.id FROM ({KNOWN_AS}) found"


@strawberry.input(description="An object as its platform knows it.")
class ExternalRefInput:
    platform: str = strawberry.field(description="Of the shop, as in `Shop.platform`.")
    id: str = strawberry.field(description="The platform's id of it.")
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only in this shop, where several of the platform use one id."
    )
    kind: str | None = strawberry.field(
        default=None,
        description="Only of customers: which of their ids, as in `CustomerIdentity.kind`.",
    )


@strawberry.input
class ExternalRefFilter:
    eq: strawberry.Maybe[ExternalRefInput]
    in_: strawberry.Maybe[list[ExternalRefInput]] = strawberry.field(name="in", default=None)


@strawberry.input(description="An id of a customer, in whatever shop, app or system it is known.")
class CustomerIdentityFilter:
    kind: str = strawberry.field(description="As in `CustomerIdentity.kind`.")
    eq: strawberry.Maybe[str]
    in_: strawberry.Maybe[list[str]] = strawberry.field(name="in", default=None)


def by_external_id(table: str, alias: str) -> OwnColumn:
    """The filter of a list whose rows have a shop and an id that is unique in it."""
    return _among(
        alias,
        f"""SELECT found.id FROM {{keys}} CROSS JOIN LATERAL (
                SELECT x.id FROM {table} x WHERE x.merchant_id = $1 AND x.shop_id = k.shop_id
                  AND x.external_id = k.id LIMIT 1) found""",
    )


def by_tracking_number(alias: str) -> OwnColumn:
    """The filter of a list of parcels, whose number is the carrier's."""
    return _among(
        alias,
        """SELECT p.id FROM {keys}
           JOIN parcels p ON p.merchant_id = $1 AND p.tracking_number = k.id
           JOIN orders o ON o.merchant_id = $1 AND o.id = p.order_id AND o.shop_id = k.shop_id""",
    )


def by_identity(alias: str) -> OwnColumn:
    """The filter of a list of customers, who have ids of several kinds."""
    return _among(alias, CUSTOMERS, kinds=True)


def of_identity(alias: str) -> OwnColumn:
    """As `by_identity`, by a CustomerIdentityFilter."""

    def make(given: CustomerIdentityFilter, args: Args) -> str:
        if given.kind in CONTACT_KINDS:
            raise RequestError(BAD_REQUEST, "phone and email are found by customerSearch")
        if not _asked(given):
            raise RequestError(BAD_REQUEST, f"give eq or in, the ids of kind {given.kind}")
        return " AND ".join(
            _found(alias, CUSTOMERS, args, [(None, given.kind, id) for id in ids])
            for ids in _asked(given)
        )

    return OwnColumn(make)


def _among(alias: str, ids: str, kinds: bool = False) -> OwnColumn:
    """A filter by references; `ids` is SQL of the objects of `{keys}`."""

    def make(given: ExternalRefFilter, args: Args) -> str:
        conditions = []
        for refs in _asked(given):
            if not kinds and any(ref.kind is not None for ref in refs):
                raise RequestError(BAD_REQUEST, "kind is for references to customers: leave it out")
            keys = [key for ref in refs for key in keys_of(ref, args.shops)]
            conditions.append(_found(alias, ids, args, keys))
        return " AND ".join(conditions) or "TRUE"

    return OwnColumn(make)


def _asked(given: ExternalRefFilter | CustomerIdentityFilter) -> list[list[Any]]:
    """The values of each operator that is given."""
    one = [] if given.eq is None else [[given.eq.value]]
    return one if given.in_ is None else [*one, given.in_.value]


def _found(alias: str, ids: str, args: Args, keys: Sequence[Key]) -> str:
    # an array is read first and looked up by the primary key, whatever the list is sorted by
    marks = [args.add(list(part)) for part in columns_of(keys)]
    return f"{alias}.id = ANY(ARRAY({ids.format(keys=KEYS.format(*marks))}))"


def columns_of(keys: Sequence[Key]) -> tuple[Sequence[Any], ...]:
    """The parameters of KEYS."""
    return tuple(zip(*keys, strict=True)) if keys else ((), (), ())


def keys_of(ref: ExternalRefInput, shops: Mapping[str, Collection[int]]) -> list[Key]:
    """What a reference stands for, one for each shop of its platform; none in another's shop."""
    only = None if ref.shop_id is None else read_id("Shop", ref.shop_id) or -1
    found = shops[platform_of(ref)]
    return [(shop, ref.kind, ref.id) for shop in found if only in (None, shop)]


def platform_of(ref: ExternalRefInput) -> str:
    """The platform's name as shops have it."""
    return ref.platform.strip().lower()


async def shops_named(
    session: Session, refs: Iterable[ExternalRefInput], path: tuple[str, ...] = ()
) -> dict[str, list[int]]:
    """The shops of the references' platforms. Raises NotFound for a platform without any."""
    asked = list(refs)
    shops = await shops_by_platform(session) if asked else {}
    for ref in asked:
        if platform_of(ref) not in shops:
            raise _no_platform(ref, shops, path)
    return shops


def _no_platform(ref: ExternalRefInput, shops: Collection[str], path: tuple[str, ...]) -> NotFound:
    known = ", ".join(sorted(shops)) or "none yet"
    name = platform_of(ref)
    return NotFound(f"there is no shop of a platform {name!r}; there are: {known}", path)


def refs_in(where: Any) -> Iterator[ExternalRefInput]:
    """All references in a filter of a list."""
    for name, maybe in () if where is None else vars(where).items():
        if maybe is None:
            continue
        if name in ("and_", "or_"):
            for one in maybe.value:
                yield from refs_in(one)
        elif name == "not_":
            yield from refs_in(maybe.value)
        elif isinstance(maybe.value, ExternalRefFilter):
            for refs in _asked(maybe.value):
                yield from refs


async def customers_of_refs(
    session: Session, refs: Sequence[ExternalRefInput], path: tuple[str, ...]
) -> list[int | NotFound]:
    """The customer of each reference, or why there is none. `path` leads to the references."""
    shops = await shops_by_platform(session)
    known = [ref if platform_of(ref) in shops else None for ref in refs]
    of_ref = [(place, key) for place, ref in enumerate(known) if ref for key in keys_of(ref, shops)]
    rows = await session.sql.fetch(
        KNOWN_AS.format(keys=KEYS.format("$2", "$3", "$4")),
        session.merchant_id, *columns_of([key for _, key in of_ref]),
    )  # fmt: skip
    found: list[set[int]] = [set() for _ in refs]
    for row in rows:
        found[of_ref[row["number"] - 1][0]].add(row["id"])
    return [
        next(iter(pks)) if len(pks) == 1 else _no_one(ref, shops, pks, (*path, str(place)))
        for place, (ref, pks) in enumerate(zip(refs, found, strict=True))
    ]


def _no_one(
    ref: ExternalRefInput, shops: Collection[str], pks: Collection[int], path: tuple[str, ...]
) -> NotFound:
    if platform_of(ref) not in shops:
        return _no_platform(ref, shops, (*path, "platform"))
    if pks:
        return NotFound(f"several customers have this reference: {NARROWER}", path)
    return NotFound("there is no customer with this reference", path)
