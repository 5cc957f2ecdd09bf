"""The plugin's GraphQL fields for the warehouse: waves, their files, and packing."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.shops.plugins import plugin_settings
from core.schema.context import Info
from core.schema.downloads import JobFile, kept_file
from core.schema.errors import UserError, user_errors
from core.schema.scalars import global_id, need_id
from core.sdk import HuikeError, InvalidInput, SchemaField, Several
from plugins.packages.packing import Parcel, confirm_parcel, parcels_of
from plugins.packages.settings import PackagesSettings
from plugins.packages.sheets import wave_file
from plugins.packages.waves import Wanted, create_wave

MOST_WAVES, MOST_SHOWN = 100, 500


@strawberry.enum(description="CSV is a pick list, PDF has a card for each parcel.")
class PackagesFileFormat(Enum):
    CSV = "csv"
    PDF = "pdf"


@strawberry.enum(description="What happened to an order after its parcels were decided.")
class PackagesLate(Enum):
    CLOSED = "closed"
    REFUND = "refund"


@strawberry.enum(description="How far the remark beside the platform's order is.")
class PackagesRemark(Enum):
    TRYING = "trying"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@strawberry.type(description="What goes into a parcel beside the goods.")
class PackagesItem:
    name: str
    kind: str
    sku: str | None
    coupon_code: str | None


@strawberry.type(description="A parcel of a wave.")
class PackagesParcel:
    code: str = strawberry.field(description="What its barcode says.")
    order_id: strawberry.ID
    order_number: str
    shop: str
    number: int = strawberry.field(description="Which of the order's parcels.")
    count: int
    packed_at: datetime | None
    late: PackagesLate | None
    remark: PackagesRemark | None
    remark_reason: str | None = strawberry.field(description="Why there is no remark.")
    items: list[PackagesItem]


@strawberry.type(description="Parcels that a warehouse packs together.")
class PackagesWave:
    pk: strawberry.Private[int]
    id: strawberry.ID
    warehouse: str
    created_at: datetime
    parcels: int
    packed: int
    late: int = strawberry.field(description="Those whose order changed, and are not packed.")


@strawberry.input(description="An order, and in how many parcels it travels.")
class PackagesWaveOrderInput:
    order_id: strawberry.ID
    parcels: int = 1


@strawberry.input
class PackagesWaveCreateInput:
    warehouse: str
    orders: list[PackagesWaveOrderInput] | None = strawberry.field(
        default=None, description="Null: all that wait to be shipped and are in no wave."
    )
    shop_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only orders of these shops wait."
    )
    limit: int = strawberry.field(default=500, description="So many of those that wait at most.")


@strawberry.input
class PackagesWaveFileCreateInput:
    wave_id: strawberry.ID
    format: PackagesFileFormat


@strawberry.input
class PackagesParcelConfirmInput:
    code: str


@strawberry.type
class PackagesWaveCreatePayload:
    wave: PackagesWave | None = strawberry.field(
        default=None, description="Null if no parcel is left that a wave has not got."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesWaveFileCreatePayload:
    file: JobFile | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesParcelConfirmPayload:
    parcel: PackagesParcel | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def _parcel(one: Parcel) -> PackagesParcel:
    return PackagesParcel(
        code=one.code, order_id=global_id("Order", one.order_id), order_number=one.order_number,
        shop=one.shop, number=one.number, count=one.count, packed_at=one.packed_at,
        late=None if one.late is None else PackagesLate(one.late),
        remark=None if one.remark is None else PackagesRemark(one.remark),
        remark_reason=one.remark_reason,
        items=[
            PackagesItem(name=item.name, kind=item.kind, sku=item.sku, coupon_code=item.coupon_code)
            for item in one.items
        ],
    )  # fmt: skip


async def _waves(session: Any, wave_id: int | None = None) -> list[PackagesWave]:
    rows = await session.sql.fetch(
        """SELECT v.id, v.warehouse, v.created_at,
                  count(*) AS parcels, count(p.packed_at) AS packed,
                  count(*) FILTER (WHERE p.late IS NOT NULL AND p.packed_at IS NULL) AS late
           FROM (SELECT * FROM packages_waves
                 WHERE merchant_id = $1 AND ($2::bigint IS NULL OR id = $2)
                 ORDER BY id DESC LIMIT $3) v
           JOIN packages_parcels p ON p.merchant_id = $1 AND p.wave_id = v.id
           GROUP BY v.id, v.warehouse, v.created_at ORDER BY v.id DESC""",
        session.merchant_id, wave_id, MOST_WAVES,
    )  # fmt: skip
    return [
        PackagesWave(
            pk=row["id"], id=global_id("PackagesWave", row["id"]), warehouse=row["warehouse"],
            created_at=row["created_at"], parcels=row["parcels"], packed=row["packed"],
            late=row["late"],
        )
        for row in rows
    ]  # fmt: skip


async def packages_waves(info: Info) -> list[PackagesWave] | None:
    async with info.context.read() as session:
        return await _waves(session)


async def packages_parcels(
    info: Info, wave_id: strawberry.ID, first: int = 100, skip: int = 0
) -> list[PackagesParcel] | None:
    number = need_id("PackagesWave", wave_id, ("waveId",))
    if not skip >= 0 or not 1 <= first <= MOST_SHOWN:
        raise InvalidInput(f"first is from 1 to {MOST_SHOWN}, skip at least 0", ("first",))
    async with info.context.read() as session:
        if not await _waves(session, number):
            return None
        found = await parcels_of(session, wave_id=number, first=first, skip=skip)
    return [_parcel(one) for one in found]


async def packages_wave_create(
    info: Info, input: PackagesWaveCreateInput
) -> PackagesWaveCreatePayload | None:
    context = info.context
    registry = context.installation.registry
    try:
        orders = None if input.orders is None else {
            need_id("Order", one.order_id, ("input", "orders", str(place))): one.parcels
            for place, one in enumerate(input.orders)
        }  # fmt: skip
        shops = None if input.shop_ids is None else [
            need_id("Shop", one, ("input", "shopIds")) for one in input.shop_ids
        ]  # fmt: skip
        async with context.work() as w:
            settings = await plugin_settings(w, registry, "packages")
            assert isinstance(settings, PackagesSettings)
            made = await create_wave(
                w, registry, settings, input.warehouse, Wanted(orders, shops, input.limit)
            )
            found = [] if made is None else await _waves(w, made)
    except (HuikeError, Several) as error:
        return PackagesWaveCreatePayload(errors=user_errors(error))
    return PackagesWaveCreatePayload(wave=found[0] if found else None)


async def packages_wave_file_create(
    info: Info, input: PackagesWaveFileCreateInput
) -> PackagesWaveFileCreatePayload | None:
    try:
        number = need_id("PackagesWave", input.wave_id, ("input", "waveId"))
        async with info.context.work() as w:
            file = await kept_file(info, w, await wave_file(w, number, input.format.value))
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


WAVE_FIELDS = [
    SchemaField("Query", "packagesWaves", strawberry.field(
        resolver=packages_waves, description="The newest waves.",
    ), "PACKAGES_READ"),
    SchemaField("Query", "packagesParcels", strawberry.field(
        resolver=packages_parcels, description="The parcels of a wave, as they are packed.",
    ), "PACKAGES_READ"),
    SchemaField("Mutation", "packagesWaveCreate", strawberry.field(
        resolver=packages_wave_create,
        description="Gather parcels that no wave has yet, and decide what goes in.",
    ), "PACKAGES_PACK"),
    SchemaField("Mutation", "packagesWaveFileCreate", strawberry.field(
        resolver=packages_wave_file_create,
        description="Print a wave: its pick list, or a card for each parcel.",
    ), "PACKAGES_PACK"),
    SchemaField("Mutation", "packagesParcelConfirm", strawberry.field(
        resolver=packages_parcel_confirm,
        description="A parcel is packed; its barcode was scanned. Again, nothing happens.",
    ), "PACKAGES_PACK"),
]  # fmt: skip
