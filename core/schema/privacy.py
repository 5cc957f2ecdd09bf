"""A customer's data as a whole: exported, erased; and for how long rows are kept."""

from enum import Enum

import strawberry

from core.domain.privacy import erasure, retention
from core.domain.privacy.export import start_data_export
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.errors import UserError
from core.schema.idempotency import once
from core.schema.jobs import Job, jobs_by_id
from core.schema.scalars import need_id, read_id, version_seen
from core.schema.setting_versions import IN_WORDS, version_of
from core.sdk.errors import NotFound
from core.storage.database import Session


@strawberry.enum(description="Why a customer is erased.")
class ErasureReason(Enum):
    ON_REQUEST = "on_request"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    PURPOSE_ENDED = "purpose_ended"
    UNLAWFUL = "unlawful"
    LEGAL_DUTY = "legal_duty"


@strawberry.enum(description="What an erasure does to the rows of a table.")
class ErasureAction(Enum):
    DELETE = "delete"
    BLANK = "blank"
    KEEP = "keep"


@strawberry.type(description="What is stored about the customer in one table.")
class ErasureTable:
    name: str
    title: str
    rows: int
    action: ErasureAction = strawberry.field(
        description="BLANK leaves figures without the person, KEEP what says nothing about them."
    )


@strawberry.type(description="What an erasure would do now.")
class ErasurePreview:
    customers: int = strawberry.field(description="This one and those merged into it.")
    addresses: int = strawberry.field(
        description="Phone numbers and email addresses of which the hash is kept, suppressed."
    )
    open_messages: int = strawberry.field(description="Messages that will not be sent.")
    tables: list[ErasureTable]


@strawberry.input
class CustomerDataExportInput:
    idempotency_key: str


@strawberry.input
class CustomerEraseInput:
    reason: ErasureReason
    idempotency_key: str


@strawberry.type
class CustomerDataExportPayload:
    job: Job | None = strawberry.field(default=None, description="Its file is a JSON document.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerErasePayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type(description="For how long the rows of a table are kept.")
class RetentionRule:
    name: str = strawberry.field(description="The table.")
    title: str
    why: str
    days: int | None = strawberry.field(description="Null: for ever.")
    default_days: int | None
    least_days: int
    chosen: bool = strawberry.field(description="Whether the merchant chose, or it is the default.")

    @field("RETENTION_WRITE", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, retention.RETENTION, self.name)


@strawberry.input
class RetentionRuleSetInput:
    days: int
    if_version: int | None = version_seen()


@strawberry.type
class RetentionRuleSetPayload:
    rule: RetentionRule | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RetentionRuleRemovePayload:
    rule: RetentionRule | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def rule_of(rule: retention.Rule) -> RetentionRule:
    return RetentionRule(
        name=rule.keeping.table,
        title=rule.keeping.title,
        why=rule.keeping.why,
        days=rule.days,
        default_days=rule.keeping.days,
        least_days=rule.keeping.least,
        chosen=rule.chosen,
    )


async def one_rule(session: Session, name: str) -> RetentionRule:
    found = await retention.rules(session)
    return next(rule_of(rule) for rule in found if rule.keeping.table == name)


@strawberry.type
class PrivacyQueries:
    @field("CUSTOMERS_ERASE", description="What `customerErase` would find, and what stays.")
    async def customer_erase_preview(self, info: Info, id: strawberry.ID) -> ErasurePreview | None:
        pk = read_id("Customer", id)
        if pk is None:
            return None
        async with info.context.read() as session:
            try:
                found = await erasure.preview_erasure(
                    session, info.context.installation.registry, pk
                )
            except NotFound:
                return None
        return ErasurePreview(
            customers=found.customers,
            addresses=found.addresses,
            open_messages=found.open_messages,
            tables=[
                ErasureTable(
                    name=one.name, title=one.title, rows=one.rows, action=ErasureAction(one.action)
                )
                for one in found.tables
            ],
        )

    @field("RETENTION_WRITE", description="All tables whose old rows may go.")
    async def retention_rules(self, info: Info) -> list[RetentionRule]:
        async with info.context.read() as session:
            return [rule_of(rule) for rule in await retention.rules(session)]

    @costs(50)
    @field("RETENTION_WRITE", description="How many rows a rule would delete now.")
    async def retention_preview(self, info: Info, name: str, days: int) -> int:
        async with info.context.read() as session:
            return await retention.count_old(session, name, days)


@strawberry.type
class PrivacyMutations:
    @mutation(
        "CUSTOMERS_DATA_EXPORT",
        CustomerDataExportPayload,
        description="Write all that is stored about the customer into a job's file.",
    )
    async def customer_data_export(
        self, info: Info, id: strawberry.ID, input: CustomerDataExportInput
    ) -> CustomerDataExportPayload | None:
        pk = need_id("Customer", id)
        async with info.context.work() as w:

            async def start() -> int:
                return await start_data_export(w, pk)

            job_id = await once(w, "customerDataExport", input.idempotency_key, pk, start)
            return CustomerDataExportPayload(job=(await jobs_by_id(w, [job_id]))[job_id])

    @mutation(
        "CUSTOMERS_ERASE",
        CustomerErasePayload,
        description="Erase the customer; only suppressed addresses' hashes and the audit log stay.",
    )
    async def customer_erase(
        self, info: Info, id: strawberry.ID, input: CustomerEraseInput
    ) -> CustomerErasePayload | None:
        pk, reason = need_id("Customer", id), input.reason.value
        async with info.context.work() as w:

            async def start() -> int:
                return await erasure.start_erasure(w, pk, reason)

            job_id = await once(w, "customerErase", input.idempotency_key, [pk, reason], start)
            return CustomerErasePayload(job=(await jobs_by_id(w, [job_id]))[job_id])

    @mutation("RETENTION_WRITE", RetentionRuleSetPayload)
    async def retention_rule_set(
        self, info: Info, name: str, input: RetentionRuleSetInput
    ) -> RetentionRuleSetPayload | None:
        async with info.context.work() as w:
            await retention.set_rule(w, name, input.days, input.if_version)
            return RetentionRuleSetPayload(rule=await one_rule(w, name))

    @mutation("RETENTION_WRITE", RetentionRuleRemovePayload, description="Back to the default.")
    async def retention_rule_remove(
        self, info: Info, name: str
    ) -> RetentionRuleRemovePayload | None:
        async with info.context.work() as w:
            await retention.remove_rule(w, name)
            return RetentionRuleRemovePayload(rule=await one_rule(w, name))
