"""What the documents tell plugin authors works as it stands there."""

import inspect
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from core import sdk
from core.builtin import CorePlugin
from core.domain.segments.compile import sentence
from core.domain.segments.tree import read_tree
from core.registry import GROUP, load
from core.schema.build import build_schema
from core.sdk import Say
from core.sdk.events import Event
from core.sdk.hooks import Hooks

DOCS = Path(__file__).parents[2] / "docs/plugins"
FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOOKS = [name for name in vars(Hooks) if not name.startswith("_")]


def section(hook):
    """The text of a hook's section in hooks.md."""
    text = (DOCS / "hooks.md").read_text()
    assert f"\n## {hook}\n" in text, f"hooks.md has no section {hook}"
    return text.split(f"\n## {hook}\n")[1].split("\n## ")[0]


def test_hooks_md_has_a_section_for_each_hook_and_for_nothing_else():
    text = (DOCS / "hooks.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_a_section_gives_signature_what_and_when(hook):
    text = section(hook)
    parameters = inspect.signature(getattr(Hooks, hook))
    shown = re.sub(r"\b(core\.sdk\.\w+|collections\.abc)\.", "", f"def {hook}{parameters}")
    assert f"```\n{shown}\n```" in text
    assert "**What**: " in text
    assert "**When**: " in text


@pytest.mark.parametrize("hook", HOOKS)
def test_an_example_loads_and_contributes(hook, tmp_path, monkeypatch):
    (code,) = re.findall(r"^```python\n(.*?)^```$", section(hook), re.MULTILINE | re.DOTALL)
    module = f"example_{hook}"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name = re.search(r'name="(\w+)"', code.partition("Manifest(")[2]).group(1)
    loaded = load(CorePlugin(), found=[EntryPoint(name, f"{module}:plugin", GROUP)])
    assert loaded.broken == {}
    owners = [owned.plugin for owned in getattr(loaded, hook).values()]
    assert name in owners
    build_schema(loaded)
    del sys.modules[module]


def test_each_event_is_listed_for_subscribers():
    # a custom event is called as its merchant says
    kinds = [one for one in Event.__subclasses__() if isinstance(one.type, str)]
    kinds = [one for one in kinds if one.__module__ == Event.__module__]
    types = {one.type for one in kinds}
    listed = section("subscribers").split("types it wants: ")[1].partition(" `core.sdk` has")[0]
    assert set(re.findall(r"`([\w.]+)`", listed)) == types
    assert [one.__name__ for one in kinds if one.__name__ not in sdk.__all__] == []


def test_a_facet_takes_thirty_lines_and_appears_in_the_api_and_in_words(tmp_path, monkeypatch):
    (code,) = re.findall(r"^```python\n(.*?)^```$", section("facets"), re.MULTILINE | re.DOTALL)
    facet = code[code.index("@dataclass") : code.index("class NamesPlugin")].strip()
    assert len(facet.splitlines()) < 30
    (tmp_path / "example_words.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load(CorePlugin(), found=[EntryPoint("names", "example_words:plugin", GROUP)])
    printed = build_schema(loaded).as_str()
    assert "namesInitial: NamesInitialRuleInput" in printed
    assert '"""Whose name begins with this."""\ninput NamesInitialRuleInput {' in printed
    tree = read_tree({"version": 1, "rule": {"not": {"names_initial": {"begins_with": "L"}}}},
                     loaded.facets)  # fmt: skip
    assert sentence(tree, Say("en")) == "not: has a name that begins with L"
    assert sentence(tree, Say("zh")) == "不满足：姓名以L开头"
    del sys.modules["example_words"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The first plugin's files, installed as a package into a folder of its own."""
    folder = tmp_path_factory.mktemp("first") / "huike-titles"
    files = dict(FILE.findall((DOCS / "first-plugin.md").read_text()))
    for path, code in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(code)
    assert len(files) == 8
    site = folder.parent / "site"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
            "--no-deps", "--no-build-isolation", "--no-index", "--target", site, folder,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder, {**os.environ, "PYTHONPATH": str(site)}


def test_the_first_plugins_own_test_passes(package):
    folder, env = package
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--basetemp", folder.parent / "tmp"],
        cwd=folder, env=env,
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_huike_lists_the_first_plugin(package, tmp_path):
    _, env = package
    huike = Path(sys.executable).with_name("huike")
    done = subprocess.run(
        [huike, "plugins"], env=env | {"HUIKE_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert re.search(r"^titles +1\.0\.0 .*ok$", done.stdout, re.MULTILINE), (
        done.stdout + done.stderr
    )


def test_the_first_plugin_is_formatted_and_typed_like_ours(package):
    folder, env = package
    tools = Path(sys.executable).parent
    ruff = [tools / "ruff", "format", "--check", "--config", DOCS.parents[1] / "pyproject.toml"]
    assert subprocess.run([*ruff, folder], check=False).returncode == 0
    done = subprocess.run(
        [tools / "mypy", "--strict", "--ignore-missing-imports", "--follow-imports=silent",
         folder / "src/huike_titles"],
        env=env, capture_output=True, text=True, cwd=DOCS.parents[1], timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
