"""What every resolver is given, and the decorators that let nobody in without the right."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

import strawberry
from strawberry.dataloader import DataLoader
from strawberry.types.info import Info as StrawberryInfo

from core.domain.shops.tokens import Caller
from core.installation import Installation
from core.schema.errors import FORBIDDEN, UNAUTHENTICATED, RequestError, user_errors
from core.schema.executor.later import Batch, Later
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

    def load(
        self, key: Any, pk: Any, batch: Callable[[Session, list[Any]], Awaitable[Mapping[Any, R]]]
    ) -> Awaitable[R | None]:
        """Load one child; `batch` fetches all those of the same level with one statement."""
        return Later(key, pk, batch, None, self)

    def child(
        self, key: Any, pk: Any, batch: Callable[[Session, list[Any]], Awaitable[Mapping[Any, R]]]
    ) -> R | None:
        """As `load`, for a resolver that has nothing more to do than to return the child.

        What is returned is a promise that the executor keeps, typed as what it stands for.
        """
        return cast("R | None", Later(key, pk, batch, None, self))

    def children(
        self,
        key: Any,
        pk: Any,
        batch: Callable[[Session, list[Any]], Awaitable[Mapping[Any, list[R]]]],
    ) -> list[R]:
        """As `child`, for a list, which is empty when the batch has none."""
        return cast("list[R]", Later(key, pk, batch, [], self))

    async def fetch(self, batch: Batch, pks: list[Any]) -> Mapping[Any, Any]:
        """What a batch returns for these keys, each of them given once."""
        async with self.read() as session:
            return await batch(session, list(dict.fromkeys(pks)))

    async def join(self, later: Later) -> Any:
        """What was promised, fetched with what others ask for in the same turn."""
        loader = self._loaders.get(later.key)
        if loader is None:

            async def load_all(pks: list[Any]) -> list[Any]:
                found = await self.fetch(later.batch, pks)
                return [found.get(pk) for pk in pks]

            loader = self._loaders[later.key] = DataLoader(load_fn=load_all, cache=False)
        result = await loader.load(later.pk)
        return later.missing if result is None else result


Info = StrawberryInfo[Context, None]


def guard(permission: str) -> Any:
    """The directive that shows a field's permission."""
    return Authenticated() if permission == ANY_TOKEN else Requires(permission=permission)


def field(
    permission: str, columns: Sequence[str] | None = None, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """A field that needs a right; its resolver takes `info`.

    `columns` are those of the object's row that it reads, besides its id; see rows.py.
    """

    def decorate(resolver: Callable[..., Any]) -> Any:
        @wraps(resolver)
        async def checked_later(self: Any, info: Info, **arguments: Any) -> Any:
            info.context.need(permission)
            return await resolver(self, info=info, **arguments)

        @wraps(resolver)
        def checked(self: Any, info: Info, **arguments: Any) -> Any:
            info.context.need(permission)
            return resolver(self, info=info, **arguments)

        return strawberry.field(
            resolver=checked_later if iscoroutinefunction(resolver) else checked,
            directives=[guard(permission)],
            metadata={} if columns is None else {"columns": columns},
            **options,
        )

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
