"""Rows that belong to customers, and reading them once for all customers."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rows:
    """Rows that belong to customers, such as the paid orders of one shop.

    `source` is a FROM clause; `customer` the column with the customer's id, whose table has
    `merchant_id` as well; `where` are conditions that name no `c`, so that the rows can be read
    for one customer and for all of them alike. `existing` says that there is a customer for every
    row: merges take such rows along, and erasures take them away. A rule that asks for nothing else
    then needs not look at the customers. `few` says that hardly any customer has two such rows:
    customers are then told apart faster by sorting than by hashing.
    """

    source: str
    customer: str
    where: Sequence[str] = ()
    existing: bool = False
    few: bool = False

    @property
    def own(self) -> str:
        """FROM and WHERE of the rows of customer `c`."""
        alias = self.customer.partition(".")[0]
        return self._read([f"{alias}.merchant_id = c.merchant_id", f"{self.customer} = c.id"])

    def of_all(self, within: str = "") -> str:
        """FROM and WHERE of the rows of all customers, or of those that a condition leaves."""
        alias = self.customer.partition(".")[0]
        return self._read([f"{alias}.merchant_id = $1", f"{self.customer} IS NOT NULL{within}"])

    def _read(self, whose: Sequence[str]) -> str:
        return f"FROM {self.source} WHERE {' AND '.join([*whose, *self.where])}"


AGGREGATES = frozenset({"count", "sum", "min", "max", "avg", "bool_or", "bool_and"})


@dataclass(frozen=True)
class Total:
    """What is asked of one customer's rows: `test`, a condition on the aggregate `total`."""

    total: str
    test: str

    @property
    def is_one(self) -> bool:
        """Whether `total` is one call of one aggregate, which can be kept to some of the rows."""
        name, _, rest = self.total.partition("(")
        depth = 1
        for place, sign in enumerate(rest):
            depth += (sign == "(") - (sign == ")")
            if depth == 0:
                return name in AGGREGATES and place == len(rest) - 1
        return False

    def of(self, only: str) -> str:
        """The test about those rows that a condition holds for, false if there are none."""
        if not only:
            return self.test
        kept = self.test.replace(self.total, f"{self.total} FILTER (WHERE {only})")
        return f"bool_or({only}) AND ({kept})"


Question = tuple[Sequence[str], Total | None]
"""Conditions on rows, and what is asked of those of one customer: a total, or any at all."""


@dataclass(eq=False)
class Pass:
    """One reading of rows for all customers, which answers all that is asked of them.

    Its SELECT has the `id` of each customer for whom any answer is true, and a column for each
    question that is true, false or null.
    """

    alias: str
    source: str
    customer: str
    few: bool = False
    asked: list[Question] = field(default_factory=list)

    def ask(self, rows: Rows, total: Total | None) -> str:
        """The column that says whether there are such rows, and the test about them holds."""
        question = (rows.where, total)
        if question not in self.asked:
            self.asked.append(question)
        return f"{self.alias}.a{self.asked.index(question)}"

    def ids(self, within: str) -> str:
        """A SELECT of the `id` alone, of a pass that answers but one question; see `select`."""
        read, total = self._one_question(within)
        if total:
            return (
                f"SELECT {self.customer} AS id {read} GROUP BY {self.customer} HAVING {total.test}"
            )
        # DISTINCT ON is never hashed
        alike = f"DISTINCT ON ({self.customer})" if self.few else "DISTINCT"
        return f"SELECT {alike} {self.customer} AS id {read}"

    def count(self, within: str) -> str:
        """A SELECT of how many customers `ids` finds."""
        read, total = self._one_question(within)
        if total or not self.few:
            return f"SELECT count(*) FROM ({self.ids(within)}) c"
        return f"SELECT count(DISTINCT {self.customer}) {read}"

    def _one_question(self, within: str) -> tuple[str, Total | None]:
        ((where, total),) = self.asked
        return Rows(self.source, self.customer, where).of_all(within), total

    def select(self, within: str) -> str:
        """The SELECT; `within` is a condition on the customer's id, or nothing."""
        first, *others = [where for where, _ in self.asked]
        shared = [one for one in first if all(one in where for where in others)]
        apart = [" AND ".join(one for one in where if one not in shared) for where, _ in self.asked]
        answers = [
            total.of(only) if total else (f"bool_or({only})" if only else "TRUE")
            for only, (_, total) in zip(apart, self.asked, strict=True)
        ]
        if all(apart):
            shared.append(f"({' OR '.join(f'({only})' for only in apart)})")
        columns = [f"{answer} AS a{place}" for place, answer in enumerate(answers)]
        kept = [f"({answer})" for answer, (_, total) in zip(answers, self.asked, strict=True)
                if total]  # fmt: skip
        return (
            f"SELECT {', '.join([f'{self.customer} AS id', *columns])} "
            f"{Rows(self.source, self.customer, shared).of_all(within)} GROUP BY {self.customer}"
            + (f" HAVING {' OR '.join(kept)}" if len(kept) == len(self.asked) else "")
        )


def pass_of(rows: Rows, total: Total | None) -> tuple[object, ...]:
    """What questions have in common that one pass answers.

    Rows of many kinds are told apart in one reading, unless that takes a look into other tables,
    or what is asked of them is no single aggregate.
    """
    apart = total is None or total.is_one
    alike = [one for one in rows.where if "SELECT" in one] if apart else rows.where
    return rows.source, rows.customer, tuple(alike), apart
