"""Taking in files of customers: a look at one, the import, and taking it back."""

from collections.abc import AsyncIterator
from enum import Enum
from typing import Any

import strawberry
from strawberry.file_uploads import Upload

from core.domain.customers import importing
from core.domain.customers.import_undo import start_undo
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.order_intake import ColumnInput, ImportConsentInput
from core.schema.scalars import JSON, need_id, sought
from core.schema.uploads import file_name, pieces_of, start_once
from core.storage.database import Work
from core.tabular.bulk import refuse_old_excel, temporary_file

FILE = "A multipart upload (graphql-multipart-request-spec) of a CSV or Excel file."
COLUMNS = "Where fields stand whose headers are not recognised."
SHOP = "The shop whose ids the file has; without it they are the merchant's own."


@strawberry.enum(description="What becomes of customers who are known already.")
class ImportExisting(Enum):
    UPDATE = strawberry.enum_value(
        "update", description="What a row says counts; blank cells change nothing."
    )
    FILL = strawberry.enum_value("fill", description="Only gaps are filled.")
    SKIP = strawberry.enum_value("skip", description="They stay as they are.")


@strawberry.enum(description="What becomes of the import when a row cannot be taken in.")
class ImportOnError(Enum):
    SKIP = strawberry.enum_value("skip", description="The row is refused, the others go on.")
    STOP = strawberry.enum_value(
        "stop", description="The import fails; what was stored before stays."
    )


@strawberry.input
class CustomerImportStartInput:
    file: Upload = strawberry.field(description=FILE)
    idempotency_key: str
    columns: list[ColumnInput] = strawberry.field(default_factory=list, description=COLUMNS)
    shop_id: strawberry.ID | None = strawberry.field(default=None, description=SHOP)
    existing: ImportExisting = ImportExisting.UPDATE
    on_error: ImportOnError = ImportOnError.SKIP
    tags: list[str] = strawberry.field(
        default_factory=list, description="For every customer of the file."
    )
    consents: list[ImportConsentInput] = strawberry.field(default_factory=list)


@strawberry.input
class CustomerImportPreviewInput:
    file: Upload = strawberry.field(description=FILE)
    columns: list[ColumnInput] = strawberry.field(default_factory=list, description=COLUMNS)
    shop_id: strawberry.ID | None = strawberry.field(default=None, description=SHOP)
    rows: int = strawberry.field(default=20, description="1 to 100.")


@strawberry.type(description="Where a field of the importer stands in the file.")
class ImportColumn:
    field: str
    headers: list[str] = strawberry.field(description="The first usable cell counts.")
    guessed: bool = strawberry.field(description="Recognised by its header, not mapped.")


@strawberry.type(description="What is wrong with a row.")
class ImportProblem:
    code: str
    column: str | None
    message: str


@strawberry.type(description="A row as it would be read.")
class ImportPreviewRow:
    row: int
    values: JSON = strawberry.field(description="By field; blank cells are left out.")
    problem: ImportProblem | None


@strawberry.type(description="How a file would be read; nothing of it is stored.")
class CustomerImportPreview:
    columns: list[ImportColumn]
    unused_headers: list[str]
    rows: list[ImportPreviewRow]


@strawberry.type
class CustomerImportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerImportPreviewPayload:
    preview: CustomerImportPreview | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerImportUndoPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def preview_of(found: importing.Preview) -> CustomerImportPreview:
    columns = found.columns
    return CustomerImportPreview(
        columns=[
            ImportColumn(
                field=field,
                headers=[columns.headers[position] for position in positions],
                guessed=field in columns.guessed,
            )
            for field, positions in columns.at.items()
        ],
        unused_headers=columns.unused(),
        rows=[
            ImportPreviewRow(row=row.row, values=JSON(dict(row.values)), problem=problem_of(row))
            for row in found.rows
        ],
    )


def problem_of(row: importing.PreviewRow) -> ImportProblem | None:
    given = row.problem
    if given is None:
        return None
    return ImportProblem(code=given.code, column=given.column, message=given.reason)


def options_of(input: Any, **more: Any) -> importing.Options:
    shop_id = input.shop_id
    return importing.Options(
        mapping={column.field: column.header for column in input.columns},
        shop_id=sought("Shop", shop_id),
        **more,
    )


@strawberry.type
class CustomerImportMutations:
    @mutation(
        "CUSTOMERS_IMPORT",
        CustomerImportPreviewPayload,
        description="See how a file would be read: the fields found and the first rows.",
    )
    async def customer_import_preview(
        self, info: Info, input: CustomerImportPreviewInput
    ) -> CustomerImportPreviewPayload | None:
        refuse_old_excel(file_name(input.file))
        options = options_of(input)
        async with temporary_file(pieces_of(input.file)) as facts, info.context.read() as session:
            found = await importing.preview(session, facts, options, input.rows)
        return CustomerImportPreviewPayload(preview=preview_of(found))

    @mutation(
        "CUSTOMERS_IMPORT",
        CustomerImportStartPayload,
        description="Take in a file of customers; `jobProgress` follows the job.",
    )
    async def customer_import_start(
        self, info: Info, input: CustomerImportStartInput
    ) -> CustomerImportStartPayload | None:
        name = file_name(input.file)
        options = options_of(
            input,
            existing=input.existing.value,
            on_error=input.on_error.value,
            tags=input.tags,
            consent={one.channel: one.evidence for one in input.consents},
        )

        async def start(w: Work, pieces: AsyncIterator[bytes]) -> int:
            return await importing.start_import(w, options, pieces, name)

        return CustomerImportStartPayload(
            job=await start_once(info, "customerImportStart", input, start)
        )

    @mutation(
        "CUSTOMERS_IMPORT",
        CustomerImportUndoPayload,
        description="Take an import of customers back, by its job. What was changed since, or is "
        "in use, stays: the new job's result and rejects tell how much and why.",
    )
    async def customer_import_undo(
        self, info: Info, id: strawberry.ID
    ) -> CustomerImportUndoPayload | None:
        pk = need_id("Job", id)
        async with info.context.work() as w:
            job_id = await start_undo(w, pk)
            return CustomerImportUndoPayload(job=(await jobs_by_id(w, [job_id]))[job_id])
