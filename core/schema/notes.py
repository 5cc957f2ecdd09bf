"""Notes about customers: writing and removing them."""

import strawberry

from core.domain.customers.notes import add_note, remove_note, update_note
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.profile import CustomerNote, notes_by_id
from core.schema.scalars import global_id, need_id, version_seen


@strawberry.input
class CustomerNoteAddInput:
    text: str = strawberry.field(description="1 to 5000 characters.")


@strawberry.input
class CustomerNoteUpdateInput:
    text: str
    if_version: int | None = version_seen()


@strawberry.type
class CustomerNoteAddPayload:
    note: CustomerNote | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerNoteUpdatePayload:
    note: CustomerNote | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerNoteRemovePayload:
    deleted_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class NoteMutations:
    @mutation("CUSTOMERS_WRITE", CustomerNoteAddPayload, description="`id` is the customer's.")
    async def customer_note_add(
        self, info: Info, id: strawberry.ID, input: CustomerNoteAddInput
    ) -> CustomerNoteAddPayload | None:
        customer_id = need_id("Customer", id)
        async with info.context.work() as w:
            pk = await add_note(w, customer_id, input.text)
            return CustomerNoteAddPayload(note=(await notes_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_WRITE", CustomerNoteUpdatePayload)
    async def customer_note_update(
        self, info: Info, id: strawberry.ID, input: CustomerNoteUpdateInput
    ) -> CustomerNoteUpdatePayload | None:
        pk = need_id("CustomerNote", id)
        async with info.context.work() as w:
            await update_note(w, pk, input.text, input.if_version)
            return CustomerNoteUpdatePayload(note=(await notes_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_WRITE", CustomerNoteRemovePayload)
    async def customer_note_remove(
        self, info: Info, id: strawberry.ID
    ) -> CustomerNoteRemovePayload | None:
        pk = need_id("CustomerNote", id)
        async with info.context.work() as w:
            await remove_note(w, pk)
        return CustomerNoteRemovePayload(deleted_id=global_id("CustomerNote", pk))
