"""The days that shops' calendars name: holidays, and weekend days on which people work."""

from datetime import date
from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.policy.hours import DayKind, delete_holiday, set_holidays
from core.domain.campaigns.policy.official_days import add_official_days
from core.domain.campaigns.policy.places import ALL_SHOPS
from core.domain.campaigns.recurring import plan_anew
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.scalars import Node, by_pk, global_id, need_id, sought
from core.storage.database import Session

OF_SHOP = "shop_id = $2 AND day = ANY($3::date[]) ORDER BY day"


@strawberry.enum(description="What a day of the calendar is.")
class SendingDayKind(Enum):
    QUIET = DayKind.QUIET
    OFF = DayKind.OFF
    WORKING = DayKind.WORKING


@strawberry.type(description="A day that the calendar of a shop, or of all, names.")
class SendingHoliday(Node):
    shop_id: strawberry.ID | None = strawberry.field(description="Null: all shops.")
    day: date
    name: str
    kind: SendingDayKind
    service: bool = strawberry.field(description="Whether no service message goes out either.")


@strawberry.input
class SendingHolidaysSetInput:
    days: list[date]
    name: str
    kind: SendingDayKind = SendingDayKind.QUIET
    shop_id: strawberry.ID | None = None
    service: bool = strawberry.field(
        default=False, description="Whether no service message goes out either."
    )


@strawberry.input
class SendingHolidaysAddOfficialInput:
    year: int
    kind: SendingDayKind = strawberry.field(
        default=SendingDayKind.OFF, description="What the holidays are: `OFF` or `QUIET`."
    )
    shop_id: strawberry.ID | None = None


@strawberry.type
class SendingHolidaysSetPayload:
    holidays: list[SendingHoliday] | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SendingHolidayDeletePayload:
    deleted_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SendingHolidaysAddOfficialPayload:
    holidays: list[SendingHoliday] | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def row_shop(row: Any) -> strawberry.ID | None:
    """The shop of a row of the policy, None for all."""
    return global_id("Shop", row["shop_id"]) if row["shop_id"] != ALL_SHOPS else None


def shop_key(shop_id: strawberry.ID | None) -> int:
    """The number of a shop that an input names, or that of all shops."""
    return sought("Shop", shop_id) or ALL_SHOPS


async def read_days(session: Session, where: str, *args: Any) -> list[SendingHoliday]:
    """The days that a condition finds, in its order."""
    rows = await session.sql.fetch(
        f"SELECT * FROM sending_holidays WHERE merchant_id = $1 AND {where}",
        session.merchant_id, *args,
    )  # fmt: skip
    return [
        SendingHoliday(
            id=global_id("SendingHoliday", row["id"]),
            shop_id=row_shop(row),
            day=row["day"],
            name=row["name"],
            kind=SendingDayKind(row["kind"]),
            service=row["service"],
        )
        for row in rows
    ]


async def holidays_by_id(session: Session, pks: list[int]) -> dict[int, SendingHoliday]:
    return by_pk(await read_days(session, "id = ANY($2)", pks))


@strawberry.type
class SendingDayMutations:
    @mutation("SENDING_POLICY_WRITE", SendingHolidaysSetPayload)
    async def sending_holidays_set(
        self, info: Info, input: SendingHolidaysSetInput
    ) -> SendingHolidaysSetPayload | None:
        shop = shop_key(input.shop_id)
        async with info.context.work() as w:
            await set_holidays(
                w, info.context.installation.registry, shop, input.days, input.name, input.service,
                input.kind.value,
            )  # fmt: skip
            await plan_anew(w)
            made = await read_days(w, OF_SHOP, shop, input.days)
        return SendingHolidaysSetPayload(holidays=made)

    @mutation("SENDING_POLICY_WRITE", SendingHolidayDeletePayload)
    async def sending_holiday_delete(
        self, info: Info, id: strawberry.ID
    ) -> SendingHolidayDeletePayload | None:
        async with info.context.work() as w:
            await delete_holiday(w, need_id("SendingHoliday", id))
            await plan_anew(w)
        return SendingHolidayDeletePayload(deleted_id=id)

    @mutation(
        "SENDING_POLICY_WRITE",
        SendingHolidaysAddOfficialPayload,
        description="Add the official holidays of a year in mainland China, and the weekend days "
        "that are worked in return. Days that are named already stay what they are.",
    )
    async def sending_holidays_add_official(
        self, info: Info, input: SendingHolidaysAddOfficialInput
    ) -> SendingHolidaysAddOfficialPayload | None:
        shop = shop_key(input.shop_id)
        async with info.context.work() as w:
            days = await add_official_days(
                w, info.context.installation.registry, shop, input.year, input.kind.value
            )
            await plan_anew(w)
            made = await read_days(w, OF_SHOP, shop, days)
        return SendingHolidaysAddOfficialPayload(holidays=made)
