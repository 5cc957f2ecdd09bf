"""Changes of the schema break nobody who was not warned."""

from pathlib import Path

import pytest
from graphql import GraphQLError
from graphql import build_schema as build_sdl

from core import __version__
from core.cli.running import _show_changes
from core.schema.build import build_schema
from core.schema.evolution import REASON, changelog, changes_between, deprecations, unmarked

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


NEW = """
type Query { shop(id: ID!): Shop others(first: Int): [Other!] }
"Since 0.2."
type Other { name: String }
directive @plugin(name: String!, since: String!) on FIELD_DEFINITION
directive @requires(permission: String!) on FIELD_DEFINITION
type Shop {
  name: String @requires(permission: "SHOPS_READ")
  kind: Kind @deprecated(reason: "Since 2026-12-01: use name.")
  place: String
  "Where it is. Since 0.2."
  town: String
  smsPlace: String @plugin(name: "sms", since: "1.1")
}
enum Kind { GOOD BEST }
input Where { name: String town: String }
type Mutation { shops(where: Where, id: ID): Shop }
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


def test_what_is_new_says_since_when(schema):
    new = ["Query.others", "Shop.place", "Kind.BEST", "Where.town", "Mutation.shops(id)"]
    assert sorted(unmarked(OLD, NEW, "0.2")) == sorted(new)
    assert sorted(unmarked(OLD, NEW, "0.3")) == sorted([*new, "Other", "Shop.town"])
    minor = ".".join(__version__.split(".")[:2])
    published = PUBLISHED.read_text(encoding="utf-8")
    told = f'end its description with "Since {minor}."'
    assert unmarked(published, schema.as_str(), minor) == [], told


def test_a_right_that_is_asked_for_now_is_told():
    found = changes_between(OLD, NEW).dangerous
    assert "Shop.name requires SHOPS_READ now, not nothing." in found
    assert not any("requires" in one for one in changes_between(NEW, NEW).dangerous)
    assert not any("requires" in one for one in changes_between(NEW, OLD).dangerous)


def test_the_changelog_is_made_of_the_changes():
    written = changelog(changes_between(OLD, NEW))
    parts = dict(part.split("\n", 1) for part in written.split("#### ")[1:])
    assert list(parts) == ["Removed", "Changed", "Deprecated", "Added"]
    assert "- Field Query.old was removed." in parts["Removed"]
    assert "- Enum value Kind.BEST was added." in parts["Changed"]
    assert "- Shop.kind is deprecated. Since 2026-12-01: use name.\n" in parts["Deprecated"]
    assert "- Field Shop.town was added.\n" in parts["Added"]
    assert "Query.shop" not in parts["Deprecated"]  # it was deprecated before
    assert changelog(changes_between(OLD, OLD)) == ""


def test_the_command_fails_on_what_breaks_clients(tmp_path, capsys):
    other = tmp_path / "old.graphql"
    other.write_text("type Query { gone: Int kept: Int }")
    with pytest.raises(SystemExit):
        _show_changes(other, "type Query { kept: Int more: Int }", False)
    shown = capsys.readouterr()
    assert "safe: Field Query.more was added.\nBREAKING: Field Query.gone was removed." in shown.out
    assert "deprecate it" in shown.err
    _show_changes(other, "type Query { kept: Int more: Int }", True)
    assert capsys.readouterr().out.startswith("### API\n\n#### Removed\n\n- Field Query.gone")
    _show_changes(other, "type Query { gone: Int kept: Int }", False)
    other.write_text("type {")
    with pytest.raises(SystemExit):
        _show_changes(other, "type Query { kept: Int }", False)
    assert "is no schema" in capsys.readouterr().err


def test_what_is_no_schema_is_refused():
    with pytest.raises(GraphQLError):
        changes_between("type {", OLD)
