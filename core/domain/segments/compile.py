"""A rule tree as one SQL condition, and as a sentence."""

from collections.abc import Mapping
from itertools import chain

from core.domain.segments.tree import SEGMENT, Leaf, Node
from core.registry import CORE
from core.sdk.facets import MAX_JOINS, Query, Say
from core.sdk.rows import Pass


class Compiler:
    """Makes conditions of one statement; a question that stands twice in it is asked once.

    `known` are columns of the statement that answer leaves' questions already.
    """

    def __init__(self, q: Query, known: Mapping[tuple[str, str], str] | None = None) -> None:
        self.q = q
        self._made: dict[tuple[str, str], str] = dict(known or {})

    def sql(self, node: Node) -> str:
        """A boolean SQL expression about alias `c`, never NULL."""
        if isinstance(node, Leaf):
            key = node.question
            if key not in self._made:
                made = _leaf(node, self.q)
                # the planner makes a join of an EXISTS that it finds bare
                many = len(self._made) >= MAX_JOINS
                self._made[key] = f"(({made}) IS TRUE)" if many else made
            return self._made[key]
        parts = [self.sql(child) for child in node.children]
        if node.operator == "not":
            return f"(NOT {parts[0]})"
        if node.operator == SEGMENT:
            return parts[0]
        if not parts:
            return "TRUE" if node.operator == "all" else "FALSE"
        return f"({(' AND ' if node.operator == 'all' else ' OR ').join(parts)})"

    def only_in(self, node: Node) -> list[Pass]:
        """The passes outside of which the node holds for nobody; none if there are no such.

        They stand in what `sql` made of the node.
        """
        if isinstance(node, Leaf):
            read = self.q.only_in(self.sql(node))
            return [read] if read else []
        found = [self.only_in(child) for child in node.children]
        if node.operator == "not" or not found:
            return []
        if node.operator == "any":
            return [*dict.fromkeys(chain(*found))] if all(found) else []
        return min(filter(None, found), key=len, default=[])


def _leaf(leaf: Leaf, q: Query) -> str:
    made = leaf.owned.value.sql(leaf.rule, q)
    # core's own facets are never NULL (a test proves it); others might slip, and NOT over a NULL
    # would silently leave people out
    return made if leaf.owned.plugin == CORE else f"COALESCE(({made}), FALSE)"


def sentence(node: Node, say: Say, inside: str | None = None) -> str:
    """The rule in words; `inside` is the operator of the node around it.

    Brackets stand only where the reader would group the words wrongly: "and" binds closer than
    ", or".
    """
    if isinstance(node, Leaf):
        return node.owned.value.explain(node.rule, say)
    if node.operator == SEGMENT and node.segment is not None:
        _, name = node.segment
        return say(f"is in the segment “{name}”", f"属于人群「{name}」")
    if node.operator == "not":
        inner = sentence(node.children[0], say)
        if inside is None:
            return say(f"not: {inner}", f"不满足：{inner}")
        return say(f"not ({inner})", f"不满足（{inner}）")
    if not node.children:
        return say("everybody", "所有人") if node.operator == "all" else say("nobody", "无人")
    if len(node.children) == 1:
        return sentence(node.children[0], say, inside)
    parts = [sentence(child, say, node.operator) for child in node.children]
    if node.operator == "all":
        return say(" and ", "且").join(parts)
    joined = say(", or ", "，或").join(parts)
    return say(f"({joined})", f"（{joined}）") if inside == "all" else joined
