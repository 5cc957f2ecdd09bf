"""What every resolver is given, and the decorators that let nobody in without the right."""

import asyncio
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

from core.domain.shops.caller import Caller
from core.domain.shops.staff.callers import present_rights
from core.domain.shops.staff.sessions import Client
from core.installation import Installation
from core.schema.errors import FORBIDDEN, UNAUTHENTICATED, RequestError, user_errors
from core.schema.executor.later import Batch, ByKey, Later
from core.schema.live import Live
from core.schema.reads import seen
from core.schema.scalars import Authenticated, LoggedIn, Public, Requires, emitted
from core.schema.throttle import Throttle
from core.sdk.errors import HuikeError, Several
from core.sdk.events import Event
from core.storage.connections import spend, working
from core.storage.database import Do, Session, Work

R = TypeVar("R")
ANY_TOKEN = "ANY_TOKEN"  # noqa: S105 - no password
"""In place of a permission, for fields that any valid token may read."""
PERSON = "PERSON"
"""In place of a permission, for what people who logged in do about their own login."""
NO_TOKEN = "NO_TOKEN"  # noqa: S105 - no password
"""In place of a permission, for the ways to log in; they pause after failures."""
LOOK_SECONDS = 60.0
NOBODY = "no valid token: send Authorization: Bearer <token>"
NO_FACTOR = "everybody needs a second factor here: set one up with staffTotpEnrol"

CHILDREN: dict[str, Callable[..., Any]] = {}
"""Batches of children that a later noun enters for the types of an earlier one.

Types refer to each other both ways, modules import one way.
"""


class Context:
    """One request, or one WebSocket connection.

    Loaders batch the children of one level into one statement; they keep nothing, so that a
    connection which lives long never sees stale rows.
    """

    def __init__(
        self,
        installation: Installation,
        caller: Caller | None,
        request_id: str,
        client: Client | None = None,
        lasting: bool = False,
    ) -> None:
        self.installation = installation
        self.caller = caller
        self.request_id = request_id
        self.client = client or Client()
        self.lasting = lasting
        self._loaders: dict[Any, DataLoader[Any, Any]] = {}
        self.throttle: Throttle | None = None
        self.live: Live | None = None
        self.hurries = False
        """Whether somebody waits, so that a query that takes long is left to a job."""
        # the WebSocket protocol puts these two here
        self.connection_params: dict[str, Any] | None = None
        self.request: Any = None

    @property
    def merchant_id(self) -> int:
        """The caller's merchant. Raises RequestError without a caller."""
        if self.caller is None:
            raise RequestError(UNAUTHENTICATED, NOBODY)
        return self.caller.merchant_id

    @property
    def person(self) -> tuple[int, int]:
        """The ids of the member of staff and of the session. Raises RequestError for others."""
        if self.caller is None:
            raise RequestError(UNAUTHENTICATED, NOBODY)
        if self.caller.staff_id is None or self.caller.session_id is None:
            raise RequestError(FORBIDDEN, "this is for people who have logged in, not for tokens")
        return self.caller.staff_id, self.caller.session_id

    @property
    def actor(self) -> str:
        """How the caller is named in logs."""
        return self.caller.actor if self.caller else "nobody"

    def may(self, permission: str) -> bool:
        """Whether the caller has the right."""
        return self.caller is not None and permission in self.caller.permissions

    def need(self, permission: str) -> None:
        """Raises RequestError unless the caller has the right."""
        if permission == NO_TOKEN:
            return
        if self.caller is None:
            raise RequestError(UNAUTHENTICATED, NOBODY)
        if permission == PERSON:
            _ = self.person
        elif permission != ANY_TOKEN and self.caller.lacks_factor:
            raise RequestError(FORBIDDEN, NO_FACTOR)
        elif permission != ANY_TOKEN and permission not in self.caller.permissions:
            raise RequestError(FORBIDDEN, f"the token lacks the permission {permission}")

    async def renew(self) -> None:
        """Look at the caller's rights again: a session may have ended, a role changed."""
        if self.caller is not None:
            db, registry = self.installation.db, self.installation.registry
            self.caller = await present_rights(db, registry, self.caller)

    def saw(self, kind: str, person: int) -> None:
        """Count contact data that is shown in the clear; see reads.py."""
        self.noting(kind)(person)

    def noting(self, kind: str) -> Callable[[int], None]:
        """As `saw`, for many people of the present operation."""
        operation = seen.get()
        return (lambda _: None) if operation is None else operation.by_kind[kind].add

    def read(self) -> AbstractAsyncContextManager[Session]:
        return self.installation.db.read(self.merchant_id, self.actor)

    def work(self) -> AbstractAsyncContextManager[Work]:
        return self.installation.db.work(self.merchant_id, self.actor)

    def together(self, do: Do, item: Any) -> Awaitable[Any]:
        """Have `do` serve this caller's item with those of other requests; see together.py."""
        return self.installation.db.together(self.merchant_id, self.actor, do, item)

    def at_once(self, do: Do, item: Any) -> Awaitable[Any]:
        """As `together`, where one statement does it all; see Database.at_once."""
        return self.installation.db.at_once(self.merchant_id, self.actor, do, item)

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
        if len(pks) == 1 and isinstance(batch, ByKey) and not working.get():
            spend()
            found = await self.installation.db.look(self.merchant_id, batch, pks[0])
            return {pks[0]: found}
        async with self.read() as session:
            return await batch(session, list(dict.fromkeys(pks)))

    async def join(self, later: Later) -> Any:
        """What was promised, fetched with what others ask for in the same turn."""
        loader = self._loaders.get(later.key)
        if loader is None:

            async def load_all(pks: list[Any]) -> list[Any]:
                found = await later.fetch(pks)
                return [found.get(pk) for pk in pks]

            loader = self._loaders[later.key] = DataLoader(load_fn=load_all, cache=False)
        result = await loader.load(later.pk)
        return later.missing if result is None else result


