"""Filters that templates have beside Liquid's own."""

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from liquid import Environment
from liquid.exceptions import FilterArgumentError
from liquid.filter import liquid_filter, with_context

from core.domain.customers.masking import mask_name
from core.sdk.money import exponent

SIGNS = {"CNY": "¥", "JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "KRW": "₩", "RUB": "₽",
         "HKD": "HK$", "TWD": "NT$"}  # fmt: skip

_DIRECTIVE = re.compile(r"%(-?[A-Za-z%])")
_DIRECTIVES = "YmdHMSyjBbAaIpuWFTR%"
_AS = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M"}


@liquid_filter
def money(value: Any, currency: Any) -> str:
    """An amount with its currency's sign and decimals: {{ order.total | money: "CNY" }}."""
    code = str(currency)
    try:
        amount = Decimal(str(value))
        text = f"{amount:,.{exponent(code)}f}"
    except (InvalidOperation, ValueError):
        raise FilterArgumentError(f"money: {value} is not an amount", token=None) from None
    sign = SIGNS.get(code, f"{code} ")
    return f"-{sign}{text[1:]}" if text.startswith("-") else f"{sign}{text}"


@with_context
@liquid_filter
def date_text(value: Any, pattern: Any, *, context: Any) -> str:
    """A day or time in the shop's zone, by strftime: {{ order.ordered_at | date: "%m月%d日" }}."""
    moment = _moment(value)
    zone = getattr(context.resolve("now", token=None, default=None), "tzinfo", None)
    if isinstance(moment, datetime) and moment.tzinfo is not None and zone is not None:
        moment = moment.astimezone(zone)
    return _DIRECTIVE.sub(lambda found: _directive(moment, found.group(1)), str(pattern))


@liquid_filter
def masked(value: Any) -> str:
    """A name with all but its first character hidden: 张三 as 张**."""
    return mask_name(str(value))


FILTERS = {"money": money, "date": date_text, "masked": masked}


def add_filters(environment: Environment) -> None:
    """Give an environment these filters; `date` takes the place of Liquid's own."""
    environment.filters.update(FILTERS)


def _moment(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        text = str(value)
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        raise FilterArgumentError(f"date: {value} is not a day or time", token=None) from None


def _directive(moment: date, directive: str) -> str:
    """One directive at a time: strftime may not take other than ASCII around it."""
    bare = directive.lstrip("-")
    if bare not in _DIRECTIVES:
        raise FilterArgumentError(f"date: there is no %{directive}", token=None)
    text = moment.strftime(_AS.get(bare, f"%{bare}"))
    return text.lstrip("0") or "0" if directive.startswith("-") else text
