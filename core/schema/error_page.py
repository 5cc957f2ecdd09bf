"""The page of all error codes, made of the classes themselves."""

from core.registry import CORE, Owned, Registry
from core.sdk.errors import HuikeError

HEAD = """# Error codes

What stands in `errors { code message path retryable }` of a mutation's payload. `path` leads to the value at fault. All that is wrong with an input comes in one answer; what comes alone is told in [Conventions](conventions.md#errors), which also names the codes of top-level errors.

This page is printed by `huike error-codes`, which also has the codes of plugins that you install.

| code | cause | cure | the same call again |
|---|---|---|---|
"""  # noqa: E501 - a paragraph is a line


def error_page(registry: Registry) -> str:
    """The page in Markdown: core's codes, then those of each plugin."""
    codes = sorted(registry.error_codes.items(), key=_place)
    return HEAD + "".join(_line(code, owned.value) for code, owned in codes)


def _place(item: tuple[str, Owned[type[HuikeError]]]) -> tuple[bool, str, str]:
    code, owned = item
    return owned.plugin != CORE, owned.plugin, code


def _line(code: str, error: type[HuikeError]) -> str:
    again = "may succeed later" if error.retryable else "fails again"
    return f"| `{code}` | {error.cause} | {error.cure} | {again} |\n"
