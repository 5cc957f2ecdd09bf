"""Merging customers: preview, merge and undo, suggestions, and ids added by staff."""

from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.customers.identities import add_identity, remove_identity
from core.domain.customers.masking import EMAIL, PHONE, Kind
from core.domain.customers.merge_consent import Key
from core.domain.customers.merge_preview import WARNINGS, MergePreview, merge_preview
from core.domain.customers.suggestions import REASONS, reject_suggestion
from core.domain.orders.merging import accept_suggestion, merge_customers, unmerge_customers
from core.domain.orders.suggesting import SuggestMerges
from core.domain.shops.shops import need_shop
from core.schema.consents import Consent, ConsentStatus
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.customers import Customer, contact, customer_by_id, customer_of, customers_by_id
from core.schema.errors import UserError, user_errors
from core.schema.idempotency import once
from core.schema.jobs import Job, jobs_by_id
from core.schema.masking import Contact
from core.schema.merge_history import CustomerMerge, merges_by_id
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import JSON, Node, camel, global_id, need_id, sought, sought_id
from core.schema.where import IdColumn, IdFilter
from core.sdk.errors import Faults, HuikeError, paths_moved
from core.sdk.events import CustomersMerged, CustomersUnmerged
from core.sdk.identities import KIND_LIMIT, VALUE_LIMIT, Identity, Scope, app_scope_id
from core.storage import jobs
from core.storage.database import Session

CHILDREN["customers"] = customers_by_id


@strawberry.type(description="How many rows of one kind a merge would move.")
class MergeCount:
    name: str
    title: str
    moved: int
    left_out: int = strawberry.field(
        description="Rows that stay out, since the kept customer has the same already."
    )


@strawberry.enum(description="Whose value a merged customer has.")
class MergeSide(Enum):
    ID = "id"
    OTHER = "other"
    NONE = "none"


@strawberry.type
class MergeField:
    name: str
    kept: MergeSide
    conflict: bool = strawberry.field(description="Both have a value, and not the same.")


@strawberry.type
class MergeWarning:
    code: str
    message: str


@strawberry.type(description="Where one of the two had agreed, and the merged customer has not.")
class LostConsent:
    channel: str
    purpose: str
    shop_id: strawberry.ID | None


@strawberry.type(description="What a merge would do; phone and email are the merged customer's.")
class CustomerMergePreview:
    found: strawberry.Private[MergePreview]
    counts: list[MergeCount]
    fields: list[MergeField]
    consents: list[Consent] = strawberry.field(description="Those of the merged customer.")
    lost_consents: list[LostConsent]
    warnings: list[MergeWarning]

    @strawberry.field
    def customer(self) -> Customer:
        return customer_of(self.found.into)

    @strawberry.field
    def other(self) -> Customer:
        return customer_of(self.found.other)

    @strawberry.field
    def phone(self, info: Info) -> Contact | None:
        return self._contact(info, PHONE)

    @strawberry.field
    def email(self, info: Info) -> Contact | None:
        return self._contact(info, EMAIL)

    def _contact(self, info: Info, kind: Kind) -> Contact | None:
        return contact(info, self.found.into, kind) or contact(info, self.found.other, kind)


@strawberry.type
class CustomerMergePreviewResult:
    preview: CustomerMergePreview | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def preview_of(found: MergePreview, now: datetime) -> CustomerMergePreview:
    return CustomerMergePreview(
        found=found,
        counts=[
            MergeCount(name=one.name, title=one.title, moved=one.moved, left_out=one.left_out)
            for one in found.tables
        ],
        fields=[
            MergeField(name=camel(one.field), kept=MergeSide(one.kept), conflict=one.conflict)
            for one in found.fields
        ],
        consents=[
            Consent(
                channel=channel,
                purpose=purpose,
                status=ConsentStatus(status),
                shop_id=global_id("Shop", shop_id) if shop_id else None,
                at=now,
            )
            for (shop_id, channel, purpose), status in sorted(found.consents.items())
        ],
        lost_consents=[lost_consent(key) for key in found.lost_consents],
        warnings=[MergeWarning(code=code, message=WARNINGS[code]) for code in found.warnings],
    )


def lost_consent(key: Key) -> LostConsent:
    shop_id, channel, purpose = key
    shop = global_id("Shop", shop_id) if shop_id else None
    return LostConsent(channel=channel, purpose=purpose, shop_id=shop)


# -- suggestions ---------------------------------------------------------------------------------


