"""What a packed parcel has got, written beside its order on the platform."""

from core.domain.connections.acting import act
from core.sdk import (
    HuikeError,
    Occurrence,
    OutsideError,
    PluginContext,
    RetryLater,
    Subscriber,
    Unknown,
    WriteRemark,
)
from plugins.packages.events import PackagesParcelPacked
from plugins.packages.packing import parcels_of
from plugins.packages.settings import PackagesSettings

REASON_LIMIT, TEXT_LIMIT = 300, 200


async def write_remark(context: PluginContext, event: Occurrence) -> None:
    """Once for each parcel: a platform's remark overwrites what staff wrote there since.

    Raises RetryLater when it was certainly not done; what may have been done stays "unknown".
    """
    settings = context.settings
    assert isinstance(settings, PackagesSettings)
    if not settings.remarks:
        return
    parcel_id = event.payload["parcel_id"]
    async with context.database.work(context.merchant_id) as w:
        shop_id = await w.sql.fetchval(
            """UPDATE packages_parcels p SET remark = 'trying' FROM orders o
               WHERE p.merchant_id = $1 AND p.id = $2 AND p.remark IS NULL
                 AND o.merchant_id = $1 AND o.id = p.order_id RETURNING o.shop_id""",
            w.merchant_id, parcel_id,
        )  # fmt: skip
        parcels = await parcels_of(w, parcel_id=parcel_id)
    if shop_id is None or not parcels:
        return
    (parcel,) = parcels
    names = "、".join(item.name for item in parcel.items) or "-"
    text = f"[{parcel.code} {parcel.number}/{parcel.count}] {names}"[:TEXT_LIMIT]
    try:
        (done,) = await act(
            context.database, context.registry, context.merchant_id, shop_id,
            WriteRemark(parcel.order_number, text),
        )  # fmt: skip
    except RetryLater:
        await _end(context, parcel_id, None, None)
        raise
    except Unknown as error:
        await _end(context, parcel_id, "unknown", str(error))
    except (HuikeError, OutsideError) as error:
        await _end(context, parcel_id, "failed", str(error))
    else:
        await _end(context, parcel_id, "done" if done.done else "failed", done.reason)


async def _end(
    context: PluginContext, parcel_id: int, state: str | None, reason: str | None
) -> None:
    async with context.database.work(context.merchant_id) as w:
        await w.sql.execute(
            """UPDATE packages_parcels SET remark = $3, remark_reason = $4
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, parcel_id, state, reason and reason[:REASON_LIMIT],
        )  # fmt: skip


REMARKS = Subscriber("packages.remarks", frozenset({PackagesParcelPacked.type}), write_remark)
