"""Taking in customers from the merchant's own systems: own site, app, till."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import strawberry

from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.customers.customers import (
    TEXT_LIMIT,
    check_birthday,
    check_country,
    merchants_day,
)
from core.domain.customers.import_rows import CustomerRecord
from core.domain.customers.intake import Intake, upsert_customers
from core.domain.customers.tags import check_tags
from core.domain.shops.shops import need_shop
from core.schema.batches import OnError, error_policy, read_batch
from core.schema.consents import ConsentStatus
from core.schema.context import Info, mutation
from core.schema.customer_imports import ImportExisting
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError
from core.schema.scalars import PhoneNumber, sought
from core.sdk.errors import Faults, HuikeError, InvalidInput

T = TypeVar("T")


@strawberry.input(description="An id under which the merchant's own system knows the customer.")
class CustomerRefInput:
    kind: str = strawberry.field(description="What kind of id it is, as in `member_card`.")
    value: str


@strawberry.input(description="Counts where the customer never refused; a refusal always counts.")
class CustomerWordInput:
    channel: str
    status: ConsentStatus
    evidence: str | None = strawberry.field(
        default=None, description="How it can be proven; without it a yes is UNPROVEN."
    )


@strawberry.input(description="What is absent stays as it is. Give an id, a phone or an email.")
class CustomerInput:
    refs: list[CustomerRefInput] = strawberry.field(default_factory=list)
    name: str | None = None
    phone: PhoneNumber | None = None
    email: str | None = None
    birthday: date | None = None
    country: str | None = None
    province: str | None = None
    city: str | None = None
    tags: list[str] = strawberry.field(default_factory=list)
    consents: list[CustomerWordInput] = strawberry.field(default_factory=list)


@strawberry.input
class CustomersUpsertInput:
    customers: list[CustomerInput] = strawberry.field(description="At most 500.")
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop that the refs are of; without it the merchant's own."
    )
    existing: ImportExisting = ImportExisting.UPDATE
    on_error: OnError = error_policy()


@strawberry.enum
class CustomerOutcome(Enum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    AMBIGUOUS = strawberry.enum_value(
        "ambiguous", description="Fits several customers, who are now suggested for merging."
    )


@strawberry.type
class CustomerUpsertResult:
    outcome: CustomerOutcome
    customer: Customer | None


@strawberry.type
class CustomersUpsertPayload:
    results: list[CustomerUpsertResult | None] | None = strawberry.field(
        default=None, description="One for each customer, in order; null for one with an error."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@dataclass(frozen=True)
class _Reader:
    """Reads one customer and collects what is wrong with it; `today` is the merchant's day."""

    path: tuple[str, ...]
    today: date
    errors: list[HuikeError]

    def record(self, one: CustomerInput) -> CustomerRecord:
        birthday = self.checked(partial(check_birthday, self.today), one.birthday, "birthday")
        if not (one.refs or one.phone or one.email):
            self.fault("give an id, a phone or an email: nobody is found by a name")
        return CustomerRecord(
            int(self.path[-1]),
            phone=self.contact(one.phone, normalise_phone, "phone"),
            email=self.contact(one.email, normalise_email, "email"),
            name=self.text(one.name, "name"),
            birthday=birthday,
            country=self.checked(check_country, one.country, "country"),
            province=self.text(one.province, "province"),
            city=self.text(one.city, "city"),
            ids=[
                (self.text(ref.kind, "refs", str(n), "kind") or "",
                 self.text(ref.value, "refs", str(n), "value") or "")
                for n, ref in enumerate(one.refs)
            ],
            tags=self.checked(check_tags, one.tags, "tags") or [],
            consents={
                word.channel: (word.status.value, word.evidence or None) for word in one.consents
            },
        )  # fmt: skip

    def fault(self, message: str, *at: str) -> None:
        self.errors.append(InvalidInput(message, (*self.path, *at)))

    def checked(self, check: Callable[[Any], T], value: Any, at: str) -> T | None:
        try:
            return check(value)
        except InvalidInput as error:
            self.fault(error.message, at)
            return None

    def text(self, value: str | None, *at: str) -> str | None:
        if value is None:
            return None
        cleaned = value.strip()
        if not 1 <= len(cleaned) <= TEXT_LIMIT or "\x00" in cleaned:
            self.fault(f"has 1 to {TEXT_LIMIT} characters", *at)
        return cleaned

    def contact(
        self, value: str | None, normalise: Callable[[str], str | None], at: str
    ) -> str | None:
        if value is None:
            return None
        normal = normalise(value)
        if normal is None:
            self.fault("cannot be reached: masked, virtual, or not one at all", at)
        return normal


@strawberry.type
class CustomerIntakeMutations:
    @mutation(
        "CUSTOMERS_WRITE",
        CustomersUpsertPayload,
        description="Take in up to 500 customers, known or new; repeating it changes nothing.",
    )
    async def customers_upsert(
        self, info: Info, input: CustomersUpsertInput
    ) -> CustomersUpsertPayload | None:
        async with info.context.work() as w:
            shop_id, faults = sought("Shop", input.shop_id), Faults()
            with faults:
                await need_shop(w, shop_id)
            today = await merchants_day(w)
            with faults:
                batch = read_batch(
                    "customers", input.customers, input.on_error,
                    lambda one, path, errors: _Reader(path, today, errors).record(one),
                )  # fmt: skip
            faults.tell()
            existing: Any = input.existing.value
            intake = Intake(None, shop_id, existing)
            taken = await upsert_customers(w, intake, batch.records)
            customers = await customers_by_id(w, [pk for _, pk in taken if pk is not None])
        return CustomersUpsertPayload(
            results=batch.results(
                CustomerUpsertResult(
                    outcome=CustomerOutcome(outcome),
                    customer=None if pk is None else customers[pk],
                )
                for outcome, pk in taken
            ),
            errors=batch.errors,
        )
