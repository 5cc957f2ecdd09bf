"""Rules that ask for custom fields: whether the fields exist, and which segments use one."""

from collections.abc import Iterator, Mapping
from typing import Any

from core.domain.customers.fields import field_types
from core.domain.segments.facets import FIELD_OPERATORS, CustomField
from core.sdk.errors import HuikeError, InvalidInput, Several, WrongState
from core.storage.database import Session

ROOT = ("input", "rule")


async def check_fields(session: Session, stored: Mapping[str, Any]) -> None:
    """Check the custom fields of a rule that is sound otherwise.

    Raises Several of InvalidInput for a field that does not exist, and for operators that are not
    those of its type.
    """
    leaves = list(_leaves(stored["rule"], ROOT))
    if not leaves:
        return
    types = await field_types(session)
    errors: list[HuikeError] = [
        InvalidInput(fault, path) for leaf, path in leaves if (fault := _fault(leaf, types))
    ]
    if errors:
        raise Several(errors)


def _fault(leaf: Mapping[str, Any], types: Mapping[str, str]) -> str | None:
    kind = types.get(leaf["field"])
    if kind is None:
        return f"there is no field {leaf['field'][:100]!r}"
    asked = {name for name, value in leaf.items() if name != "field" and value is not None}
    wrong = asked - FIELD_OPERATORS[kind] - {"is_set"}
    if wrong:
        return (
            f"{leaf['field']} is of the type {kind} and has no {', '.join(sorted(wrong))}; "
            f"it has {', '.join(sorted(FIELD_OPERATORS[kind]))}, is_set"
        )
    return None


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    ((name, value),) = node.items()
    if name in ("all", "any"):
        for place, child in enumerate(value):
            yield from _leaves(child, (*path, name, str(place)))
    elif name == "not":
        yield from _leaves(value, (*path, name))
    elif name == CustomField.name:
        yield value, (*path, name, "field")


async def check_not_used(session: Session, field: str) -> None:
    """Raises WrongState when the rule of a segment asks for the field."""
    name = await session.sql.fetchval(
        """SELECT name FROM segments WHERE merchant_id = $1
              AND jsonb_path_exists(rule, '$.**.custom_field.field ? (@ == $wanted)',
                                    jsonb_build_object('wanted', $2::text))
           ORDER BY id LIMIT 1""",
        session.merchant_id, field,
    )  # fmt: skip
    if name is not None:
        raise WrongState(f"the segment {name!r} asks for the field: change its rule first", ("id",))
