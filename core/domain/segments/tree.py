"""The rule tree of a segment, read from its stored form and checked.

A node is {"all": [node...]} | {"any": [node...]} | {"not": node} | {"<facet>": {param: value}}.
It is stored as {"version": 1, "rule": node}, and with "facets": {name: version} for the facets
whose parameters have changed since their first version. `all` of nothing matches everybody, `any`
of nothing matches nobody.
"""

import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import cache, cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.registry import Owned
from core.sdk.errors import HuikeError, InvalidInput, Several
from core.sdk.facets import Facet, Fault

VERSION = 1
EVERYBODY: Mapping[str, Any] = {"version": VERSION, "rule": {"all": []}}
"""The stored rule that all customers match."""
MAX_DEPTH = 20
MAX_NODES = 500
MAX_TEXT = 1_000
ROOT = ("input", "rule")
NAMES = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
"""What may be names of parameters in what a facet says about them."""
SEGMENT = "in_segment"
"""The facet that asks whether a customer is in another segment."""

Facets = Mapping[str, Owned[Facet]]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """Another segment, as a rule may refer to it; `rule` is None when its members are kept."""

    name: str
    rule: Mapping[str, Any] | None


@dataclass(frozen=True)
class Leaf:
    """A facet's question with its parameters."""

    owned: Owned[Facet]
    rule: Any
    path: Path

    @cached_property
    def question(self) -> tuple[str, str]:
        """What two leaves have in common that ask the same."""
        return self.owned.value.name, repr(self.rule)

    @property
    def children(self) -> "Sequence[Node]":
        return ()


@dataclass(frozen=True)
class Group:
    """Nodes joined by `operator`: "all", "any" or "not"; "segment" stands for another's rule."""

    operator: str
    children: "Sequence[Node]"
    path: Path
    segment: tuple[int, str] | None = None
    """Id and name of the segment whose rule this is."""


Node = Leaf | Group


def asks_for_segment(segment_id: int, on_day: date | None = None) -> dict[str, Any]:
    """The stored rule of whoever is in a segment, or was when a day ended."""
    asked = {"segment_id": segment_id, **({"on_day": str(on_day)} if on_day else {})}
    return {"version": VERSION, "rule": {SEGMENT: asked}}


def write_rule(node: Mapping[str, Any], facets: Facets) -> dict[str, Any]:
    """The stored form of a node."""
    versions = {
        name: facets[name].value.version
        for name in sorted(set(facet_names(node)))
        if name in facets and facets[name].value.version > 1
    }
    return {"version": VERSION, "rule": dict(node), **({"facets": versions} if versions else {})}


def upgraded(stored: Any, facets: Facets) -> Any:
    """The node of a stored rule with its parameters as the facets write them now.

    What is malformed stays as it is.
    """
    if not isinstance(stored, Mapping) or "rule" not in stored:
        return stored
    versions = _versions(stored) or {}

    def one(node: Any) -> Any:
        if not isinstance(node, Mapping) or len(node) != 1:
            return node
        ((name, value),) = node.items()
        if name in ("all", "any") and isinstance(value, list):
            return {name: [one(child) for child in value]}
        if name == "not":
            return {name: one(value)}
        facet = facets[name].value if name in facets else None
        version = versions.get(name, 1)
        if facet is not None and version < facet.version and isinstance(value, Mapping):
            return {name: facet.upgrade(dict(value), version)}
        return {name: value}

    return one(stored["rule"])


def read_tree(
    stored: Any,
    facets: Facets,
    segments: Mapping[int, Stored] | None = None,
    off: Mapping[str, str] | None = None,
) -> Node:
    """Read and check a stored rule. Raises Several of InvalidInput, with paths into the tree.

    `segments` are those that the rule refers to, and those that they refer to; `off` are facets
    that the merchant could have, with the plugin that brings them.
    """
    keys = set(stored) if isinstance(stored, Mapping) else set()
    if not {"version", "rule"} <= keys <= {"version", "rule", "facets"}:
        raise Several([InvalidInput("a stored rule has the keys version and rule", ROOT)])
    if stored["version"] != VERSION:
        raise Several([InvalidInput(f"rules of version {VERSION} are understood", ROOT)])
    versions = _versions(stored)
    if versions is None:
        raise Several([InvalidInput("facets gives the versions of facets, as numbers", ROOT)])
    parser = _Parser(facets, segments or {}, off or {})
    try:
        made = parser.node(stored["rule"], ROOT, 1, versions)
    except _Stop:
        raise Several(parser.errors) from None
    if parser.errors:
        raise Several(parser.errors)
    return made