Info = StrawberryInfo[Context, None]


async def while_allowed(
    context: Context, permission: str, values: AsyncGenerator[R]
) -> AsyncGenerator[R]:
    """The values for as long as the caller has the right. Raises RequestError at its end.

    Whatever ends or changes rights tells so; a right that ends by itself is looked at again then.
    """
    caller = context.caller
    assert caller is not None
    topic, key = caller.topic
    signals = context.installation.signals
    async with aclosing(signals.changes(topic, caller.merchant_id, key)) as changes:
        value, change = _next(values), _next(changes)
        try:
            while True:
                await asyncio.wait(
                    (value, change), timeout=_pause(context), return_when=asyncio.FIRST_COMPLETED
                )
                if change.done() or not value.done():
                    await context.renew()
                    context.need(permission)
                if change.done():
                    change = _next(changes)
                if value.done():
                    try:
                        found = value.result()
                    except StopAsyncIteration:
                        return
                    yield found
                    value = _next(values)
        finally:
            for task in (value, change):
                task.cancel()
            await asyncio.gather(value, change, return_exceptions=True)


def _next(values: AsyncGenerator[R]) -> "asyncio.Task[R]":
    async def step() -> R:
        return await anext(values)

    return asyncio.create_task(step())


def _pause(context: Context) -> float:
    """Seconds until the rights are looked at again when nothing tells to."""
    caller = context.caller
    if caller is None or caller.until is None:
        return LOOK_SECONDS
    left = (caller.until - context.installation.db.clock()).total_seconds()
    return min(max(left, 0.1), LOOK_SECONDS)


def guard(permission: str) -> Any:
    """The directive that shows a field's permission."""
    others: dict[str, type] = {ANY_TOKEN: Authenticated, PERSON: LoggedIn, NO_TOKEN: Public}
    made = others.get(permission)
    return made() if made is not None else Requires(permission=permission)


def field(
    permission: str,
    columns: Sequence[str] | None = None,
    pk: str | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """A field that needs a right; its resolver takes `info`.

    `columns` are those of the object's row that it reads, besides its id; these and `pk` are as in
    rows.py.
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
            metadata={"pk": pk} if columns is None else {"columns": columns, "pk": pk},
            **options,
        )

    return decorate


def mutation(
    permission: str, payload: type, emits: Sequence[type[Event]] = (), **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """A mutation that needs a right; expected errors become those of its payload.

    `emits` are the events that it may put in the outbox before it answers.
    """

    def decorate(resolver: Callable[..., Awaitable[Any]]) -> Any:
        @wraps(resolver)
        async def checked(self: Any, info: Info, **arguments: Any) -> Any:
            info.context.need(permission)
            try:
                return await resolver(self, info=info, **arguments)
            except (HuikeError, Several) as error:
                return payload(errors=user_errors(error))

        directives = [guard(permission), *emitted(emits)]
        return strawberry.mutation(resolver=checked, directives=directives, **options)

    return decorate


def subscription(permission: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A subscription that needs a right; it ends when the right does."""

    def decorate(resolver: Callable[..., AsyncGenerator[Any]]) -> Any:
        @wraps(resolver)
        async def checked(self: Any, info: Info, **arguments: Any) -> AsyncIterator[Any]:
            context = info.context
            context.need(permission)
            assert context.live is not None
            with context.live.place(f"{context.merchant_id}:{context.actor}"):
                async with (
                    aclosing(resolver(self, info=info, **arguments)) as values,
                    aclosing(while_allowed(context, permission, values)) as allowed,
                ):
                    async for value in allowed:
                        yield value

        return strawberry.subscription(resolver=checked, directives=[guard(permission)], **options)

    return decorate
