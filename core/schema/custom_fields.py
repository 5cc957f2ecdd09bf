"""Custom fields: defining them, and setting a customer's values."""

import strawberry

from core.domain.customers.field_values import FieldChange, set_fields
from core.domain.customers.fields import MERCHANTS, create_field, delete_field, update_field
from core.domain.segments.fields import check_not_used
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.profile import CustomField, CustomFieldType, custom_field_of, custom_fields_by_id
from core.schema.scalars import JSON, changes, global_id, need_id, version_seen
from core.schema.where import IdColumn, IdFilter, StringFilter
from core.sdk.errors import HuikeError, InvalidInput, Several


@strawberry.input
class CustomFieldTypeFilter:
    eq: strawberry.Maybe[CustomFieldType]
    in_: strawberry.Maybe[list[CustomFieldType]] = strawberry.field(name="in", default=None)


@strawberry.input
class CustomFieldWhere:
    id: strawberry.Maybe[IdFilter]
    namespace: strawberry.Maybe[StringFilter]
    key: strawberry.Maybe[StringFilter]
    type: strawberry.Maybe[CustomFieldTypeFilter]
    and_: strawberry.Maybe[list["CustomFieldWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["CustomFieldWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["CustomFieldWhere"] = strawberry.field(name="not", default=None)


@strawberry.input
class CustomFieldCreateInput:
    key: str = strawberry.field(description="Letters a to z, digits and _, a letter first.")
    title: str
    type: CustomFieldType
    choices: list[str] = strawberry.field(
        default_factory=list, description="The values of a choice."
    )
    namespace: str = strawberry.field(
        default=MERCHANTS, description="`custom`; a plugin's namespace is written by it alone."
    )


@strawberry.input(description="Absent fields stay as they are. The type of a field never changes.")
class CustomFieldUpdateInput:
    title: strawberry.Maybe[str]
    choices: strawberry.Maybe[list[str]] = strawberry.field(
        default=None, description="A choice that customers have cannot be left out."
    )
    if_version: int | None = version_seen()


@strawberry.input
class CustomerFieldInput:
    field: str = strawberry.field(description="The field's name, as in `custom.size`.")
    value: strawberry.Maybe[JSON | None] = strawberry.field(
        default=None, description="In the form of the field's type, a decimal as text; null clears."
    )
    if_version: int | None = strawberry.field(
        default=None,
        description="Change only what has this version still; 0 means that there is no value.",
    )


@strawberry.input
class CustomerFieldsSetInput:
    fields: list[CustomerFieldInput]


@strawberry.type
class CustomFieldCreatePayload:
    custom_field: CustomField | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomFieldUpdatePayload:
    custom_field: CustomField | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomFieldDeletePayload:
    deleted_id: strawberry.ID | None = None
    values: int | None = strawberry.field(
        default=None, description="How many customers had a value."
    )
    job: Job | None = strawberry.field(
        default=None, description="Removes the values, if they are very many; nobody sees them."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerFieldsSetPayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


CUSTOM_FIELDS = Listing(
    "custom_fields", "custom_fields f", "f",
    {"id": IdColumn("CustomField", "f.id"), "namespace": "f.namespace", "key": "f.key",
     "type": "f.type"},
    {},
    custom_field_of,
)  # fmt: skip


def field_changes(given: list[CustomerFieldInput]) -> list[FieldChange]:
    """The changes of an input. Raises Several for fields without a value."""
    missing: list[HuikeError] = [
        InvalidInput("value is missing; null clears", ("input", "fields", str(place), "value"))
        for place, one in enumerate(given)
        if one.value is None
    ]
    if missing:
        raise Several(missing)
    return [
        FieldChange(one.field, one.value.value if one.value else None, one.if_version)
        for one in given
    ]


@strawberry.type
class CustomFieldQueries:
    @field("CUSTOMERS_READ", description="The fields that there are, the newest first.")
    async def custom_fields(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: CustomFieldWhere | None = None,
    ) -> Connection[CustomField]:
        return await page(info, CUSTOM_FIELDS, where, None, first, after)


@strawberry.type
class CustomFieldMutations:
    @mutation("FIELDS_WRITE", CustomFieldCreatePayload)
    async def custom_field_create(
        self, info: Info, input: CustomFieldCreateInput
    ) -> CustomFieldCreatePayload | None:
        async with info.context.work() as w:
            pk = await create_field(
                w, MERCHANTS, input.namespace, input.key, input.title, input.type.value,
                input.choices,
            )  # fmt: skip
            return CustomFieldCreatePayload(custom_field=(await custom_fields_by_id(w, [pk]))[pk])

    @mutation("FIELDS_WRITE", CustomFieldUpdatePayload)
    async def custom_field_update(
        self, info: Info, id: strawberry.ID, input: CustomFieldUpdateInput
    ) -> CustomFieldUpdatePayload | None:
        pk = need_id("CustomField", id)
        async with info.context.work() as w:
            await update_field(w, MERCHANTS, pk, changes(input), input.if_version)
            return CustomFieldUpdatePayload(custom_field=(await custom_fields_by_id(w, [pk]))[pk])

    @mutation(
        "FIELDS_WRITE",
        CustomFieldDeletePayload,
        description="Delete a field with all its values. One that a segment asks for stays.",
    )
    async def custom_field_delete(
        self, info: Info, id: strawberry.ID
    ) -> CustomFieldDeletePayload | None:
        pk = need_id("CustomField", id)
        async with info.context.work() as w:
            found = (await custom_fields_by_id(w, [pk])).get(pk)
            if found is not None:
                await check_not_used(w, found.name)
            count, job_id = await delete_field(w, MERCHANTS, pk)
            job = (await jobs_by_id(w, [job_id]))[job_id] if job_id else None
        return CustomFieldDeletePayload(
            deleted_id=global_id("CustomField", pk), values=count, job=job
        )

    @mutation(
        "CUSTOMERS_WRITE",
        CustomerFieldsSetPayload,
        description="Set custom fields of a customer, all or none. Other fields stay as they are.",
    )
    async def customer_fields_set(
        self, info: Info, id: strawberry.ID, input: CustomerFieldsSetInput
    ) -> CustomerFieldsSetPayload | None:
        pk = need_id("Customer", id)
        given = field_changes(input.fields)
        async with info.context.work() as w:
            await set_fields(w, pk, given, MERCHANTS)
            return CustomerFieldsSetPayload(customer=(await customers_by_id(w, [pk]))[pk])