def _versions(stored: Mapping[str, Any]) -> Mapping[str, int] | None:
    """The versions of facets that a stored rule remembers, None if they are malformed."""
    versions = stored.get("facets") or {}
    if not isinstance(versions, Mapping):
        return None
    return versions if all(isinstance(one, int) for one in versions.values()) else None


def facet_names(node: Any) -> Iterator[str]:
    """The names of the facets in a node that may be malformed."""
    yield from (name for name, _, _ in raw_leaves(node))


def raw_leaves(node: Any, path: Path = ROOT, depth: int = 1) -> Iterator[tuple[str, Any, Path]]:
    """(name, parameters, path) of the leaves of a node that may be malformed."""
    if not isinstance(node, Mapping) or depth > MAX_DEPTH:
        return
    for name, value in node.items():
        here = (*path, camel(str(name)))
        if name in ("all", "any") and isinstance(value, list | tuple):
            for place, child in enumerate(value):
                yield from raw_leaves(child, (*here, str(place)), depth + 1)
        elif name == "not":
            yield from raw_leaves(value, here, depth + 1)
        elif name not in ("all", "any"):
            yield str(name), value, here


def segments_asked(stored: Any) -> set[int]:
    """The ids of the segments that a stored rule refers to, wherever they stand in it."""
    return {
        params["segment_id"]
        for name, params, _ in raw_leaves(
            stored.get("rule") if isinstance(stored, Mapping) else None
        )
        if name == SEGMENT
        and isinstance(params, Mapping)
        and isinstance(params.get("segment_id"), int)
    }


def leaves(node: Node) -> Iterator[Leaf]:
    """The questions of a tree, from the left."""
    if isinstance(node, Leaf):
        yield node
    for child in node.children:
        yield from leaves(child)


class _Stop(Exception):
    """The tree is not read any further; the error is in the parser's list."""


class _Parser:
    """Reads a tree of JSON once, collecting the errors of all its nodes."""

    def __init__(
        self, facets: Facets, segments: Mapping[int, Stored], off: Mapping[str, str]
    ) -> None:
        self.facets = facets
        self.segments = segments
        self.off = off
        self.errors: list[HuikeError] = []
        self.nodes = 0
        self.inside: list[int] = []

    def node(self, node: Any, path: Path, depth: int, versions: Mapping[str, int]) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._stop(
                f"a rule has at most {MAX_NODES} nodes, other segments' included", path
            )
        if depth > MAX_DEPTH:
            raise self._stop(f"a rule is at most {MAX_DEPTH} levels deep", path)
        if not isinstance(node, Mapping) or len(node) != 1:
            return self._refuse("each node is one of all, any, not, or one facet", path)
        ((name, value),) = node.items()
        path = (*path, camel(str(name)))
        if name in ("all", "any"):
            if not isinstance(value, list | tuple):
                return self._refuse(f"{name} takes a list of nodes", path)
            made = [
                self.node(one, (*path, str(i)), depth + 1, versions) for i, one in enumerate(value)
            ]
            return Group(name, made, path)
        if name == "not":
            return Group("not", [self.node(value, path, depth + 1, versions)], path)
        leaf = self._leaf(str(name), value, path, versions.get(str(name), 1))
        if isinstance(leaf, Leaf) and name == SEGMENT:
            return self._segment(leaf, depth)
        return leaf

    def _segment(self, leaf: Leaf, depth: int) -> Node:
        number = leaf.rule.segment_id
        path = (*leaf.path, "segmentId")
        found = self.segments.get(number)
        if found is None:
            return self._refuse("there is no such segment", path)
        if found.rule is None or leaf.rule.on_day is not None:
            return leaf
        if number in self.inside:
            names = [self.segments[one].name for one in [*self.inside, number]]
            return self._refuse(f"segments ask for each other: {' → '.join(names)}", path)
        self.inside.append(number)
        known = len(self.errors)
        try:
            inner = self.node(
                found.rule.get("rule"), leaf.path, depth + 1, _versions(found.rule) or {}
            )
        finally:
            self.inside.pop()
        for place, error in enumerate(self.errors[known:], known):
            if not error.message.startswith("the segment "):
                message = f"the segment {found.name!r} cannot be asked: {error.message}"
                self.errors[place] = InvalidInput(message, path)
        return Group(SEGMENT, [inner], leaf.path, (number, found.name))

    def _leaf(self, name: str, params: Any, path: Path, version: int) -> Node:
        owned = self.facets.get(name)
        if owned is None and name in self.off:
            return self._refuse(f"the plugin {self.off[name]} is not switched on", path)
        if owned is None:
            known = ", ".join(sorted(self.facets))
            return self._refuse(f"there is no facet {name[:100]!r}; there are: {known}", path)
        if not isinstance(params, Mapping):
            return self._refuse("a facet takes an object of parameters", path)
        facet = owned.value
        if version > facet.version:
            return self._refuse(f"the rule was written for a newer version of {name}", path)
        if version < facet.version:
            params = facet.upgrade(dict(params), version)
        faults = [*_unknown_names(name, facet.rule, params, path), *_unstorable(params, path)]
        if faults:
            self.errors += faults
            return Group("any", [], path)
        try:
            # JSON in strict mode: "3" is no number, but "9.90" is a Decimal
            text = json.dumps(params, default=str)
            rule = _adapter(facet.rule).validate_json(text, strict=True)
        except ValidationError as error:
            self.errors += [
                InvalidInput(fault["msg"], (*path, *(camel(str(step)) for step in fault["loc"])))
                for fault in error.errors(include_input=False, include_url=False)
            ]
            return Group("any", [], path)
        except RecursionError:
            return self._refuse("the parameters are nested too deeply", path)
        fault = _fault_inside(rule) or facet.check(rule)
        if fault is None:
            return Leaf(owned, rule, path)
        names = _parameters(rule)
        message = NAMES.sub(
            lambda found: camel(found[0]) if found[0] in names else found[0], fault.message
        )
        return self._refuse(message, (*path, *map(camel, fault.path)))

    def _refuse(self, message: str, path: Path) -> Group:
        self.errors.append(InvalidInput(message, path))
        return Group("any", [], path)

    def _stop(self, message: str, path: Path) -> _Stop:
        self.errors.append(InvalidInput(message, path))
        return _Stop()


