"""Making a merchant: the one step that belongs to no merchant yet."""

from functools import cache
from zoneinfo import available_timezones

from core.sdk.errors import InvalidInput
from core.storage.database import Session, Work

NAME_LIMIT = 200


def check_name(name: str, path: tuple[str, ...] = ("input", "name")) -> str:
    """The name without outer blanks. Raises InvalidInput."""
    cleaned = name.strip()
    if not 1 <= len(cleaned) <= NAME_LIMIT:
        raise InvalidInput(f"a name has 1 to {NAME_LIMIT} characters", path)
    if "\x00" in cleaned:
        raise InvalidInput("a name must not hold the character NUL", path)
    return cleaned


def check_time_zone(name: str, path: tuple[str, ...] = ("input", "timeZone")) -> str:
    """The name of a time zone, such as Asia/Shanghai. Raises InvalidInput."""
    if name not in _time_zones():
        raise InvalidInput(f"{name!r} is not a time zone; write it as Asia/Shanghai", path)
    return name


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())  # looks through hundreds of files


def check_currency(code: str, path: tuple[str, ...] = ("input", "currency")) -> str:
    """An ISO 4217 code in capitals. Raises InvalidInput."""
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
        raise InvalidInput(f"{code!r} is not a currency code; write it as CNY", path)
    return code


async def create_merchant(w: Work, name: str, time_zone: str, currency: str) -> int:
    """Make a merchant and return its id."""
    merchant_id: int = await w.sql.fetchval(
        """INSERT INTO merchants (name, time_zone, currency, created_at)
           VALUES ($1, $2, $3, $4) RETURNING id""",
        check_name(name), check_time_zone(time_zone), check_currency(currency), w.now,
    )  # fmt: skip
    return merchant_id


async def time_zone_of(session: Session) -> str:
    """The merchant's time zone."""
    zone: str = await session.sql.fetchval(
        "SELECT time_zone FROM merchants WHERE id = $1", session.merchant_id
    )
    return zone
