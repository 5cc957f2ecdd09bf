"""Why a customer is in a segment, or why not."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from core.domain.segments.rules import Rule, read_rule
from core.domain.segments.tree import Leaf, camel
from core.domain.segments.why import Reason, entered_at, explain_customers
from core.schema.context import CHILDREN, Info, field
from core.schema.costs import costs
from core.schema.customers import customers_by_id
from core.schema.errors import UserError, user_errors
from core.schema.scalars import JSON, SegmentRule, need_id, read_id
from core.schema.segment_words import Language, path_in_rule, rule_of, stored_form
from core.sdk.errors import HuikeError, NotFound, Several
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.segments import Segment


@strawberry.enum
class ReasonOperator(Enum):
    ALL = "all"
    ANY = "any"
    NOT = "not"
    SEGMENT = strawberry.enum_value(
        "in_segment", description="Another segment, whose rule stands below."
    )
    FACET = "facet"


@strawberry.type(description="Whether one node of a rule holds for a customer.")
class SegmentReason:
    reason: strawberry.Private[Reason]
    rule: strawberry.Private[Rule]
    path: list[str] = strawberry.field(
        description="Leads to the node inside the rule; what follows `inSegment` is inside the "
        "other segment's rule."
    )
    parent: int | None = strawberry.field(
        description="The place in this list, from 0, of the node around it."
    )
    depth: int
    operator: ReasonOperator
    facet: str | None = strawberry.field(
        description="The field of SegmentRuleInput that the node gives, if it is no operator."
    )
    holds: bool

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return self.rule.sentence(language.value, self.reason.node)

    @field(
        "CUSTOMERS_READ",
        description="What the facet found for the customer, null if nothing. Decimals are texts, "
        "money has amount and currency.",
    )
    async def found(self, info: Info) -> JSON | None:
        return JSON(self.reason.found) if self.reason.found is not None else None


def reasons_of(rule: Rule, reasons: list[Reason]) -> list[SegmentReason]:
    return [
        SegmentReason(
            reason=one,
            rule=rule,
            path=path_in_rule(one.node.path),
            parent=one.parent,
            depth=one.depth,
            operator=ReasonOperator("facet" if isinstance(one.node, Leaf) else one.node.operator),
            facet=camel(one.node.owned.value.name) if isinstance(one.node, Leaf) else None,
            holds=one.holds,
        )
        for one in reasons
    ]


@strawberry.type
class Explained:
    rule: strawberry.Private[Rule | None] = None
    why: list[SegmentReason] = strawberry.field(
        default_factory=list,
        description="The nodes of the rule as it is now, each before those inside it.",
    )
    is_member: bool | None = strawberry.field(
        default=None, description="Null when the rule cannot be asked."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str | None:
        return self.rule.sentence(language.value) if self.rule else None


@strawberry.type(description="A customer seen by the rule of a segment.")
class CustomerInSegment(Explained):
    customer_pk: strawberry.Private[int]
    segment: Annotated["Segment", strawberry.lazy("core.schema.segments")]

    @field(
        "SEGMENTS_READ",
        description="When the customer was last written down as having come in; null for who is "
        "not, or not yet, written down as a member.",
    )
    async def since(self, info: Info) -> datetime | None:
        pk = need_id("Segment", self.segment.id)
        batch = _for_segment(entered_at, pk)
        return await info.context.load(("segment.since", pk), self.customer_pk, batch)


def _for_segment(use_case: Callable[..., Any], pk: int) -> Callable[..., Any]:
    async def batch(session: Session, customer_pks: list[int]) -> Any:
        return await use_case(session, pk, customer_pks)

    return batch


async def customer_in_segment(
    info: Info, customer_pk: int, id: strawberry.ID
) -> CustomerInSegment | None:
    """A customer in the light of a segment, None for a segment that is not the merchant's."""
    pk = read_id("Segment", id)
    if pk is None:
        return None
    registry = info.context.installation.registry

    async def batch(session: Session, customer_pks: list[int]) -> dict[int, CustomerInSegment]:
        segment = (await CHILDREN["segments"](session, [pk])).get(pk)
        if segment is None:
            return {}
        try:
            rule = await read_rule(session, registry, segment.stored)
            found = await explain_customers(session, rule, customer_pks)
        except Several as error:
            errors = user_errors(error)
            return {
                one: CustomerInSegment(customer_pk=one, segment=segment, errors=errors)
                for one in customer_pks
            }
        return {
            one: CustomerInSegment(
                customer_pk=one,
                segment=segment,
                rule=rule,
                why=reasons_of(rule, reasons),
                is_member=reasons[0].holds,
            )
            for one, reasons in found.items()
        }

    return await info.context.load(("customer.in_segment", pk), customer_pk, batch)


CHILDREN["customer_in_segment"] = customer_in_segment


@strawberry.type(description="A customer seen by a rule.")
class SegmentWhyResult(Explained):
    pass


@strawberry.type
class SegmentWhyQueries:
    @costs(20)
    @field(
        "SEGMENTS_READ",
        description="Why a customer would be in a segment of this rule, or why not. Needs the "
        "right to read customers too.",
    )
    async def segment_why(
        self, info: Info, rule: SegmentRule, customer_id: strawberry.ID
    ) -> SegmentWhyResult:
        info.context.need("CUSTOMERS_READ")
        try:
            pk = need_id("Customer", customer_id, ("customerId",))
            read = await rule_of(info, await stored_form(info, rule))
            async with info.context.read() as session:
                customer = (await customers_by_id(session, [pk])).get(pk)
                if customer is None:
                    raise NotFound("there is no customer with this id", ("customerId",))
                found = await explain_customers(session, read, [customer.row["id"]])
        except (HuikeError, Several) as error:
            return SegmentWhyResult(errors=user_errors(error))
        reasons = found[customer.row["id"]]
        return SegmentWhyResult(
            rule=read, why=reasons_of(read, reasons), is_member=reasons[0].holds
        )
