"""How often a document asks for the same thing, found before it is validated.

The validation compares all fields of one name at one place with each other, so a small document
that repeats itself costs it a second. Here they are only counted.
"""

from collections.abc import Iterable, Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)

MAX_OVERLAPS = 5_000
"""Comparisons of two fields; a fragment that is looked into counts as SPREAD of them."""
SPREAD = 10


class TooMany(Exception):
    """The limit is reached."""


class Overlaps:
    """Counts the comparisons of one operation. Its size must be limited already."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._count = 0

    def too_many(self, selections: SelectionSetNode) -> bool:
        """Whether a validation would compare more than MAX_OVERLAPS times."""
        try:
            self._compare([selections])
        except TooMany:
            return True
        return False

    def _compare(self, level: Iterable[SelectionSetNode]) -> None:
        fields: dict[str, list[SelectionSetNode]] = {}
        times: dict[str, int] = {}
        seen: set[str] = set()
        for selections in level:
            self._collect(selections, fields, times, seen)
        for inner in fields.values():
            self._compare(inner)

    def _collect(
        self,
        selections: SelectionSetNode,
        fields: dict[str, list[SelectionSetNode]],
        times: dict[str, int],
        seen: set[str],
    ) -> None:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                name = node.alias.value if node.alias else node.name.value
                self._charge(times.get(name, 0))
                times[name] = times.get(name, 0) + 1
                if node.selection_set is not None:
                    fields.setdefault(name, []).append(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                self._collect(node.selection_set, fields, times, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                self._charge(SPREAD)
                seen.add(node.name.value)
                if node.name.value in self._fragments:
                    inner = self._fragments[node.name.value].selection_set
                    self._collect(inner, fields, times, seen)

    def _charge(self, comparisons: int) -> None:
        self._count += comparisons
        if self._count > MAX_OVERLAPS:
            raise TooMany
