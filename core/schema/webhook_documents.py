"""The documents that make the bodies of webhooks: checked when they are saved."""

from typing import Any

from graphql import is_non_null_type, type_from_ast

from core.domain.shops.webhooks.topics import fields_of
from core.domain.shops.webhooks.webhooks import Settings
from core.schema.stored_queries import check_query, permissions_of
from core.sdk.errors import InvalidInput

PATH = ("input", "document")


def check_document(schema: Any, settings: Settings) -> None:
    """Raises InvalidInput unless the document is a query that the events have the variables for.

    `schema` is the strawberry schema.
    """
    if settings.document is None:
        return
    document, query = check_query(schema, settings.document, PATH)
    there = fields_of(settings.topics)
    for variable in query.variable_definitions or () if there is not None else ():
        name = variable.variable.name.value
        kind = type_from_ast(schema._schema, variable.type)
        needed = is_non_null_type(kind) and variable.default_value is None
        if there is not None and name not in there[0 if needed else 1]:
            every = "every event of the topics" if needed else "any of the topics"
            has = ", ".join(sorted(there[0])) or "none in common"
            raise InvalidInput(f"${name} is no field of {every}; they have {has}", PATH)
    lacking = sorted(permissions_of(schema, document) - set(settings.permissions))
    if lacking:
        raise InvalidInput(
            f"the document needs the permission {', '.join(lacking)}", ("input", "permissions")
        )
