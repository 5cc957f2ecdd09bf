"""Traces of parcels: scans by the carriers."""

from collections.abc import Sequence

from core.sdk import ParcelRecord, ParcelState, ParcelTrace, TraceEvent
from core.sdk.answers import Row, rows, text
from plugins.taobao.client import Client
from plugins.taobao.faults import NotThere
from plugins.taobao.values import moment

SCANS = {
    "CONSIGN": ParcelState.SHIPPED,
    "GOT": ParcelState.IN_TRANSIT,
    "ARRIVAL": ParcelState.IN_TRANSIT,
    "DEPARTURE": ParcelState.IN_TRANSIT,
    "TO_EMS": ParcelState.IN_TRANSIT,
    "SENT_CITY": ParcelState.ARRIVED_CITY,
    "SENT_SCAN": ParcelState.OUT_FOR_DELIVERY,
    "SIGNED": ParcelState.SIGNED,
    "FAILED": ParcelState.FAILED,
    "LOST": ParcelState.FAILED,
}
"""Other words (CREATE, OTHER) say nothing of where the parcel is."""


async def fetch(client: Client, tid: str) -> Sequence[ParcelTrace]:
    """The scans of an order's parcel."""
    try:
        answer = await client.read("taobao.logistics.trace.search", tid=tid)
    except NotThere:
        return []
    parcel = text(answer.get("out_sid"))
    if parcel is None:
        return []
    events = [scan for row in rows(answer, "trace_list") if (scan := _scan(row)) is not None]
    return [ParcelTrace(tid, ParcelRecord(parcel, text(answer.get("company_name")), events))]


def _scan(row: Row) -> TraceEvent | None:
    kind = SCANS.get(text(row.get("action")) or "")
    at = moment(row.get("status_time"))
    if kind is None or at is None:
        return None
    return TraceEvent(kind, at, text=text(row.get("status_desc")))
