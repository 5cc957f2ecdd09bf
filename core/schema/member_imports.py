"""Taking in files of an existing programme: members, tiers and points."""

from collections.abc import AsyncIterator
from enum import Enum
from typing import Any

import strawberry
from strawberry.file_uploads import Upload

from core.domain.members.importing import Options, start_import
from core.schema.context import Info, mutation
from core.schema.customer_imports import COLUMNS, FILE, SHOP
from core.schema.errors import UserError
from core.schema.jobs import Job
from core.schema.order_intake import ColumnInput
from core.schema.scalars import sought
from core.schema.uploads import file_name, start_once
from core.storage.database import Work


@strawberry.enum(description="What becomes of the tiers of a file.")
class MemberImportTiers(Enum):
    KEEP = strawberry.enum_value(
        "keep", description="They are kept until they end, and follow the rules from then on."
    )
    MANUAL = strawberry.enum_value(
        "manual", description="They are given by hand: until they end, or for good."
    )
    COMPUTE = strawberry.enum_value(
        "compute", description="They are not stored: tiers follow from what was bought."
    )


@strawberry.input
class MemberImportStartInput:
    file: Upload = strawberry.field(description=FILE)
    idempotency_key: str
    columns: list[ColumnInput] = strawberry.field(default_factory=list, description=COLUMNS)
    shop_id: strawberry.ID | None = strawberry.field(default=None, description=SHOP)
    tiers: MemberImportTiers = MemberImportTiers.KEEP
    dry_run: bool = strawberry.field(
        default=False, description="Nothing is stored; the job's result is what would be."
    )


@strawberry.type
class MemberImportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MemberImportMutations:
    @mutation(
        "MEMBERS_WRITE",
        MemberImportStartPayload,
        description="Take in a file of members, tiers and points; `jobProgress` follows the job. "
        "Its result has the `reconciliation`: the file against what is stored. Nothing is given "
        "twice, however often a file is taken in.",
    )
    async def member_import_start(
        self, info: Info, input: MemberImportStartInput
    ) -> MemberImportStartPayload | None:
        name = file_name(input.file)
        shop_id = input.shop_id
        tiers: Any = input.tiers.value
        options = Options(
            mapping={column.field: column.header for column in input.columns},
            shop_id=sought("Shop", shop_id),
            tiers=tiers,
            dry_run=input.dry_run,
        )

        async def start(w: Work, pieces: AsyncIterator[bytes]) -> int:
            return await start_import(w, options, pieces, name)

        return MemberImportStartPayload(
            job=await start_once(info, "memberImportStart", input, start)
        )
