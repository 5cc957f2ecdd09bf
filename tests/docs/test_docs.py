"""The documents stay true to the code: links, settings, tables, commands and queries."""

import re
import shlex
from itertools import chain
from pathlib import Path

import click
import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from core.cli import main
from core.installation import load_registry, model_apps
from core.settings import from_environment
from tests.tables import tables_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\b(HUIKE_[A-Z_]+|DATABASE_URL|REDIS_URL)\b")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for _, language, code in FENCE.findall(page.read_text()) if language in languages]


def headings(page: Path) -> list[str]:
    return re.findall(r"^(#+ .+)$", prose(page), re.MULTILINE)


def anchor(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower())
    return words.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or (
            part and part not in {anchor(heading) for heading in headings(goal)}
        ):
            broken.append(target)
    assert broken == []


OF_OTHERS = {"NEW_DATABASE_URL", "HUIKE_URL", "HUIKE_TOKEN"}
"""Variables of a recipe for operators, and of the example clients."""


def variables_read() -> set[str]:
    return set(re.findall(rf'"{VARIABLE.pattern}"', (ROOT / "core/settings.py").read_text()))


def test_every_setting_is_documented_and_nothing_else() -> None:
    read = variables_read()
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operators/settings.md").read_text(), re.M)
    assert sorted(rows) == sorted(read)


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    read = variables_read()
    for page in PAGES:
        named = set(VARIABLE.findall(page.read_text()))
        assert named <= read | OF_OTHERS, page_name(page)


def test_the_data_model_names_every_table_and_nothing_else() -> None:
    text = (ROOT / "docs/data-model.md").read_text()
    apps = model_apps(load_registry(from_environment({})))
    tables = tables_of(chain.from_iterable(apps.values()))
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.M)) == sorted(tables)


def test_both_readmes_have_the_same_form() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    levels = [[heading.split(" ")[0] for heading in headings(page)] for page in (english, chinese)]
    assert levels[0] == levels[1]
    code = [[code for _, _, code in FENCE.findall(page.read_text())] for page in (english, chinese)]
    assert code[0] == code[1]


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("*.md")), ids=page_name)
def test_a_decision_record_has_its_four_parts(page: Path) -> None:
    assert headings(page)[1:] == ["## Context", "## Decision", "## Consequences", "## Alternatives"]


def command_lines(page: Path) -> list[list[str]]:
    found = []
    for code in blocks(page, "sh"):
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for start, word in enumerate(words):
                if word == "huike" or word.endswith("/huike"):
                    found.append(words[start + 1 :])
                    break
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for words in command_lines(page):
        command: click.Command = main
        for word in words:
            if word in ("|", ">", "&&", "&"):
                break
            if isinstance(command, click.Group) and not word.startswith("-"):
                assert word in command.commands, (page_name(page), words)
                command = command.commands[word]
            elif word.startswith("-"):
                options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
                assert word.partition("=")[0] in options | {"--help"}, (page_name(page), words)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"^make ([a-z]+)", "\n".join(blocks(page, "sh")), re.M))
    named |= set(re.findall(r"`make ([a-z]+)", page.read_text()))
    assert named <= targets


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((ROOT / "schema.graphql").read_text())


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "graphql")], ids=page_name)
def test_queries_fit_the_schema(page: Path, schema: GraphQLSchema) -> None:
    for code in blocks(page, "graphql"):
        assert validate(schema, parse(code)) == [], code