@cache
def _adapter(rule: type) -> TypeAdapter[Any]:
    return TypeAdapter(rule)


def _parameters(rule: Any) -> set[str]:
    """The names of its parameters, and of those of what they hold."""
    values = rule if isinstance(rule, list | tuple) else [rule]
    found = set()
    for one in values:
        if is_dataclass(one):
            for field in fields(one):
                found |= {field.name, *_parameters(getattr(one, field.name))}
    return found


def _fault_inside(value: Any) -> Fault | None:
    """What the checks of nested dataclasses find."""
    if isinstance(value, list | tuple):
        for place, one in enumerate(value):
            if fault := _checked(one):
                return Fault(fault.message, (str(place), *fault.path))
    elif is_dataclass(value):
        for one in fields(value):
            if fault := _checked(getattr(value, one.name)):
                return Fault(fault.message, (one.name, *fault.path))
    return None


def _checked(value: Any) -> Fault | None:
    inner = _fault_inside(value)
    check = getattr(value, "check", None)
    found: Fault | None = inner or (check() if callable(check) else None)
    return found


def parts_of(hint: Any) -> list[Any]:
    """The types inside an annotation, None left out: `list[X] | None` is X."""
    if typing.get_args(hint):
        return [one for part in typing.get_args(hint) for one in parts_of(part)]
    return [] if hint is type(None) else [hint]


def _unknown_names(
    owner: str, rule: type, params: Mapping[str, Any], path: Path
) -> Iterator[HuikeError]:
    hints = typing.get_type_hints(rule)
    names = [field.name for field in fields(rule)]
    for key, value in params.items():
        if key not in names:
            yield InvalidInput(
                f"{owner} has no parameter {str(key)[:100]!r}; "
                f"it has: {', '.join(names) or 'none'}",
                (*path, camel(str(key))),
            )
            continue
        inner = [one for one in parts_of(hints[key]) if is_dataclass(one)]
        for place, one in enumerate(value if isinstance(value, list) else [value]):
            if inner and isinstance(one, Mapping):
                steps = (key, str(place)) if isinstance(value, list) else (key,)
                here = (*path, *map(camel, steps))
                yield from _unknown_names(key, typing.cast(type, inner[0]), one, here)


def _unstorable(value: Any, path: Path) -> Iterator[HuikeError]:
    """Texts that PostgreSQL cannot hold, or that are absurdly long."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _unstorable(one, (*path, camel(str(key))))
    elif isinstance(value, list):
        faults = (fault for one in value for fault in _unstorable(one, path))
        yield from list(faults)[:1]
    elif isinstance(value, str):
        if len(value) > MAX_TEXT:
            yield InvalidInput(f"a text has at most {MAX_TEXT} characters", path)
        elif "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
            yield InvalidInput("a text holds a character that cannot be stored", path)


def camel(name: str) -> str:
    """The name as the API shows it: order_count is orderCount."""
    head, *rest = name[:100].split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
