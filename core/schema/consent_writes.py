"""Recording consent of many, asking for it by a link, and deciding about the unproven one."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.confirmation import start_confirmation
from core.domain.customers.consent import BULK_LIMIT, Word, check_word, set_consents
from core.domain.customers.consent_policies import POLICY, set_policy
from core.schema.batches import OnError, error_policy
from core.schema.consents import ConsentStatus, shop_of
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customer_by_id
from core.schema.errors import UserError, user_errors
from core.schema.external_refs import ExternalRefInput, customers_of_refs
from core.schema.idempotency import once
from core.schema.jobs import Job, jobs_by_id
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import JSON, Node, global_id, need_id, read_id, sought, version_seen
from core.schema.setting_versions import version_of
from core.schema.where import DateTimeFilter, StringFilter
from core.sdk.errors import Faults, HuikeError, NotFound, Several
from core.sdk.events import ConsentGranted, ConsentWithdrawn
from core.storage.database import Session, Work


@strawberry.enum
class ConsentRequestState(Enum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    REPLACED = "replaced"


@strawberry.type(description="A consent that waits to be confirmed by a link (double opt-in).")
class ConsentRequest(Node):
    customer_pk: strawberry.Private[int]
    channel: str
    purpose: str
    shop_id: strawberry.ID | None = strawberry.field(description="Null for all shops.")
    source: str
    text: str
    text_version: str
    state: ConsentRequestState
    created_at: datetime
    expires_at: datetime
    confirmed_at: datetime | None

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.customer_pk)


@strawberry.type(
    description="The merchant's decision whether marketing may go to who has not provably agreed."
)
class ConsentPolicy(Node):
    channel: str
    allow_unproven: bool
    reason: str
    actor: str = strawberry.field(description="Who decided: a token.")
    at: datetime
    valid_to: datetime | None = strawberry.field(description="Null for the one in force.")

    @field("CUSTOMERS_READ", description="Of what is decided for the channel, for `ifVersion`.")
    def version(self, info: Info) -> int:
        return version_of(info, POLICY, self.channel)


def policy_of(row: Any) -> ConsentPolicy:
    return ConsentPolicy(
        id=global_id("ConsentPolicy", row["id"]),
        channel=row["channel"],
        allow_unproven=row["allow_unproven"],
        reason=row["reason"],
        actor=row["actor"],
        at=row["at"],
        valid_to=row["valid_to"],
    )


def request_of(row: Any, now: datetime) -> ConsentRequest:
    expired = row["state"] == "pending" and row["expires_at"] <= now
    return ConsentRequest(
        id=global_id("ConsentRequest", row["id"]),
        customer_pk=row["customer_id"],
        channel=row["channel"],
        purpose=row["purpose"],
        shop_id=shop_of(row["shop_id"]),
        source=row["source"],
        text=row["text"],
        text_version=row["text_version"],
        state=ConsentRequestState("expired" if expired else row["state"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
    )


@strawberry.input
class ConsentPolicyWhere:
    channel: strawberry.Maybe[StringFilter]
    at: strawberry.Maybe[DateTimeFilter]
    valid_to: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["ConsentPolicyWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ConsentPolicyWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ConsentPolicyWhere"] = strawberry.field(name="not", default=None)


POLICIES = Listing(
    "consent_policies", "consent_policies po", "po",
    {"channel": "po.channel", "at": "po.at", "valid_to": "po.valid_to"},
    {},
    policy_of,
)  # fmt: skip


async def requests_by_id(session: Session, pks: list[int]) -> dict[int, ConsentRequest]:
    rows = await session.sql.fetch(
        "SELECT * FROM consent_requests WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: request_of(row, session.now) for row in rows}


async def policies_by_id(session: Session, pks: list[int]) -> dict[int, ConsentPolicy]:
    rows = await session.sql.fetch(
        "SELECT * FROM consent_policies WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: policy_of(row) for row in rows}


@strawberry.input
class ConsentPolicySetInput:
    channel: str
    allow_unproven: bool
    reason: str = strawberry.field(description="Why; it is kept with who decided and when.")
    if_version: int | None = version_seen()


@strawberry.input
class ConsentRequestStartInput:
    channel: str = strawberry.field(description="The confirmation is sent by it, too.")
    text: str = strawberry.field(description="Exactly what the customer agrees to.")
    text_version: str
    source: str = strawberry.field(description="Where the customer asked, for instance `form`.")
    idempotency_key: str
    purpose: str = "marketing"
    shop_id: strawberry.ID | None = None


@strawberry.input(description=f"Customers by ids, external refs or both; {BULK_LIMIT} at most.")
class CustomersConsentSetInput:
    channel: str
    status: ConsentStatus
    source: str
    ids: list[strawberry.ID] = strawberry.field(default_factory=list)
    external_refs: list[ExternalRefInput] = strawberry.field(default_factory=list)
    purpose: str = "marketing"
    shop_id: strawberry.ID | None = None
    text: str | None = None
    text_version: str | None = None
    evidence: JSON | None = strawberry.field(default=None, description="An object.")
    on_error: OnError = error_policy()


@strawberry.type
class ConsentPolicySetPayload:
    policy: ConsentPolicy | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ConsentRequestStartPayload:
    request: ConsentRequest | None = None
    job: Job | None = strawberry.field(
        default=None, description="Sends the confirmation; its result says what became of it."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomersConsentSetPayload:
    changed: int | None = strawberry.field(
        default=None, description="For how many it changed what is in effect; it is logged for all."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ConsentQueries:
    @field(
        "CUSTOMERS_READ",
        description="Every decision, the last first; `current` asks for those in force, or not.",
    )
    async def consent_policies(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ConsentPolicyWhere | None = None,
        current: bool | None = None,
    ) -> Connection[ConsentPolicy]:
        scope = None if current is None else ("(po.valid_to IS NULL)", current)
        return await page(info, POLICIES, where, None, first, after, scope)


@strawberry.type
class ConsentMutations:
    @mutation(
        "CONSENT_POLICY_WRITE",
        ConsentPolicySetPayload,
        description="Decide for a channel whether unproven consent is enough for marketing.",
    )
    async def consent_policy_set(
        self, info: Info, input: ConsentPolicySetInput
    ) -> ConsentPolicySetPayload | None:
        async with info.context.work() as w:
            pk = await set_policy(
                w, input.channel, input.allow_unproven, input.reason, input.if_version
            )
            return ConsentPolicySetPayload(policy=(await policies_by_id(w, [pk]))[pk])

    @mutation(
        "CUSTOMERS_WRITE",
        ConsentRequestStartPayload,
        description="Send a link by which the customer confirms the consent (double opt-in). A new "
        "request replaces the one before.",
    )
    async def consent_request_start(
        self, info: Info, id: strawberry.ID, input: ConsentRequestStartInput
    ) -> ConsentRequestStartPayload | None:
        pk = need_id("Customer", id)
        shop = _shop(input.shop_id)
        given: dict[str, Any] = {**vars(input), "id": pk}
        installation = info.context.installation
        async with info.context.work() as w:

            async def start() -> list[int]:
                return list(
                    await start_confirmation(
                        w, installation.registry, pk, channel=input.channel,
                        purpose=input.purpose, shop_id=shop, text=input.text,
                        text_version=input.text_version, source=input.source,
                        base_url=installation.settings.base_url,
                    )
                )  # fmt: skip

            request, job = await once(w, "consentRequestStart", input.idempotency_key, given, start)
            return ConsentRequestStartPayload(
                request=(await requests_by_id(w, [request])).get(request),
                job=(await jobs_by_id(w, [job])).get(job),
            )

    @mutation(
        "CUSTOMERS_WRITE",
        CustomersConsentSetPayload,
        emits=(ConsentGranted, ConsentWithdrawn),
        description="Record the same word of many customers, for all of them or for none.",
    )
    async def customers_consent_set(
        self, info: Info, input: CustomersConsentSetInput
    ) -> CustomersConsentSetPayload | None:
        evidence: Any = input.evidence
        count, faults = len(input.ids) + len(input.external_refs), Faults()
        word = Word(
            input.channel, input.purpose, input.status.value, input.source, _shop(input.shop_id),
            input.text, input.text_version, evidence,
        )  # fmt: skip
        async with info.context.work() as w:
            with faults:
                await check_word(w, word)
            if not 1 <= count <= BULK_LIMIT:
                faults.wrong(f"name 1 to {BULK_LIMIT} customers", "ids")
                faults.tell()
            named = await _by_ids(w, input.ids)
            named += await customers_of_refs(w, input.external_refs, ("input", "externalRefs"))
            missing = [one for one in named if isinstance(one, HuikeError)]
            if missing and input.on_error is OnError.ABORT:
                with faults:
                    raise Several(missing)
            faults.tell()
            pks = [one for one in named if isinstance(one, int)]
            changed = await set_consents(w, pks, word)
            return CustomersConsentSetPayload(changed=changed, errors=user_errors(Several(missing)))


def _shop(shop_id: strawberry.ID | None) -> int:
    return sought("Shop", shop_id) or 0


async def _by_ids(w: Work, ids: list[strawberry.ID]) -> list[int | HuikeError]:
    pks = [read_id("Customer", one) for one in ids]
    rows = await w.sql.fetch(
        "SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, [pk for pk in pks if pk is not None],
    )  # fmt: skip
    found = {row["id"] for row in rows}
    return [
        pk
        if pk is not None and pk in found
        else NotFound("there is no customer with this id", ("input", "ids", number))
        for number, pk in enumerate(pks)
    ]
