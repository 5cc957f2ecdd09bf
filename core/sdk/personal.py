"""Which tables hold a customer's data, and what becomes of it on merge, export and erasure.

Core's tables and plugins' are treated alike: each is described once, and merging, exporting and
erasing customers, and renewing their encryption, go through the descriptions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class PersonalTable:
    """A table with data about customers.

    `table` has `merchant_id`, `id` and the column `customer` (the customer's id). A table that
    belongs to another one of the list says so by `parent`: ("order_id", "orders") means that its
    rows belong to whom the row of `orders` belongs to, and `customer` is not used.

    `unique` lists the columns that make a row unique beside the customer, if any: a merge keeps
    the row that the kept customer has, and undoing it brings back the other. `unique_while` names
    a column that ends a row: only rows in which it is NULL are meant, those that ended are history.

    Where a customer has one such row at most (`unique_while` without `unique`), `prefer` says by
    SQL which of two is the better one: an ORDER BY over the row `r`. A merge ends the other and
    sets its column `aside`; undoing it opens that one again, if its customer has no other then.
    `restored` columns of both get back by the undoing what they held before the merge.

    `sealed` maps each encrypted column to its place ("customers.phone"), the first part of the
    associated data `place|merchant|id`. `hidden` columns (hashes, blind indexes) are not exported.

    `copies` maps each JSON column that holds a copy of a row, as PostgreSQL's to_jsonb makes it, to
    the table of that row: its sealed values are opened, and sealed anew, like the row's own.

    `erase` says what an erasure does: "delete" the rows, "blank" the columns of `blank` (set to
    NULL, the customer's id among them if it is named), or "keep" them. A blanked row's column
    `stamp` is set to the time of the erasure.

    `on_merge` is "move" (rows go to the kept customer), or "keep" for tables that a merge does
    not touch or that have their own way.
    """

    name: str
    table: str
    title: str
    customer: str = "customer_id"
    parent: tuple[str, str] | None = None
    unique: tuple[str, ...] = ()
    unique_while: str | None = None
    prefer: str | None = None
    aside: str | None = None
    restored: tuple[str, ...] = ()
    sealed: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    erase: Literal["delete", "blank", "keep"] = "delete"
    blank: tuple[str, ...] = ()
    stamp: str | None = None
    on_merge: Literal["move", "keep"] = "move"
