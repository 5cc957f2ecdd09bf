"""Errors as clients see them: the caller's in the payload, the rest at the top level."""

import logging
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
import strawberry
from graphql import GraphQLError

from core.domain.customers.customers import CustomerMerged
from core.domain.customers.identities import IdentityTaken
from core.schema.scalars import ErrorCode, camel, global_id
from core.sdk.errors import HuikeError, Several
from core.storage.connections import BudgetSpent

logger = logging.getLogger(__name__)

UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"
BAD_REQUEST = "BAD_REQUEST"
COST_EXCEEDED = "COST_EXCEEDED"
THROTTLED = "THROTTLED"
TIMEOUT = "TIMEOUT"
LEFT_TO_JOB = "LEFT_TO_JOB"
INTERNAL = "INTERNAL"


NOT_STORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.DataError)
"""What the database says of a client's value that it cannot keep."""


class RequestError(Exception):
    """A fault of the request as a whole, with one of the codes above."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


OF_THE_REQUEST = (RequestError, BudgetSpent, *NOT_STORABLE)
"""What a request does wrong inside a plugin is no failure of the plugin."""


class LeftToJob(RequestError):
    """A query takes long, so that a job answers it; `job_id` is its global id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            LEFT_TO_JOB,
            "this takes long, so a job answers the query: follow it by its id in `jobId`, and ask "
            "the same again when it has ended",
        )
        self.job_id = job_id


@strawberry.interface(description="Something wrong with the input of a mutation.")
class UserError:
    code: ErrorCode
    message: str
    path: list[str] = strawberry.field(description="Leads to the value that is at fault.")
    retryable: bool = strawberry.field(description="Whether the same call may succeed later.")


@strawberry.type(description="An error without further fields.")
class InputError(UserError):
    pass


@strawberry.type(description="An error that another customer is the reason of.")
class CustomerError(UserError):
    customer_id: strawberry.ID = strawberry.field(
        description="The customer that this one was merged into, or that has the id already."
    )


def user_errors(error: HuikeError | Several) -> list[UserError]:
    """The errors of one input, for a payload."""
    errors = error.errors if isinstance(error, Several) else [error]
    return [_user_error(one) for one in errors]


FREE = frozenset({"settings", "parameters", "data", "benefits", "evidence"})
"""Inputs that are JSON: the names in them are as they were given."""


def _written(path: Sequence[str]) -> list[str]:
    free = next((place for place, step in enumerate(path) if step in FREE), len(path))
    return [camel(step) for step in path[:free]] + list(path[free:])


def _user_error(error: HuikeError) -> UserError:
    values: dict[str, Any] = {
        "code": ErrorCode(error.code),
        "message": error.message,
        "path": _written(error.path),
        "retryable": error.retryable,
    }
    if isinstance(error, CustomerMerged | IdentityTaken):
        return CustomerError(**values, customer_id=global_id("Customer", error.customer_id))
    return InputError(**values)


def error_body(message: str, code: str, request_id: str) -> bytes:
    """The JSON that answers what is no GraphQL request at all."""
    extensions = {"code": code, "requestId": request_id}
    return orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})


def cause_of(error: GraphQLError) -> BaseException | None:
    """What was raised in a resolver; None of an error of the document itself."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def unexpected(request_id: str) -> str:
    """What is said of an error that only the log tells."""
    return f"an unexpected error; the log has it under {request_id}"


def presented(error: GraphQLError, request_id: str) -> GraphQLError:
    """The error with its code and the request id; unexpected ones say nothing of what happened."""
    cause = cause_of(error)
    code, message = BAD_REQUEST, error.message
    given = error.extensions or {}
    more = {"jobId": cause.job_id} if isinstance(cause, LeftToJob) else {}
    if isinstance(cause, RequestError):
        code = cause.code
    elif isinstance(cause, HuikeError | Several):
        errors = cause.errors if isinstance(cause, Several) else (cause,)
        code = INTERNAL if errors[0].code == "PLUGIN_FAILED" else BAD_REQUEST
        message = str(cause)
    elif isinstance(cause, BudgetSpent):
        code = COST_EXCEEDED
    elif isinstance(cause, NOT_STORABLE):
        message = "a value cannot be stored: it is out of range, or holds the character NUL"
    elif cause is not None and (error.path is not None or error.nodes is None):
        # what a variable's type says of it has nodes: those are the client's
        code, message = INTERNAL, unexpected(request_id)
        logger.error("request failed", exc_info=cause, extra={"request_id": request_id})
    elif "code" in given:
        code, more = given["code"], {name: given[name] for name in given if name != "code"}
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": code, "requestId": request_id, **more},
    )
