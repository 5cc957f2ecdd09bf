"""Amounts of money as parameters of rules."""

from dataclasses import dataclass
from decimal import Decimal

from core.sdk.facets import Fault, Query, Say, Text, check_bounds
from core.sdk.money import to_minor

MAX_SUM = 2**63 - 1


@dataclass(frozen=True)
class MoneyRange:
    """Amounts of one currency, bounds included; written as 99.00, not in cents."""

    currency: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None

    def check(self) -> Fault | None:
        """What is wrong with the range, or None."""
        return check_money(self.currency, self.at_least, self.at_most)

    def sql(self, amount: str, q: Query) -> list[str]:
        """Conditions on an amount in minor units."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return [
            f"{amount} {sign} {minor_arg(bound, self.currency, q)}"
            for sign, bound in bounds
            if bound is not None
        ]

    def explain(self, say: Say) -> str:
        """The range in words, such as "at least 99.00 CNY"."""
        return say.bounds(self.at_least, self.at_most, Text(self.currency, self.currency))


def check_money(currency: str, low: Decimal | None, high: Decimal | None) -> Fault | None:
    """What is wrong with bounds of an amount in a currency."""
    if fault := check_currency(currency):
        return fault
    minor: dict[str, int | None] = {}
    for name, value in (("at_least", low), ("at_most", high)):
        try:
            minor[name] = None if value is None else to_minor(value, currency)
        except ValueError as error:
            return Fault(str(error), (name,))
    return check_bounds(minor["at_least"], minor["at_most"], MAX_SUM)


def minor_arg(amount: Decimal | None, currency: str, q: Query) -> str | None:
    """An amount as a parameter in minor units, None for no bound."""
    return None if amount is None else q.arg(to_minor(amount, currency), "bigint")


def check_currency(currency: str) -> Fault | None:
    """What is wrong with the code of a currency."""
    if len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper():
        return None
    return Fault("currency is not a currency code; write it as CNY", ("currency",))
