"""What every resolver is given, and the decorators that let nobody in without the right."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from functools import wraps
from typing import Any, TypeVar

import strawberry
from strawberry.dataloader import DataLoader
from strawberry.types.info import Info as StrawberryInfo

from core.domain.shops.tokens import Caller
from core.installation import Installation
from core.schema.errors import FORBIDDEN, UNAUTHENTICATED, RequestError, user_errors
from core.schema.reads import seen
from core.schema.scalars import Authenticated, Requires
from core.sdk.errors import HuikeError, Several
from core.storage.database import Session, Work

R = TypeVar("R")
ANY_TOKEN = "ANY_TOKEN"  # noqa: S105 - no password
"""In place of a permission, for fields that any valid token may read."""

CHILDREN: dict[str, Callable[..., Any]] = {}
"""Batches of children that a later noun enters for the types of an earlier one.

Types refer to each other both ways, modules import one way.
"""


class Context:
    """One request, or one WebSocket connection.

    Loaders batch the children of one level into one statement; they keep nothing, so that a
    connection which lives long never sees stale rows.
    """

    def __init__(self, installation: Installation, caller: Caller | None, request_id: str) -> None:
        self.installation = installation
        self.caller = caller
        self.request_id = request_id
        self._loaders: dict[Any, DataLoader[Any, Any]] = {}
        # the WebSocket protocol puts these two here
        self.connection_params: dict[str, Any] | None = None
        self.request: Any = None

    @property
    def merchant_id(self) -> int:
        """The caller's merchant. Raises RequestError without a caller."""
        if self.caller is None:
            raise RequestError(
                UNAUTHENTICATED, "no valid token: send Authorization: Bearer <token>"
            )
        return self.caller.merchant_id

    @property
    def actor(self) -> str:
        """How the caller is named in logs."""
        return f"token:{self.caller.token_id}" if self.caller else "nobody"

    def may(self, permission: str) -> bool:
        """Whether the caller has the right."""
        return self.caller is not None and permission in self.caller.permissions

    def need(self, permission: str) -> None:
        """Raises RequestError unless the caller has the right."""
        if self.caller is None:
            raise RequestError(
                UNAUTHENTICATED, "no valid token: send Authorization: Bearer <token>"
            )
        if permission != ANY_TOKEN and permission not in self.caller.permissions:
            raise RequestError(FORBIDDEN, f"the token lacks the permission {permission}")

    def saw(self, kind: str, person: int) -> None:
        """Count contact data that is shown in the clear; see reads.py."""
        operation = seen.get()
        if operation is not None:
            operation.add(kind, person)

    def read(self) -> AbstractAsyncContextManager[Session]:
        return self.installation.db.read(self.merchant_id, self.actor)

    def work(self) -> AbstractAsyncContextManager[Work]:
        return self.installation.db.work(self.merchant_id, self.actor)

    async def load(
        self, key: Any, pk: Any, batch: Callable[[Session, list[Any]], Awaitable[Mapping[Any, R]]]
    ) -> R | None:
        """Load one child; `batch` fetches all those of the same level with one statement."""
        loader = self._loaders.get(key)
        if loader is None:

            async def load_all(pks: list[Any]) -> list[Any]:
                async with self.read() as session:
                    found = await batch(session, list(dict.fromkeys(pks)))
                return [found.get(pk) for pk in pks]

            loader = self._loaders[key] = DataLoader(load_fn=load_all, cache=False)
        result: R | None = await loader.load(pk)
        return result


Info = StrawberryInfo[Context, None]


def guard(permission: str) -> Any:
    """The directive that shows a field's permission."""
    return Authenticated() if permission == ANY_TOKEN else Requires(permission=permission)


def field(permission: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A field that needs a right; its resolver takes `info`."""

    def decorate(resolver: Callable[..., Awaitable[Any]]) -> Any:
        @wraps(resolver)
        async def checked(self: Any, info: Info, **arguments: Any) -> Any:
            info.context.need(permission)
            return await resolver(self, info=info, **arguments)

        return strawberry.field(resolver=checked, directives=[guard(permission)], **options)

    return decorate


def mutation(permission: str, payload: type, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A mutation that needs a right; expected errors become those of its payload."""

    def decorate(resolver: Callable[..., Awaitable[Any]]) -> Any:
        @wraps(resolver)
        async def checked(self: Any, info: Info, **arguments: Any) -> Any:
            info.context.need(permission)
            try:
                return await resolver(self, info=info, **arguments)
            except (HuikeError, Several) as error:
                return payload(errors=user_errors(error))

        return strawberry.mutation(resolver=checked, directives=[guard(permission)], **options)

    return decorate


def subscription(permission: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A subscription that needs a right, checked before the first event."""

    def decorate(resolver: Callable[..., AsyncGenerator[Any]]) -> Any:
        @wraps(resolver)
        async def checked(self: Any, info: Info, **arguments: Any) -> AsyncIterator[Any]:
            info.context.need(permission)
            async with aclosing(resolver(self, info=info, **arguments)) as values:
                async for value in values:
                    yield value

        return strawberry.subscription(resolver=checked, directives=[guard(permission)], **options)

    return decorate