@strawberry.enum
class MergeSuggestionState(Enum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@strawberry.type(description="Why two customers may be one; never what it is that they share.")
class MergeReason:
    code: str
    message: str


@strawberry.type(description="Two customers that may be one person; somebody must decide.")
class MergeSuggestion(Node):
    pks: strawberry.Private[tuple[int, int]]
    reasons: list[MergeReason]
    state: MergeSuggestionState
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None

    @field("CUSTOMERS_READ", description="The one known longer; kept unless told otherwise.")
    def first(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.pks[0])

    @field("CUSTOMERS_READ")
    def second(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.pks[1])


def suggestion_of(row: Any) -> MergeSuggestion:
    return MergeSuggestion(
        id=global_id("MergeSuggestion", row["id"]),
        pks=(row["first_id"], row["second_id"]),
        reasons=[
            MergeReason(code=code, message=REASONS.get(code, code))
            for code in orjson.loads(row["reasons"])
        ],
        state=MergeSuggestionState(row["state"]),
        created_at=row["created_at"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
    )


async def suggestions_by_id(session: Session, pks: list[int]) -> dict[int, MergeSuggestion]:
    rows = await session.sql.fetch(
        "SELECT * FROM merge_suggestions WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: suggestion_of(row) for row in rows}


@strawberry.input
class MergeSuggestionStateFilter:
    eq: strawberry.Maybe[MergeSuggestionState]
    in_: strawberry.Maybe[list[MergeSuggestionState]] = strawberry.field(name="in", default=None)


@strawberry.input
class MergeSuggestionWhere:
    id: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[MergeSuggestionStateFilter]
    and_: strawberry.Maybe[list["MergeSuggestionWhere"]] = strawberry.field(
        name="and", default=None
    )
    or_: strawberry.Maybe[list["MergeSuggestionWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["MergeSuggestionWhere"] = strawberry.field(name="not", default=None)


SUGGESTIONS = Listing(
    "mergeSuggestions",
    # while one of the two is part of another customer, there is nothing to decide
    """(SELECT s.* FROM merge_suggestions s WHERE s.state <> 'open' OR 2 = (
            SELECT count(*) FROM customers c WHERE c.merchant_id = s.merchant_id
            AND c.id IN (s.first_id, s.second_id))) s""",
    "s", {"id": IdColumn("MergeSuggestion", "s.id"), "state": "s.state"}, {}, suggestion_of,
)  # fmt: skip


# -- inputs and payloads -------------------------------------------------------------------------


@strawberry.input(description="`from` becomes part of the customer `id`.")
class CustomerMergeInput:
    from_: strawberry.ID = strawberry.field(name="from")
    reason: str
    idempotency_key: str
    evidence: JSON | None = strawberry.field(default=None, description="An object.")


@strawberry.input
class CustomerUnmergeInput:
    idempotency_key: str


@strawberry.input
class MergeSuggestionAcceptInput:
    idempotency_key: str
    keep: strawberry.ID | None = strawberry.field(
        default=None, description="Which of the two is kept; by default the first."
    )


@strawberry.enum(description="Where an id is unique.")
class IdentityScope(Enum):
    SHOP = "shop"
    APP = "app"
    MERCHANT = "merchant"
    GLOBAL = "global"


@strawberry.input(description="Give `shopId` with scope SHOP and `appKey` with scope APP.")
class CustomerIdentityAddInput:
    scope: IdentityScope
    kind: str
    value: str
    shop_id: strawberry.ID | None = None
    app_key: str | None = None


@strawberry.input
class CustomerIdentityRemoveInput:
    identity: strawberry.ID


@strawberry.type
class CustomerMergePayload:
    customer: Customer | None = None
    merge: CustomerMerge | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerUnmergePayload:
    customer: Customer | None = strawberry.field(
        default=None, description="The one that held the other's rows until now."
    )
    restored: Customer | None = strawberry.field(
        default=None, description="The one that is a customer of its own again."
    )
    merge: CustomerMerge | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MergeSuggestionAcceptPayload:
    suggestion: MergeSuggestion | None = None
    merge: CustomerMerge | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MergeSuggestionRejectPayload:
    suggestion: MergeSuggestion | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MergeSuggestionsRefreshPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerIdentityAddPayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerIdentityRemovePayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def identity_of(given: CustomerIdentityAddInput) -> Identity:
    """Raises InvalidInput, Several."""
    scope: Scope = given.scope.value
    faults, scope_id = Faults(), 0
    if (scope == "shop") != (given.shop_id is not None):
        faults.wrong("shopId goes with scope SHOP", "shopId")
    if (scope == "app") != (given.app_key is not None):
        faults.wrong("appKey goes with scope APP", "appKey")
    if given.shop_id is not None:
        scope_id = sought_id("Shop", given.shop_id)
    elif given.app_key is not None:
        with faults:
            scope_id = app_scope_id(given.app_key)
    for name, most in (("kind", KIND_LIMIT), ("value", VALUE_LIMIT)):
        if not 1 <= len(getattr(given, name).strip()) <= most:
            faults.wrong(f"an identity's {name} has 1 to {most} characters", name)
    faults.tell()
    with paths_moved((), ("input", "kind")):
        return Identity(scope, scope_id, given.kind.strip(), given.value.strip())


@strawberry.type
class MergeQueries:
    @field("CUSTOMERS_READ", description="What merging `other` into `id` would do.")
    async def customer_merge_preview(
        self, info: Info, id: strawberry.ID, other: strawberry.ID
    ) -> CustomerMergePreviewResult:
        registry = info.context.installation.registry
        try:
            pks = need_id("Customer", id), need_id("Customer", other, ("other",))
            async with info.context.read() as session:
                found = await merge_preview(session, registry, *pks)
                return CustomerMergePreviewResult(preview=preview_of(found, session.now))
        except HuikeError as error:
            return CustomerMergePreviewResult(errors=user_errors(error))

    @field("CUSTOMERS_READ", description="Pairs of customers that may be one person.")
    async def merge_suggestions(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: MergeSuggestionWhere | None = None,
    ) -> Connection[MergeSuggestion]:
        return await page(info, SUGGESTIONS, where, None, first, after)


@strawberry.type
class MergeMutations:
    @mutation("CUSTOMERS_MERGE", CustomerMergePayload, emits=(CustomersMerged,))
    async def customer_merge(
        self, info: Info, id: strawberry.ID, input: CustomerMergeInput
    ) -> CustomerMergePayload | None:
        registry = info.context.installation.registry
        into, from_ = need_id("Customer", id), sought_id("Customer", input.from_)
        evidence: Any = input.evidence
        given = {"id": into, "from": from_, "reason": input.reason, "evidence": evidence}
        async with info.context.work() as w:

            async def merge() -> int:
                return await merge_customers(w, registry, into, from_, input.reason, evidence)

            pk = await once(w, "customerMerge", input.idempotency_key, given, merge)
            return CustomerMergePayload(
                customer=(await customers_by_id(w, [into])).get(into),
                merge=(await merges_by_id(w, [pk]))[pk],
            )

    @mutation(
        "CUSTOMERS_MERGE",
        CustomerUnmergePayload,
        emits=(CustomersUnmerged,),
        description="`id` is that of the merge.",
    )
    async def customer_unmerge(
        self, info: Info, id: strawberry.ID, input: CustomerUnmergeInput
    ) -> CustomerUnmergePayload | None:
        registry = info.context.installation.registry
        pk = need_id("CustomerMerge", id)
        async with info.context.work() as w:

            async def unmerge() -> list[int]:
                return list(await unmerge_customers(w, registry, pk))

            key = input.idempotency_key
            back, holder = await once(w, "customerUnmerge", key, {"id": pk}, unmerge)
            found = await customers_by_id(w, [back, holder])
            return CustomerUnmergePayload(
                customer=found.get(holder),
                restored=found.get(back),
                merge=(await merges_by_id(w, [pk]))[pk],
            )

    @mutation(
        "CUSTOMERS_MERGE",
        MergeSuggestionAcceptPayload,
        emits=(CustomersMerged,),
        description="Merges the two.",
    )
    async def merge_suggestion_accept(
        self, info: Info, id: strawberry.ID, input: MergeSuggestionAcceptInput
    ) -> MergeSuggestionAcceptPayload | None:
        registry = info.context.installation.registry
        pk = need_id("MergeSuggestion", id)
        keep = sought("Customer", input.keep)
        async with info.context.work() as w:

            async def accept() -> int:
                return await accept_suggestion(w, registry, pk, keep)

            given = {"id": pk, "keep": keep}
            merge = await once(w, "mergeSuggestionAccept", input.idempotency_key, given, accept)
            return MergeSuggestionAcceptPayload(
                suggestion=(await suggestions_by_id(w, [pk]))[pk],
                merge=(await merges_by_id(w, [merge]))[merge],
            )

    @mutation("CUSTOMERS_MERGE", MergeSuggestionRejectPayload, description="Never suggested again.")
    async def merge_suggestion_reject(
        self, info: Info, id: strawberry.ID
    ) -> MergeSuggestionRejectPayload | None:
        pk = need_id("MergeSuggestion", id)
        async with info.context.work() as w:
            await reject_suggestion(w, pk)
            return MergeSuggestionRejectPayload(suggestion=(await suggestions_by_id(w, [pk]))[pk])

    @mutation(
        "CUSTOMERS_MERGE",
        MergeSuggestionsRefreshPayload,
        description="Look through all customers for pairs that may be one person.",
    )
    async def merge_suggestions_refresh(self, info: Info) -> MergeSuggestionsRefreshPayload | None:
        async with info.context.work() as w:
            pk = await jobs.enqueue(w, SuggestMerges.name, {})
            return MergeSuggestionsRefreshPayload(job=(await jobs_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_MERGE", CustomerIdentityAddPayload)
    async def customer_identity_add(
        self, info: Info, id: strawberry.ID, input: CustomerIdentityAddInput
    ) -> CustomerIdentityAddPayload | None:
        pk = need_id("Customer", id)
        async with info.context.work() as w:
            faults = Faults()
            with faults:
                identity = identity_of(input)
            with faults:
                await need_shop(w, sought("Shop", input.shop_id))
            faults.tell()
            await add_identity(w, pk, identity)
            return CustomerIdentityAddPayload(customer=(await customers_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_MERGE", CustomerIdentityRemovePayload)
    async def customer_identity_remove(
        self, info: Info, id: strawberry.ID, input: CustomerIdentityRemoveInput
    ) -> CustomerIdentityRemovePayload | None:
        pk = need_id("Customer", id)
        identity = sought_id("CustomerIdentity", input.identity)
        async with info.context.work() as w:
            await remove_identity(w, pk, identity)
            return CustomerIdentityRemovePayload(customer=(await customers_by_id(w, [pk]))[pk])
