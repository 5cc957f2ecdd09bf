"""A random share of all customers, for tests of one message against another."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from core.sdk.facets import Facet, Fault, Query, Say, Text

PARTS = 10_000
"""Parts of a hundredth of a percent, to which customers are allotted."""


@dataclass(frozen=True)
class RandomShareRule:
    """Who is in a random share from one percentage up to another, such as 10 to 20.

    A customer stays in its place for good: the shares 0 to 10 and 10 to 20 have nobody in common
    and make up that of 0 to 20. Another seed shuffles anew.
    """

    to_percent: Decimal
    from_percent: Decimal = Decimal(0)
    seed: int = 0


class RandomShare(Facet):
    """Whether the customer is in a random share.

    PostgreSQL's hash of ids is the one that it spreads rows over partitions with, so it stays the
    same over restarts, versions and machines.
    """

    name: ClassVar[str] = "random_share"
    title: ClassVar[Text] = Text("Random share", "随机抽样")
    rule: ClassVar[type] = RandomShareRule

    def check(self, rule: RandomShareRule) -> Fault | None:
        for name in ("from_percent", "to_percent"):
            value = getattr(rule, name)
            if not 0 <= value <= 100 or value * 100 % 1:
                return Fault(f"{name} is from 0 to 100, with two decimals at most", (name,))
        if rule.from_percent >= rule.to_percent:
            return Fault("from_percent is not below to_percent: nobody could match",
                         ("from_percent",))  # fmt: skip
        if not -(2**63) <= rule.seed < 2**63:
            return Fault("seed is a number of 64 bits", ("seed",))
        return None

    def sql(self, rule: RandomShareRule, q: Query) -> str:
        low, high = (int(value * 100) for value in (rule.from_percent, rule.to_percent))
        part = part_sql("c.id", q.arg(rule.seed, "bigint"))
        return f"({part} BETWEEN {q.arg(low, 'bigint')} AND {q.arg(high - 1, 'bigint')})"

    def found(self, rule: RandomShareRule, q: Query) -> str:
        return f"({part_sql('c.id', q.arg(rule.seed, 'bigint'))} / 100.0)::numeric(5, 2)"

    def explain(self, rule: RandomShareRule, say: Say) -> str:
        low, high = (f"{value.normalize():f}%" for value in (rule.from_percent, rule.to_percent))
        return say(f"is in the random share {low} to {high} of seed {rule.seed}",
                   f"属于随机抽样{low}至{high}(种子{rule.seed})")  # fmt: skip


def part_sql(number: str, seed: str) -> str:
    """To which of the PARTS, from 0, a number is allotted, as SQL; without the hash's sign."""
    return f"((hashint8extended({number}, {seed}) & {2**63 - 1}) % {PARTS})"
