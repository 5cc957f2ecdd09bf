"""The rule tree of a segment: its check, its SQL and its explanation.

A node is {"all": [node...]} | {"any": [node...]} | {"not": node} | {"<facet>": {param: value}}.
It is stored as {"version": 1, "rule": node}. `all` of nothing matches everybody, `any` of nothing
matches nobody.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.registry import CORE, Owned
from core.sdk.errors import HuikeError, InvalidInput, Several
from core.sdk.facets import Facet, Query

VERSION = 1
MAX_DEPTH = 20
MAX_NODES = 500
MAX_TEXT = 1_000
ROOT = ("input", "rule")

Facets = Mapping[str, Owned[Facet]]


def check_rule(stored: Mapping[str, Any], facets: Facets) -> None:
    """Check a stored rule. Raises Several of InvalidInput; paths start with ("input", "rule")."""
    _parse(stored, facets)


def compile_rule(stored: Mapping[str, Any], facets: Facets, q: Query) -> str:
    """A boolean SQL expression about alias `c` of table customers, never NULL.

    Its parameters are added to `q`; the statement around it filters by `c.merchant_id = $1`.
    Raises Several of InvalidInput.
    """
    return _sql(_parse(stored, facets), q)


def explain_rule(stored: Mapping[str, Any], facets: Facets) -> str:
    """The rule in words. Raises Several of InvalidInput."""
    return _words(_parse(stored, facets), outer=True)


@dataclass(frozen=True)
class _Leaf:
    owned: Owned[Facet]
    rule: Any


@dataclass(frozen=True)
class _Group:
    operator: str  # "all", "any" or "not"
    nodes: Sequence["_Leaf | _Group"]


_Node = _Leaf | _Group


class _Invalid(Exception):
    """A node cannot be read; the error is in the parser's list."""


class _Parser:
    """Reads a tree of JSON once, collecting the errors of all its nodes."""

    def __init__(self, facets: Facets) -> None:
        self.facets = facets
        self.errors: list[HuikeError] = []
        self.nodes = 0

    def node(self, node: Any, path: tuple[str, ...], depth: int) -> _Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._limit(f"a rule has at most {MAX_NODES} nodes", ROOT)
        if depth > MAX_DEPTH:
            raise self._limit(f"a rule is at most {MAX_DEPTH} levels deep", path)
        if not isinstance(node, Mapping) or len(node) != 1:
            return self._refuse("each node is one of all, any, not, or one facet", path)
        ((name, value),) = node.items()
        path = (*path, _camel(str(name)))
        if name in ("all", "any"):
            return self._group(str(name), value, path, depth)
        if name == "not":
            return _Group("not", [self.node(value, path, depth + 1)])
        return self._leaf(str(name), value, path)

    def _group(self, operator: str, nodes: Any, path: tuple[str, ...], depth: int) -> _Node:
        if not isinstance(nodes, list | tuple):
            return self._refuse(f"{operator} takes a list of nodes", path)
        made = [self.node(node, (*path, str(i)), depth + 1) for i, node in enumerate(nodes)]
        return _Group(operator, made)

    def _leaf(self, name: str, params: Any, path: tuple[str, ...]) -> _Node:
        owned = self.facets.get(name)
        if owned is None:
            known = ", ".join(sorted(self.facets))
            return self._refuse(f"there is no facet {name[:100]!r}; there are: {known}", path)
        if not isinstance(params, Mapping):
            return self._refuse("a facet takes an object of parameters", path)
        faults = [*_unknown_names(owned.value, params, path), *_unstorable(params, path)]
        if faults:
            self.errors += faults
            return _NOTHING
        return self._checked(owned, params, path)

    def _checked(
        self, owned: Owned[Facet], params: Mapping[str, Any], path: tuple[str, ...]
    ) -> _Node:
        try:
            # JSON in strict mode: "3" is no number, but "9.90" is a Decimal
            text = json.dumps(params, default=str)
            rule = _adapter(owned.value.rule).validate_json(text, strict=True)
        except ValidationError as error:
            self.errors += [
                InvalidInput(fault["msg"], (*path, *(_camel(str(step)) for step in fault["loc"])))
                for fault in error.errors(include_input=False, include_url=False)
            ]
            return _NOTHING
        except RecursionError:
            return self._refuse("the parameters are nested too deeply", path)
        fault = owned.value.check(rule)
        return self._refuse(fault, path) if fault else _Leaf(owned, rule)

    def _refuse(self, message: str, path: tuple[str, ...]) -> _Node:
        self.errors.append(InvalidInput(message, path))
        return _NOTHING

    def _limit(self, message: str, path: tuple[str, ...]) -> _Invalid:
        self.errors.append(InvalidInput(message, path))
        return _Invalid()


_NOTHING = _Group("any", [])


def _parse(stored: Mapping[str, Any], facets: Facets) -> _Node:
    if set(stored) != {"version", "rule"}:
        raise Several([InvalidInput("a stored rule has the keys version and rule", ROOT)])
    if stored["version"] != VERSION:
        raise Several([InvalidInput(f"rules of version {VERSION} are understood", ROOT)])
    parser = _Parser(facets)
    try:
        made = parser.node(stored["rule"], ROOT, 1)
    except _Invalid:
        raise Several(parser.errors) from None
    if parser.errors:
        raise Several(parser.errors)
    return made


def _sql(node: _Node, q: Query) -> str:
    if isinstance(node, _Leaf):
        made = node.owned.value.sql(node.rule, q)
        # core's own facets are never NULL (a test proves it); others might slip, and
        # NOT over a NULL would silently leave people out
        return made if node.owned.plugin == CORE else f"COALESCE(({made}), FALSE)"
    parts = [_sql(child, q) for child in node.nodes]
    if node.operator == "not":
        return f"(NOT {parts[0]})"
    if not parts:
        return "TRUE" if node.operator == "all" else "FALSE"
    return f"({(' AND ' if node.operator == 'all' else ' OR ').join(parts)})"


def _words(node: _Node, outer: bool = False) -> str:
    if isinstance(node, _Leaf):
        return node.owned.value.explain(node.rule)
    parts = [_words(child) for child in node.nodes]
    if node.operator == "not":
        return f"not ({_words(node.nodes[0], outer=True)})"
    if not parts:
        return "everybody" if node.operator == "all" else "nobody"
    joined = (" and " if node.operator == "all" else " or ").join(parts)
    return joined if outer or len(parts) == 1 else f"({joined})"


@cache
def _adapter(rule: type) -> TypeAdapter[Any]:
    return TypeAdapter(rule)


def _unknown_names(
    facet: Facet, params: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[HuikeError]:
    names = [field.name for field in fields(facet.rule)]
    for key in params:
        if key not in names:
            yield InvalidInput(
                f"{facet.name} has no parameter {str(key)[:100]!r}; "
                f"it has: {', '.join(names) or 'none'}",
                (*path, _camel(str(key))),
            )


def _unstorable(params: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[HuikeError]:
    """Texts that PostgreSQL cannot hold, or that are absurdly long."""
    for key, value in params.items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                continue
            if len(text) > MAX_TEXT:
                yield InvalidInput(
                    f"a text has at most {MAX_TEXT} characters", (*path, _camel(str(key)))
                )
            elif "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
                yield InvalidInput(
                    "a text holds a character that cannot be stored", (*path, _camel(str(key)))
                )


def _camel(name: str) -> str:
    """The name as the API shows it: order_count is orderCount."""
    head, *rest = name[:100].split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
