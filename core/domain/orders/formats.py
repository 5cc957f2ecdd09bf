"""The fields of a file of orders, and the one format that core knows; docs/guides/import.md."""

from collections.abc import Mapping, Sequence

from core.sdk.errors import InvalidInput
from core.sdk.orders import OrderFormat, OrderState

FIELDS: Mapping[str, str] = {
    "order_id": "the order's number (required)",
    "state": "the order's state (required)",
    "ordered_at": "when it was ordered (required)",
    "paid": "what the buyer paid (required, unless `total` is there)",
    "total": "what was to be paid (required, unless `paid` is there)",
    "refunded": "what was paid back",
    "currency": "ISO code; the shop's currency without it",
    "paid_at": "when it was paid",
    "shipped_at": "when it was shipped",
    "closed_at": "when it was completed or closed",
    "modified_at": "when the platform last changed it: an older row never overwrites a newer",
    "buyer_id": "the platform's own id of the buyer, stable and not masked",
    "name": "receiver's name",
    "phone": "receiver's phone number",
    "email": "receiver's email address",
    "province": "receiver's province; read from the address without it",
    "city": "receiver's city; read from the address without it",
    "address": "receiver's address",
    "line_id": "the article's own id in the order, for files with a row for each article",
    "title": "the article's title",
    "sku": "the article's number",
    "quantity": "how many pieces",
    "amount": "what was paid for the article",
    "tracking_numbers": "the parcels' numbers, with commas between them",
    "carrier": "who brings the parcels",
}

REQUIRED = ("order_id", "state", "ordered_at")

GENERIC_STATES: Mapping[str, OrderState] = {
    **{state.value: state for state in OrderState},
    "unpaid": OrderState.CREATED_UNPAID,
    "pending": OrderState.CREATED_UNPAID,
    "paid": OrderState.TO_SHIP,
    "finished": OrderState.COMPLETED,
    "cancelled": OrderState.CLOSED_UNPAID,
    "closed": OrderState.CLOSED_UNPAID,
    "refunded": OrderState.CLOSED_REFUNDED,
}

GENERIC = OrderFormat(
    name="generic",
    title="Table with the documented headers",
    columns={field: (field,) for field in FIELDS},
    signature=frozenset(REQUIRED),
    states=GENERIC_STATES,
    identity_kind="buyer_id",
)

ORDER_FORMATS: list[OrderFormat] = [GENERIC]


class ColumnsMissing(InvalidInput):
    code = "IMPORT_COLUMNS_MISSING"
    cause = "The file lacks columns that every order needs."
    cure = "Export the file with these columns, or name them with a mapping (field=Header)."


class FormatUnknown(InvalidInput):
    code = "IMPORT_FORMAT_UNKNOWN"
    cause = "The file's headers are those of no known format."
    cure = "Name the format, or map the fields to the file's headers (field=Header)."


def choose_format(
    formats: Mapping[str, OrderFormat],
    headers: Sequence[str],
    name: str | None,
    mapping: Mapping[str, str],
) -> OrderFormat:
    """The format named, else the one that the headers show, else the generic one if mapped.

    Raises FormatUnknown.
    """
    known = ", ".join(sorted(formats))
    if name is not None:
        if name not in formats:
            raise FormatUnknown(
                f"there is no format {name!r}; there are: {known}", ("input", "format")
            )
        return formats[name]
    found = {header_key(header) for header in headers}
    fitting = [f for f in formats.values() if {header_key(h) for h in f.signature} <= found]
    if fitting:
        return max(fitting, key=lambda f: len(f.signature))
    if mapping:
        return GENERIC
    raise FormatUnknown(
        f"the file is of no known format ({known}); its headers are: {', '.join(headers)}",
        ("input", "format"),
    )


def find_columns(
    chosen: OrderFormat, headers: Sequence[str], mapping: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """The columns that carry each field, the preferred one first.

    Raises ColumnsMissing, which names all that is missing and the headers there are, and
    InvalidInput for a mapping of an unknown field.
    """
    positions: dict[str, int] = {}
    for position, header in enumerate(headers):
        positions.setdefault(header_key(header), position)
    columns: dict[str, tuple[int, ...]] = {}
    for field, names in chosen.columns.items():
        found = tuple(positions[key] for name in names if (key := header_key(name)) in positions)
        if found:
            columns[field] = found
    missing = []
    for field, header in mapping.items():
        if field not in FIELDS:
            raise InvalidInput(
                f"there is no field {field!r}; there are: {', '.join(FIELDS)}", ("input", "mapping")
            )
        if header_key(header) in positions:
            columns[field] = (positions[header_key(header)],)
        else:
            missing.append(f"{field} (mapped to {header})")
    missing += [_wanted(chosen, field) for field in REQUIRED if field not in columns]
    if "paid" not in columns and "total" not in columns:
        missing.append(_wanted(chosen, "paid"))
    if missing:
        raise ColumnsMissing(
            f"columns are missing: {', '.join(dict.fromkeys(missing))}; "
            f"the file's headers are: {', '.join(headers) or 'none'}",
            ("input", "file"),
        )
    return columns


def header_key(header: str) -> str:
    """A header as it is compared: without blanks and case."""
    return "".join(header.split()).casefold()


def _wanted(chosen: OrderFormat, field: str) -> str:
    names = [name for name in chosen.columns.get(field, ()) if name != field]
    return f"{field} ({' or '.join(names)})" if names else field
