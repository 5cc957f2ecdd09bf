"""Exports of lists as files: the same `where` and `sort` as the list, and a job that writes it."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any

import orjson
import strawberry
from graphql import GraphQLError
from graphql.utilities import coerce_input_value, validate_input_value
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.types.arguments import convert_argument

from core.domain.campaigns import exporting as of_campaigns
from core.domain.customers import exporting as of_customers
from core.domain.customers.masking import RIGHTS
from core.domain.orders import exporting as of_orders
from core.domain.segments.choosing import choose_customers
from core.domain.segments.rules import Asked, stored_rule
from core.schema.campaigns import DELIVERIES, DeliverySort, DeliveryWhere
from core.schema.context import Info, mutation
from core.schema.customers import CUSTOMERS, CustomerSort, CustomerWhere
from core.schema.errors import UserError
from core.schema.external_refs import refs_in, shops_named
from core.schema.idempotency import once
from core.schema.jobs import Job, jobs_by_id
from core.schema.orders import (
    ORDERS,
    REFUNDS,
    OrderSort,
    OrderWhere,
    RefundSort,
    RefundWhere,
)
from core.schema.pages import Listing, ids_statement
from core.schema.scalars import SegmentRule, sought
from core.sdk.errors import Faults, InvalidInput
from core.storage.database import Work
from core.storage.keyring import Keyring
from core.tabular.exporting import ExportTable, start_export

LISTS: dict[str, tuple[ExportTable, Listing[Any], type]] = {
    "customers": (of_customers.CUSTOMERS, CUSTOMERS, CustomerWhere),
    "orders": (of_orders.ORDERS, ORDERS, OrderWhere),
    "refunds": (of_orders.REFUNDS, REFUNDS, RefundWhere),
    "deliveries": (of_campaigns.DELIVERIES, DELIVERIES, DeliveryWhere),
}
"""What can be exported, and the list whose filter it takes."""


@strawberry.enum(
    description="CSV and XLSX are for spreadsheets: what could be a formula gets an apostrophe. "
    "JSONL has one object a line, as it is."
)
class ExportFormat(Enum):
    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


COLUMNS = "Names of columns, in the file's order; all of them if absent."


@strawberry.input
class CustomerExportStartInput:
    idempotency_key: str
    where: CustomerWhere | None = None
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only who is in this segment; needs SEGMENTS_READ."
    )
    on_day: date | None = strawberry.field(
        default=None, description="Who was in the segment when this day ended."
    )
    rule: SegmentRule | None = strawberry.field(
        default=None, description="Only whom this rule matches; needs SEGMENTS_READ."
    )
    sort: list[CustomerSort] | None = None
    format: ExportFormat = ExportFormat.CSV
    columns: list[str] | None = strawberry.field(default=None, description=COLUMNS)


@strawberry.input
class OrderExportStartInput:
    idempotency_key: str
    where: OrderWhere | None = None
    sort: list[OrderSort] | None = None
    format: ExportFormat = ExportFormat.CSV
    columns: list[str] | None = strawberry.field(default=None, description=COLUMNS)


@strawberry.input
class RefundsExportStartInput:
    idempotency_key: str
    where: RefundWhere | None = None
    sort: list[RefundSort] | None = None
    format: ExportFormat = ExportFormat.CSV
    columns: list[str] | None = strawberry.field(default=None, description=COLUMNS)


@strawberry.input
class CampaignDeliveryExportStartInput:
    idempotency_key: str
    where: DeliveryWhere | None = None
    sort: list[DeliverySort] | None = None
    format: ExportFormat = ExportFormat.CSV
    columns: list[str] | None = strawberry.field(default=None, description=COLUMNS)


@strawberry.type
class CustomerExportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class OrderExportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RefundsExportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignDeliveryExportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


Among = Callable[[Work], Awaitable[Asked | None]]
"""Says among which customers, in the transaction of the export."""


async def start(info: Info, name: str, given: Any, among: Among | None = None) -> Job:
    """Start an export, once for each idempotency key."""
    context = info.context
    async with context.work() as w:

        async def call() -> int:
            faults, asked = Faults(), None
            if among is not None:
                with faults:
                    asked = await among(w)
            with faults:
                made = await record_export(
                    w, name, given.where, given.sort, given.format.value, given.columns,
                    clear=[right for right in RIGHTS if context.may(right)], need=context.need,
                    among=asked,
                )  # fmt: skip
            faults.tell()
            return made

        request = request_of(w.keyring, [name, plain(given)])
        job_id: int = await once(w, f"{name}.export", given.idempotency_key, request, call)
        return (await jobs_by_id(w, [job_id]))[job_id]


async def record_export(
    w: Work,
    name: str,
    where: Any,
    sort: Sequence[Any] | None,
    format: str,
    columns: Sequence[str] | None,
    *,
    clear: Collection[str],
    need: Callable[[str], None],
    among: Asked | None = None,
    request: str = "",
    queued: bool = True,
) -> int:
    """Settle which rows are exported and record the job; see `start_export`."""
    table, listing, _ = LISTS[name]
    shops = await shops_named(w, refs_in(where), ("input", "where"))
    statement, args = ids_statement(listing, w.merchant_id, where, sort, need, among, shops)
    return await start_export(
        w, table, statement, args, format=format, columns=columns, clear=clear,
        request=request, queued=queued,
    )  # fmt: skip


def among_of(info: Info, input: CustomerExportStartInput) -> Among:
    """The customers of the segment or rule that the input names. Raises RequestError, NotFound."""
    segment_id = sought("Segment", input.segment_id)
    if input.segment_id is not None or input.rule is not None:
        info.context.need("SEGMENTS_READ")
    registry = info.context.installation.registry

    async def choose(w: Work) -> Asked | None:
        stored = None if input.rule is None else await stored_rule(w, registry, input.rule)
        return await choose_customers(
            w, registry, segment_id=segment_id, on_day=input.on_day, stored=stored
        )

    return choose


def request_of(keyring: Keyring, given: Any) -> str:
    """Tells two requests apart without saying what is in them: a filter may be contact data."""
    return keyring.sign("export", orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode())


def plain(value: Any) -> Any:
    """An input as JSON."""
    if isinstance(value, strawberry.Some):
        return plain(value.value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [plain(one) for one in value]
    if hasattr(value, "__strawberry_definition__"):
        return {name: plain(one) for name, one in vars(value).items() if one is not None}
    return value


def where_of_json(schema: Any, name: str, given: Any) -> Any:
    """The `where` of a list from JSON, checked as a request is. Raises InvalidInput."""
    if given is None:
        return None
    input_type = LISTS[name][2]

    graphql_type = schema._schema.type_map[input_type.__name__]

    def refuse(error: GraphQLError, path: list[str | int]) -> None:
        raise InvalidInput(error.message, ("where", *path))

    validate_input_value(given, graphql_type, refuse)
    coerced = coerce_input_value(given, graphql_type)
    try:
        return convert_argument(
            coerced, input_type, schema.schema_converter.scalar_registry, schema.config
        )
    except StrawberryInputCoercionError as error:
        raise InvalidInput(str(error), ("where",)) from None


@strawberry.type
class ExportMutations:
    @mutation(
        "CUSTOMERS_READ",
        CustomerExportStartPayload,
        description="Write the customers of a filter into a file, `Job.file` when it is done; "
        "names, phones and emails are masked without PII_NAME, PII_PHONE, PII_EMAIL.",
    )
    async def customer_export_start(
        self, info: Info, input: CustomerExportStartInput
    ) -> CustomerExportStartPayload | None:
        return CustomerExportStartPayload(
            job=await start(info, "customers", input, among_of(info, input))
        )

    @mutation(
        "ORDERS_READ",
        OrderExportStartPayload,
        description="Write the orders of a filter into a file, `Job.file` when it is done; "
        "receivers are masked without PII_NAME, PII_PHONE, PII_ADDRESS.",
    )
    async def order_export_start(
        self, info: Info, input: OrderExportStartInput
    ) -> OrderExportStartPayload | None:
        return OrderExportStartPayload(job=await start(info, "orders", input))

    @mutation(
        "ORDERS_READ",
        RefundsExportStartPayload,
        description="Write the refunds of a filter into a file, `Job.file` when it is done.",
    )
    async def refunds_export_start(
        self, info: Info, input: RefundsExportStartInput
    ) -> RefundsExportStartPayload | None:
        return RefundsExportStartPayload(job=await start(info, "refunds", input))

    @mutation(
        "CAMPAIGNS_READ",
        CampaignDeliveryExportStartPayload,
        description="Write the deliveries of a filter into a file, `Job.file` when it is done.",
    )
    async def campaign_delivery_export_start(
        self, info: Info, input: CampaignDeliveryExportStartInput
    ) -> CampaignDeliveryExportStartPayload | None:
        return CampaignDeliveryExportStartPayload(job=await start(info, "deliveries", input))
