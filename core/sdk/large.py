"""Large libraries that are loaded when something of them is first used, as many processes never do.

    from core.sdk.large import aiohttp

In annotations their names stand in quotes, which load nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any


class _Large:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


if TYPE_CHECKING:
    import aiohttp
    import css_inline
    import mrml
    import yarl
    from selectolax import lexbor
else:
    aiohttp = _Large("aiohttp")
    css_inline = _Large("css_inline")
    lexbor = _Large("selectolax.lexbor")
    mrml = _Large("mrml")
    yarl = _Large("yarl")

__all__ = ["aiohttp", "css_inline", "lexbor", "mrml", "yarl"]
