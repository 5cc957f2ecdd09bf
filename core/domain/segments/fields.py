"""Rules that ask for custom fields: whether the fields exist, and which segments use one."""

from collections.abc import Iterable, Mapping

from core.domain.customers.fields import field_types
from core.domain.segments.facets.custom_fields import (
    FIELD_OPERATORS,
    CustomFieldRule,
    asked_operators,
)
from core.domain.segments.tree import Leaf
from core.sdk.errors import HuikeError, InvalidInput, Several, WrongState
from core.storage.database import Session


def custom_fields_in(questions: Iterable[Leaf]) -> list[Leaf]:
    """Those questions that are about custom fields."""
    return [leaf for leaf in questions if isinstance(leaf.rule, CustomFieldRule)]


async def check_fields(session: Session, questions: Iterable[Leaf]) -> None:
    """Check the custom fields that the questions of a rule are about.

    Raises Several of InvalidInput for a field that does not exist, and for operators that are not
    those of its type.
    """
    asked = custom_fields_in(questions)
    if not asked:
        return
    types = await field_types(session)
    errors: list[HuikeError] = [
        InvalidInput(fault, (*leaf.path, "field"))
        for leaf in asked
        if (fault := _fault(leaf.rule, types))
    ]
    if errors:
        raise Several(errors)


def _fault(rule: CustomFieldRule, types: Mapping[str, str]) -> str | None:
    kind = types.get(rule.field)
    if kind is None:
        return f"there is no field {rule.field[:100]!r}"
    wrong = asked_operators(rule) - FIELD_OPERATORS[kind] - {"is_set"}
    if wrong:
        return (
            f"{rule.field} is of the type {kind} and has no {', '.join(sorted(wrong))}; "
            f"it has {', '.join(sorted(FIELD_OPERATORS[kind]))}, is_set"
        )
    return None


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
