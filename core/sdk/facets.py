"""The Facet protocol: something that a segment's rule can ask about a customer."""

from datetime import datetime
from typing import Any, ClassVar, Protocol


class Query:
    """What a facet's SQL may use: the customer's row as alias `c`, and parameters.

    Statements of a facet are correlated: `EXISTS (SELECT 1 FROM orders o WHERE o.merchant_id =
    c.merchant_id AND o.customer_id = c.id AND ...)`. Filtering by `c.merchant_id` is what keeps
    merchants apart.
    """

    def __init__(self, merchant_id: int, now: datetime, time_zone: str) -> None:
        self.merchant_id = merchant_id
        self.now = now
        self.time_zone = time_zone
        self.args: list[Any] = [merchant_id]

    def arg(self, value: Any) -> str:
        """Add a parameter; returns its placeholder, for instance "$3"."""
        self.args.append(value)
        return f"${len(self.args)}"


class Facet(Protocol):
    """A question about a customer.

    `rule` is a dataclass of the question's parameters; its fields become the GraphQL input, its
    docstring the description. Parameters are int, str, bool, Decimal, date, an Enum, a list of
    these, or None.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    rule: ClassVar[type]

    def check(self, rule: Any) -> str | None:
        """What is wrong with the parameters, or None."""

    def sql(self, rule: Any, q: Query) -> str:
        """A boolean SQL expression about `c`, never NULL."""

    def explain(self, rule: Any) -> str:
        """The question in words, for instance "bought at least 2 times in the last 365 days"."""
