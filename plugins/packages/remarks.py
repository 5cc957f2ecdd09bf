"""What a packed parcel has got, written beside its order on the platform, and taken back there."""

from datetime import timedelta

from core.domain.connections.acting import act
from core.sdk import (
    HuikeError,
    Occurrence,
    OutsideError,
    PluginContext,
    RetryLater,
    Subscriber,
    Tick,
    Unknown,
    WriteRemark,
)
from plugins.packages.events import PackagesParcelPacked, PackagesParcelUnpacked
from plugins.packages.packing import parcels_of
from plugins.packages.settings import PackagesSettings

REASON_LIMIT, TEXT_LIMIT = 300, 200
PORTION = 100
TRIED_FOR = timedelta(days=2)
NOT_PACKED = "未打包"


async def write_remark(context: PluginContext, event: Occurrence) -> None:
    """Write it soon after the packing; what is busy is tried again by the clock, since the
    merchant's later events wait for this."""
    if _wanted(context):
        await _write(context, event.payload["parcel_id"])


async def write_missing(context: PluginContext) -> None:
    """Write those that could not be written yet, of parcels packed in the last days."""
    if not _wanted(context):
        return
    async with context.database.read(context.merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT id FROM packages_parcels
               WHERE merchant_id = $1
                 AND (remark IS NULL AND packed_at >= $2 OR remark = 'stale')
               ORDER BY id LIMIT $3""",
            context.merchant_id, session.now - TRIED_FOR, PORTION,
        )  # fmt: skip
    for row in rows:
        await _write(context, row["id"])


def _wanted(context: PluginContext) -> bool:
    settings = context.settings
    assert isinstance(settings, PackagesSettings)
    return settings.remarks


async def _write(context: PluginContext, parcel_id: int) -> None:
    """Once for each packing: a platform's remark overwrites what staff wrote there since.

    What was certainly not done is left open; what may have been done is "unknown" for good. A
    parcel that was unpacked gets a remark that says so, if it has one that says otherwise.
    """
    async with context.database.work(context.merchant_id) as w:
        shop_id = await w.sql.fetchval(
            """UPDATE packages_parcels p SET remark = 'trying' FROM orders o
               WHERE p.merchant_id = $1 AND p.id = $2
                 AND (p.remark IS NULL AND p.packed_at IS NOT NULL OR p.remark = 'stale')
                 AND o.merchant_id = $1 AND o.id = p.order_id RETURNING o.shop_id""",
            w.merchant_id, parcel_id,
        )  # fmt: skip
        parcels = await parcels_of(w, parcel_id=parcel_id)
    if shop_id is None or not parcels:
        return
    (parcel,) = parcels
    packed = parcel.packed_at is not None
    names = "、".join(item.name for item in parcel.items) or "-"
    said = names if packed else NOT_PACKED
    text = f"[{parcel.code} {parcel.number}/{parcel.count}] {said}"[:TEXT_LIMIT]
    try:
        (done,) = await act(
            context.database, context.registry, context.merchant_id, shop_id,
            WriteRemark(parcel.order_number, text),
        )  # fmt: skip
    except RetryLater:
        await _end(context, parcel_id, packed, None, None)
    except Unknown as error:
        await _end(context, parcel_id, packed, "unknown", str(error))
    except (HuikeError, OutsideError) as error:
        await _end(context, parcel_id, packed, "failed", str(error))
    else:
        await _end(context, parcel_id, packed, "done" if done.done else "failed", done.reason)


async def _end(
    context: PluginContext, parcel_id: int, packed: bool, state: str | None, reason: str | None
) -> None:
    """Note what came of a remark that said whether the parcel is packed; that it may be the other
    way round by now, another one says later."""
    if packed:
        other = "'stale'" if state in ("done", "unknown") else "NULL"
        stored = f"CASE WHEN packed_at IS NULL THEN {other} ELSE $3 END"
    else:
        stored = "CASE WHEN packed_at IS NULL AND $3::text IS NULL THEN 'stale' END"
    async with context.database.work(context.merchant_id) as w:
        await w.sql.execute(
            f"""UPDATE packages_parcels SET remark = {stored},
                   remark_reason = CASE WHEN $5 AND packed_at IS NOT NULL THEN $4::text END
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, parcel_id, state, reason and reason[:REASON_LIMIT], packed,
        )  # fmt: skip


EVENTS = frozenset({PackagesParcelPacked.type, PackagesParcelUnpacked.type})
REMARKS = Subscriber("packages.remarks", EVENTS, write_remark)
MISSING = Tick("packages.remarks", timedelta(minutes=5), write_missing)
