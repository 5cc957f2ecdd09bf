"""Bounds on the values of a request, found before they are read and made into inputs."""

from typing import Any

MAX_LIST = 20_000
MAX_VALUES = 200_000
MAX_NESTING = 200
TOO_MANY = f"the request holds more than {MAX_VALUES} values"


def check_body(body: bytes | str) -> str | None:
    """What is too much in a body or a message that is not read yet, or None.

    Every value but the first follows a comma or begins a list or an object; texts that hold so
    many of these signs are better uploaded.
    """
    if isinstance(body, str):
        signs = body.count(",") + body.count("[") + body.count("{")
    else:
        signs = body.count(b",") + body.count(b"[") + body.count(b"{")
    return TOO_MANY if signs > MAX_VALUES else None


def check_variables(variables: dict[str, Any] | None) -> str | None:
    """What is too much in a request's variables, or None."""
    if not variables:
        return None
    level: list[Any] = [variables]
    count = nesting = 0
    while level:
        count += sum(map(len, level))
        if count > MAX_VALUES:
            return TOO_MANY
        if nesting > MAX_NESTING:
            return f"the variables go deeper than {MAX_NESTING} levels"
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(value for value in one.values() if isinstance(value, dict | list))
                continue
            if len(one) > MAX_LIST:
                return f"a list in the variables is longer than {MAX_LIST}"
            inner.extend(value for value in one if isinstance(value, dict | list))
        level, nesting = inner, nesting + 1
    return None
