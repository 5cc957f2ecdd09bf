"""Dataclasses that share what the standard library makes for each of them anew.

That is what shows an object, and what refuses to change a frozen one: 2 to 4 KB a class. A server
has 1,500 of them, most of which are the API's types.
"""

import dataclasses
from reprlib import recursive_repr
from typing import Any

_dataclass = dataclasses.dataclass


def share_methods() -> None:
    """Let the dataclasses that are made from now on share methods, also those of libraries.

    To be called before anything else is loaded. They behave as they do without it.
    """
    dataclasses.dataclass = dataclass


def dataclass(cls: type | None = None, /, **options: Any) -> Any:
    """The decorator, with the options of `dataclasses.dataclass`."""

    def made(cls: type) -> Any:
        own = "__repr__" in vars(cls)
        result: Any = _dataclass(**{**options, "repr": False})(cls)
        if options.get("repr", True) and not own:
            result.__repr__ = _repr
        if options.get("frozen"):
            result.__setattr__, result.__delattr__ = _setattr, _delattr
        return result

    return made if cls is None else made(cls)


@recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self)
             if one.repr]  # fmt: skip
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _setattr(self: Any, name: str, value: object) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _delattr(self: Any, name: str) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _is_frozen(self: Any, name: str) -> bool:
    kind = type(self)  # one that extends a dataclass, and is none, may have more attributes
    return "__dataclass_fields__" in vars(kind) or name in kind.__dataclass_fields__
