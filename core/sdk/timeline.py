"""What a customer's timeline shows: each kind of event comes from one source."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TimelineSource:
    """Events of customers, read from a table.

    `sql` is a SELECT with the columns `at` (when), `kind`, `key` (a number, unique in the source),
    `object_type` and `object_id` (what the event is about, such as 'Order' and its id, or NULL),
    and any others that `data` uses. In it $1 is the merchant, $2 the customer, and $3 the earliest
    time that is still wanted: a source that leaves out what is older is faster, and need not.

    `kinds` gives each kind its title, in which {name} stands for a value of the data. With
    `is_open` other kinds may come, whose titles are their names. `data` is an SQL expression of a
    JSON object over the columns of `sql`; it never holds contact data. `permission` is what a token
    needs to see these events.

    `common` are SELECTs by name, which are run once for all sources that name them and can be used
    in `sql` like tables; a name begins with the plugin's.
    """

    name: str
    kinds: Mapping[str, str]
    sql: str
    data: str = "'{}'::jsonb"
    permission: str = "CUSTOMERS_READ"
    is_open: bool = False
    common: Mapping[str, str] = field(default_factory=dict)
