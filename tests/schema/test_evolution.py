"""Changes of the schema break nobody who was not warned."""

from pathlib import Path

import pytest
from graphql import GraphQLError
from graphql import build_schema as build_sdl

from core.cli.running import _show_changes
from core.schema.build import build_schema
from core.schema.evolution import REASON, changes_between, deprecations

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema-published.graphql"
OLD = """
type Query {
  shop(id: ID!, code: String @deprecated(reason: "Since 2026-11-26: use id.")): Shop
  old: Legacy @deprecated(reason: "Since 2026-11-26: use shop.")
}
type Shop { name: String kind: Kind }
type Legacy { kind: LegacyKind }
enum LegacyKind { A }
enum Kind { GOOD OLD @deprecated(reason: "Since 2026-11-26: use GOOD.") }
input Where { name: String word: String @deprecated(reason: "Since 2026-11-26: use name.") }
type Mutation { shops(where: Where): Shop }
"""


def test_what_was_deprecated_may_go():
    new = """
    type Query { shop(id: ID!): Shop }
    type Shop { name: String kind: Kind }
    enum Kind { GOOD }
    input Where { name: String }
    type Mutation { shops(where: Where): Shop }
    """
    changes = changes_between(OLD, new)
    assert changes.breaking == []
    assert sorted(changes.removed) == [
        "Argument Query.shop(code:) was removed.", "Enum value Kind.OLD was removed.",
        "Field Query.old was removed.", "Field Where.word was removed.", "Legacy was removed.",
        "LegacyKind was removed.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  shop(id: ID!,", "  shop(id: ID!, place: Int!,", "required argument Query.shop(place:)"),
        ("name: String kind: Kind", "kind: Kind", "Field Shop.name was removed"),
        ("name: String kind: Kind", "name: Int kind: Kind", "Shop.name changed type"),
        ("GOOD", "BETTER", "Enum value Kind.GOOD was removed"),
        ("input Where { name: String", "input Where { name: String!", "Where.name changed type"),
        ("type Mutation { shops(where: Where): Shop }", "", "Mutation was removed"),
        ("code: String @", "code: String! @", "required argument Query.shop(code:)"),
    ],
)
def test_what_breaks_clients_is_told(old, new, told):
    assert old in OLD
    breaking = changes_between(OLD, OLD.replace(old, new)).breaking
    assert any(told in one for one in breaking), breaking


def test_what_is_added_breaks_nobody():
    new = OLD.replace("enum Kind { GOOD", "enum Kind { GOOD BEST")
    changes = changes_between(OLD, new.replace("type Shop {", "type Shop { a: String"))
    assert changes.breaking == changes.removed == []
    assert changes.dangerous == ["Enum value Kind.BEST was added."]
    assert changes.safe == ["Field Shop.a was added."]


@pytest.fixture(scope="module")
def schema(installation):
    return build_schema(installation.registry)


def test_the_present_schema_breaks_no_client_of_the_published_one(schema):
    changes = changes_between(PUBLISHED.read_text(encoding="utf-8"), schema.as_str())
    assert changes.breaking == [], (
        "deprecate it first; before the first release: cp schema.graphql "
        "docs/schema-published.graphql"
    )


def test_deprecations_say_since_when(schema):
    undated = [
        name for name, reason in deprecations(schema._schema) if not REASON.fullmatch(reason)
    ]
    assert undated == []
    found = dict(deprecations(build_sdl(OLD)))
    assert set(found) == {"Query.shop(code:)", "Query.old", "Kind.OLD", "Where.word"}
    assert all(REASON.fullmatch(reason) for reason in found.values())
    assert not REASON.fullmatch("No longer supported")


def test_the_command_fails_on_what_breaks_clients(tmp_path, capsys):
    other = tmp_path / "old.graphql"
    other.write_text("type Query { gone: Int kept: Int }")
    with pytest.raises(SystemExit):
        _show_changes(other, "type Query { kept: Int more: Int }")
    shown = capsys.readouterr()
    assert "safe: Field Query.more was added.\nBREAKING: Field Query.gone was removed." in shown.out
    assert "deprecate it" in shown.err
    _show_changes(other, "type Query { gone: Int kept: Int }")
    other.write_text("type {")
    with pytest.raises(SystemExit):
        _show_changes(other, "type Query { kept: Int }")
    assert "is no schema" in capsys.readouterr().err


def test_what_is_no_schema_is_refused():
    with pytest.raises(GraphQLError):
        changes_between("type {", OLD)
