"""The plugin's GraphQL fields for the warehouse: waves, their files, and packing."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from core.domain.shops.plugins import plugin_settings
from core.schema.context import Info
from core.schema.downloads import JobFile, kept_file
from core.schema.errors import UserError, user_errors
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import Node, global_id, need_id, sought_id
from core.schema.where import BooleanFilter, DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.sdk import HuikeError, NodeType, SchemaField, Several
from plugins.packages.events import PackagesParcelPacked, PackagesParcelUnpacked, PackagesStockLow
from plugins.packages.packing import (
    LATE,
    PARCELS,
    Parcel,
    confirm_parcel,
    items_by_parcel,
    parcel_of,
    parcels_of,
    read_code,
)
from plugins.packages.settings import PackagesSettings
from plugins.packages.sheets import wave_file
from plugins.packages.unpacking import unpack_parcel
from plugins.packages.waves import Wanted, cancel_wave, create_wave


@strawberry.enum(description="What is printed of a wave.")
class PackagesFileFormat(Enum):
    CSV = strawberry.enum_value("csv", description="A pick list, a row for each insert.")
    PDF = strawberry.enum_value("pdf", description="A card for each parcel, in A6.")


@strawberry.enum(description="What happened to an order after its parcels were decided.")
class PackagesLate(Enum):
    CLOSED = strawberry.enum_value("closed", description="It was closed: do not send the parcel.")
    REFUND = strawberry.enum_value("refund", description="The buyer asked for money back.")


@strawberry.enum(description="How far the remark beside the platform's order is.")
class PackagesRemark(Enum):
    TRYING = strawberry.enum_value("trying", description="It is being written.")
    DONE = strawberry.enum_value("done", description="It stands there.")
    FAILED = strawberry.enum_value("failed", description="The platform refused it.")
    UNKNOWN = strawberry.enum_value("unknown", description="The platform did not say.")
    STALE = strawberry.enum_value(
        "stale", description="It says that the parcel is packed, and is about to be corrected."
    )


@strawberry.type(description="What goes into a parcel beside the goods.")
class PackagesItem:
    name: str = strawberry.field(description="The insert's name.")
    kind: str = strawberry.field(description='Such as "card" or "sample".')
    sku: str | None = strawberry.field(description="What the warehouse picks it by.")
    coupon_code: str | None = strawberry.field(description="The code on it, if it has one.")


async def _items_by_parcel(session: Any, pks: list[int]) -> dict[int, list[PackagesItem]]:
    found = await items_by_parcel(session, pks)
    return {
        pk: [
            PackagesItem(name=one.name, kind=one.kind, sku=one.sku, coupon_code=one.coupon_code)
            for one in items
        ]
        for pk, items in found.items()
    }


def _items(self: Any, info: Info) -> list[PackagesItem]:
    return info.context.children("packages.items", self.pk, _items_by_parcel)


@strawberry.type(description="A parcel of a wave.")
class PackagesParcel:
    pk: strawberry.Private[int]
    code: str = strawberry.field(description="What its barcode says.")
    wave_id: strawberry.ID = strawberry.field(description="The wave that it is packed in.")
    order_id: strawberry.ID = strawberry.field(description="The order that it is of.")
    order_number: str = strawberry.field(description="The order's number on its platform.")
    shop: str = strawberry.field(description="The shop's name.")
    number: int = strawberry.field(description="Which of the order's parcels, from 1.")
    count: int = strawberry.field(description="How many parcels the order has.")
    packed_at: datetime | None = strawberry.field(description="Null: it is not packed.")
    late: PackagesLate | None = strawberry.field(
        description="What happened to its order since it was decided."
    )
    remark: PackagesRemark | None = strawberry.field(
        description="How far the remark on the platform is; null: none was tried."
    )
    remark_reason: str | None = strawberry.field(description="Why there is no remark.")
    items: list[PackagesItem] = strawberry.field(resolver=_items, description="What goes in.")


@strawberry.type(description="Parcels that a warehouse packs together.")
class PackagesWave(Node):
    pk: strawberry.Private[int]
    warehouse: str = strawberry.field(description="Whose stock was taken.")
    created_at: datetime
    parcels: int = strawberry.field(description="How many it has.")
    packed: int = strawberry.field(description="How many of them are packed.")
    late: int = strawberry.field(description="Those whose order changed, and are not packed.")


@strawberry.input(description="An order, and in how many parcels it travels.")
class PackagesWaveOrderInput:
    order_id: strawberry.ID = strawberry.field(description="An order that is to be shipped.")
    parcels: int = strawberry.field(default=1, description="1 to 100.")


@strawberry.input(description="Which orders a warehouse packs together.")
class PackagesWaveCreateInput:
    warehouse: str = strawberry.field(description="Whose stock is taken.")
    orders: list[PackagesWaveOrderInput] | None = strawberry.field(
        default=None, description="Null: all that wait to be shipped and are in no wave."
    )
    shop_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only orders of these shops wait."
    )
    limit: int = strawberry.field(default=500, description="So many of those that wait at most.")


@strawberry.input(description="What to print of a wave.")
class PackagesWaveFileCreateInput:
    wave_id: strawberry.ID = strawberry.field(description="Of which wave.")
    format: PackagesFileFormat = strawberry.field(description="A list or cards.")


@strawberry.input(description="A parcel that is packed.")
class PackagesParcelConfirmInput:
    code: str = strawberry.field(description="What was scanned.")


@strawberry.type
class PackagesWaveCreatePayload:
    wave: PackagesWave | None = strawberry.field(
        default=None, description="Null if no parcel is left that a wave has not got."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesWaveCancelPayload:
    cancelled: int | None = strawberry.field(
        default=None, description="How many parcels are in no wave any more."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesWaveFileCreatePayload:
    file: JobFile | None = strawberry.field(
        default=None, description="The file, to be fetched by its link; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesParcelConfirmPayload:
    parcel: PackagesParcel | None = strawberry.field(
        default=None, description="As it is now; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input(description="A parcel that was scanned by mistake.")
class PackagesParcelUnpackInput:
    code: str = strawberry.field(description="What its barcode says.")


@strawberry.type
class PackagesParcelUnpackPayload:
    parcel: PackagesParcel | None = strawberry.field(
        default=None, description="As it is now; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


def _parcel(one: Parcel) -> PackagesParcel:
    return PackagesParcel(
        pk=one.id, code=one.code, wave_id=global_id("PackagesWave", one.wave_id),
        order_id=global_id("Order", one.order_id), order_number=one.order_number,
        shop=one.shop, number=one.number, count=one.count, packed_at=one.packed_at,
        late=None if one.late is None else PackagesLate(one.late),
        remark=None if one.remark is None else PackagesRemark(one.remark),
        remark_reason=one.remark_reason,
    )  # fmt: skip


@strawberry.input
class PackagesParcelWhere:
    order: strawberry.Maybe[IdFilter]
    packed: strawberry.Maybe[BooleanFilter] = strawberry.field(
        default=None, description="Whether it is packed."
    )
    late: strawberry.Maybe[BooleanFilter] = strawberry.field(
        default=None, description="Whether its order changed since, and it is not packed."
    )
    and_: strawberry.Maybe[list["PackagesParcelWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["PackagesParcelWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["PackagesParcelWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum(description="What parcels are sorted by.")
class PackagesParcelSortField(Enum):
    PLACE = strawberry.enum_value("place", description="Their place in the wave.")


@strawberry.input
class PackagesParcelSort:
    field: PackagesParcelSortField
    direction: SortDirection = SortDirection.ASC


@strawberry.input
class PackagesWaveWhere:
    warehouse: strawberry.Maybe[StringFilter] = strawberry.field(
        default=None, description="Whose stock was taken."
    )
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["PackagesWaveWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["PackagesWaveWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["PackagesWaveWhere"] = strawberry.field(name="not", default=None)


def _wave(row: Any) -> PackagesWave:
    return PackagesWave(
        pk=row["id"], id=global_id("PackagesWave", row["id"]), warehouse=row["warehouse"],
        created_at=row["created_at"], parcels=row["parcels"], packed=row["packed"],
        late=row["late"],
    )  # fmt: skip


WAVES = f"""(SELECT w.*, n.* FROM packages_waves w CROSS JOIN LATERAL (
   SELECT count(*) AS parcels, count(p.packed_at) AS packed, count(*) FILTER (WHERE {LATE}) AS late
   FROM packages_parcels p WHERE p.merchant_id = w.merchant_id AND p.wave_id = w.id) n) v"""

WAVE_LIST = Listing(
    "packagesWaves", WAVES, "v", {"warehouse": "v.warehouse", "created_at": "v.created_at"}, {},
    _wave,
)  # fmt: skip
PARCEL_LIST = Listing(
    "packagesParcels", PARCELS, "p",
    {"order": IdColumn("Order", "p.order_id"), "packed": "(p.packed_at IS NOT NULL)",
     "late": f"({LATE})"},
    {"place": "p.id"}, lambda row: _parcel(parcel_of(row)),
)  # fmt: skip
AS_PACKED = [PackagesParcelSort(field=PackagesParcelSortField.PLACE)]


async def waves_by_id(info: Info, session: Any, pks: list[int]) -> dict[int, PackagesWave]:
    rows = await session.sql.fetch(
        f"SELECT * FROM {WAVES} WHERE v.merchant_id = $1 AND v.id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: _wave(row) for row in rows}


WAVE_NODE = NodeType("PackagesWave", PackagesWave, "PACKAGES_READ", waves_by_id)


async def packages_waves(
    info: Info, first: First = 20, after: After = None, where: PackagesWaveWhere | None = None
) -> Connection[PackagesWave] | None:
    return await page(info, WAVE_LIST, where, None, first, after)


async def packages_parcels(
    info: Info,
    wave_id: Annotated[strawberry.ID, strawberry.argument(description="Of which wave.")],
    first: First = 20,
    after: After = None,
    where: PackagesParcelWhere | None = None,
    sort: list[PackagesParcelSort] | None = None,
) -> Connection[PackagesParcel] | None:
    number = need_id("PackagesWave", wave_id, ("waveId",))
    scope = ("p.wave_id", number)
    return await page(info, PARCEL_LIST, where, sort or AS_PACKED, first, after, scope)


async def packages_parcel(
    info: Info, code: Annotated[str, strawberry.argument(description="What its barcode says.")]
) -> PackagesParcel | None:
    number = read_code(code, ("code",))
    async with info.context.read() as session:
        found = await parcels_of(session, parcel_id=number)
    return _parcel(found[0]) if found else None


async def packages_wave_create(
    info: Info, input: PackagesWaveCreateInput
) -> PackagesWaveCreatePayload | None:
    context = info.context
    registry = context.installation.registry
    try:
        orders = None if input.orders is None else {
            sought_id("Order", one.order_id): one.parcels for one in input.orders
        }  # fmt: skip
        shops = None if input.shop_ids is None else [
            sought_id("Shop", one) for one in input.shop_ids
        ]  # fmt: skip
        async with context.work() as w:
            settings = await plugin_settings(w, registry, "packages")
            assert isinstance(settings, PackagesSettings)
            made = await create_wave(
                w, registry, settings, input.warehouse, Wanted(orders, shops, input.limit)
            )
            wave = None if made is None else (await waves_by_id(info, w, [made]))[made]
    except (HuikeError, Several) as error:
        return PackagesWaveCreatePayload(errors=user_errors(error))
    return PackagesWaveCreatePayload(wave=wave)


async def packages_wave_cancel(info: Info, id: strawberry.ID) -> PackagesWaveCancelPayload | None:
    try:
        number = need_id("PackagesWave", id)
        async with info.context.work() as w:
            cancelled = await cancel_wave(w, info.context.installation.registry, number)
    except (HuikeError, Several) as error:
        return PackagesWaveCancelPayload(errors=user_errors(error))
    return PackagesWaveCancelPayload(cancelled=cancelled)


async def packages_wave_file_create(
    info: Info, input: PackagesWaveFileCreateInput
) -> PackagesWaveFileCreatePayload | None:
    try:
        number = sought_id("PackagesWave", input.wave_id)
        async with info.context.work() as w:
            file = await kept_file(info, w, await wave_file(w, number, str(input.format.value)))
    except (HuikeError, Several) as error:
        return PackagesWaveFileCreatePayload(errors=user_errors(error))
    return PackagesWaveFileCreatePayload(file=file)


async def packages_parcel_confirm(
    info: Info, input: PackagesParcelConfirmInput
) -> PackagesParcelConfirmPayload | None:
    try:
        async with info.context.work() as w:
            parcel = await confirm_parcel(w, info.context.installation.registry, input.code)
    except (HuikeError, Several) as error:
        return PackagesParcelConfirmPayload(errors=user_errors(error))
    return PackagesParcelConfirmPayload(parcel=_parcel(parcel))


async def packages_parcel_unpack(
    info: Info, input: PackagesParcelUnpackInput
) -> PackagesParcelUnpackPayload | None:
    try:
        async with info.context.work() as w:
            parcel = await unpack_parcel(w, info.context.installation.registry, input.code)
    except (HuikeError, Several) as error:
        return PackagesParcelUnpackPayload(errors=user_errors(error))
    return PackagesParcelUnpackPayload(parcel=_parcel(parcel))


WAVE_FIELDS = [
    SchemaField("Query", "packagesWaves", strawberry.field(
        resolver=packages_waves, description="The waves, the newest first.",
    ), "PACKAGES_READ", "0.1", cost=1),
    SchemaField("Query", "packagesParcels", strawberry.field(
        resolver=packages_parcels, description="The parcels of a wave, as they are packed.",
    ), "PACKAGES_READ", "0.1", cost=1),
    SchemaField("Mutation", "packagesWaveCreate", strawberry.field(
        resolver=packages_wave_create,
        description="Gather parcels that no wave has yet, and decide what goes in.",
    ), "PACKAGES_PACK", "0.1", emits=(PackagesStockLow,)),
    SchemaField("Query", "packagesParcel", strawberry.field(
        resolver=packages_parcel,
        description="The parcel of a barcode, and what goes in; null: there is none.",
    ), "PACKAGES_READ", "0.1"),
    SchemaField("Mutation", "packagesWaveCancel", strawberry.field(
        resolver=packages_wave_cancel,
        description="Take a wave back: its parcels that are not packed wait for another one, and "
        "what was set aside for them is free again.",
    ), "PACKAGES_PACK", "0.1"),
    SchemaField("Mutation", "packagesWaveFileCreate", strawberry.field(
        resolver=packages_wave_file_create,
        description="Print a wave: its pick list, or a card for each parcel.",
    ), "PACKAGES_PACK", "0.1"),
    SchemaField("Mutation", "packagesParcelConfirm", strawberry.field(
        resolver=packages_parcel_confirm,
        description="A parcel is packed; its barcode was scanned. Again, nothing happens.",
    ), "PACKAGES_PACK", "0.1", emits=(PackagesParcelPacked,)),
    SchemaField("Mutation", "packagesParcelUnpack", strawberry.field(
        resolver=packages_parcel_unpack,
        description="A parcel was scanned by mistake: it is not packed. Stock, unused coupons and "
        "the platform's remark go back. Again, nothing happens.",
    ), "PACKAGES_PACK", "0.1", emits=(PackagesParcelUnpacked,)),
]  # fmt: skip
