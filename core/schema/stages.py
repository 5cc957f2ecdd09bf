"""Runs the schema's extensions: their classes are looked at once, not in each request.

Strawberry's own runner finds out for each request and stage which extensions have a hook and of
which kind, and wraps it; that was a sixth of the time of a small query.
"""

from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from inspect import isasyncgenfunction
from typing import Any

from strawberry.extensions import SchemaExtension
from strawberry.extensions.context import (
    ExecutingContextManager,
    ExtensionContextManagerBase,
    OperationContextManager,
    ParsingContextManager,
    ValidationContextManager,
    WrappedHook,
)
from strawberry.extensions.runner import SchemaExtensionsRunner


@cache
def _hook(extension: type[SchemaExtension], name: str) -> tuple[Any, bool] | None:
    """What makes the context manager of a hook, and whether that is an asynchronous one."""
    hook: Any = getattr(extension, name)
    if hook is getattr(SchemaExtension, name):
        return None
    waits = isasyncgenfunction(hook)
    return asynccontextmanager(hook) if waits else contextmanager(hook), waits


@cache
def _tells(extension: type[SchemaExtension]) -> bool:
    """Whether it has something to say in the answer's `extensions`."""
    return extension.get_results is not SchemaExtension.get_results


class Known(ExtensionContextManagerBase):
    """The hooks of one stage, all of which are generators."""

    def get_hook(self, extension: SchemaExtension) -> WrappedHook | None:
        kind: Any = type(extension)
        found = _hook(kind, self.HOOK_NAME)
        if found is None:
            return None
        manager, waits = found
        return WrappedHook(extension, partial(manager, extension), waits)


class Operation(Known, OperationContextManager):
    """Around all of it."""


class Parsing(Known, ParsingContextManager):
    """Around the parser."""


class Validation(Known, ValidationContextManager):
    """Around the validation."""


class Executing(Known, ExecutingContextManager):
    """Around the execution."""


class Stages(SchemaExtensionsRunner):
    """The stages of one operation."""

    def operation(self) -> Operation:
        return Operation(self.extensions)

    def parsing(self) -> Parsing:
        return Parsing(self.extensions)

    def validation(self) -> Validation:
        return Validation(self.extensions)

    def executing(self) -> Executing:
        return Executing(self.extensions)

    async def get_extensions_results(self, ctx: Any) -> dict[str, Any]:
        kinds: list[Any] = [type(one) for one in self.extensions]
        told = [one for one, kind in zip(self.extensions, kinds, strict=True) if _tells(kind)]
        return await SchemaExtensionsRunner(ctx, told).get_extensions_results(ctx)
