"""Plugins of every kind, as installed packages bring them: through entry points."""

import sys
import textwrap
import time
from importlib.metadata import EntryPoint

import pytest
from packaging.version import Version

from core import __version__
from core.builtin import CorePlugin
from core.registry import GROUP, RegistryError, load
from core.sdk import hookimpl
from core.sdk.hooks import HookDeprecated, Hooks

HEAD = """
from core.sdk import *
class Channel_:
    contact, fields, concurrency = "phone", (), 1
    def __init__(self, name):
        self.name = self.title = name
    def open(self, settings): ...
async def nothing(*args): ...
class Plugin:
    manifest = Manifest(name={name!r}, title="T", version="1.0", core={core!r})
"""


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """Writes a plugin's module and returns its entry point."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, body="", core=">=0.1,<0.2", head=HEAD, tail="plugin = Plugin()"):
        module = f"fake_{name}_{len(written)}_{tmp_path.name}"
        text = head.format(name=name, core=core) + textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / f"{module}.py").write_text(f"{text}\n{tail}\n")
        written.append(module)
        return EntryPoint(name, f"{module}:plugin", GROUP)

    yield write
    for module in written:
        sys.modules.pop(module, None)


def channel(name):
    return f"@hookimpl\ndef channels(self): return [Channel_({name!r})]\n"


def found(*points, **options):
    return load(CorePlugin(), found=points, **options)


def test_our_own_plugins_load():
    loaded = load(CorePlugin())
    assert loaded.broken == {}
    assert {"email", "taobao"} <= set(loaded.manifests)
    assert loaded.error_codes["NOT_FOUND"].plugin == "core"


def test_contributions_are_kept_with_their_owner_and_sorted(entry):
    loaded = found(entry("zz", channel("zz")), entry("aa", channel("aa_sms")))
    assert list(loaded.manifests) == ["aa", "zz"]
    assert [(name, owned.plugin) for name, owned in loaded.channels.items()] == [
        ("aa_sms", "aa"), ("zz", "zz"),
    ]  # fmt: skip
    assert loaded.broken == {}


@pytest.mark.parametrize(
    "tail",
    ["raise ImportError('no module named foo')", "raise SystemExit(3)", "1 +", "plugin = None",
     "plugin = object()", ""],
)  # fmt: skip
def test_a_plugin_that_does_not_load_is_left_out_and_named(entry, tail):
    loaded = found(entry("bad", tail=tail), entry("good", channel("good")))
    assert set(loaded.manifests) == set(loaded.channels) == {"good"}
    assert set(loaded.broken) == {"bad"}
    assert loaded.broken["bad"].startswith("failed to load: ")


def test_the_reason_of_a_failed_import_is_told(entry):
    loaded = found(entry("bad", tail="raise ImportError('no module named foo')"))
    assert "no module named foo" in loaded.broken["bad"]


@pytest.mark.parametrize(
    "body",
    [
        "@hookimpl\ndef channels(self): raise OSError('away')",
        "@hookimpl\ndef channels(self): return None",
        "@hookimpl\ndef channels(self): return [object()]",
        "@hookimpl\ndef chanels(self): return []",
        "@hookimpl\ndef channels(self, extra): return []",
        channel("sms"),
        "@hookimpl\ndef schema_fields(self): return [SchemaField('Query', 'x', None, 'X', '1.0')]",
        "@hookimpl\ndef error_codes(self):\n    class E(HuikeError): code = 'OOPS'\n    return [E]",
    ],
)
def test_a_plugin_that_contributes_wrongly_is_left_out_whole(entry, body):
    facets = "@hookimpl\ndef health_checks(self): return [HealthCheck('bad', nothing)]\n"
    loaded = found(entry("bad", facets + body), entry("good", channel("good")))
    assert set(loaded.manifests) == {"good"}
    assert loaded.health_checks == {}
    assert loaded.broken["bad"].startswith("failed to contribute: ")


def test_a_misspelt_hook_and_a_wrong_prefix_are_named(entry):
    loaded = found(
        entry("one", "@hookimpl\ndef chanels(self): return []"), entry("two", channel("sms"))
    )
    assert "chanels" in loaded.broken["one"]
    assert "'sms' must start with the plugin's name, 'two'" in loaded.broken["two"]


@pytest.mark.parametrize("where", ["import", "hook"])
def test_a_plugin_that_hangs_is_left_out(entry, where):
    if where == "import":
        bad = entry("bad", tail="import time; time.sleep(20)")
    else:
        bad = entry("bad", "@hookimpl\ndef facets(self):\n    import time; time.sleep(20)")
    began = time.monotonic()
    loaded = found(bad, entry("good", channel("good")), seconds=0.8)
    assert time.monotonic() - began < 15
    assert set(loaded.manifests) == {"good"}
    assert "no answer within 0.8 seconds" in loaded.broken["bad"]


def test_two_plugins_that_claim_one_channel_stop_the_start(entry):
    points = entry("sms", channel("smsfast")), entry("smsfast", channel("smsfast"))
    with pytest.raises(RegistryError, match="plugins sms and smsfast both bring channels"):
        found(*points)
    assert set(found(*points, skip=["sms"]).channels) == {"smsfast"}


def test_two_packages_that_bring_one_plugin_stop_the_start(entry):
    points = entry("sms"), entry("sms")
    with pytest.raises(RegistryError, match="two installed packages bring a plugin named sms"):
        found(*points)
    assert found(*points, skip=["sms"]).manifests == {}


def test_a_plugin_cannot_call_itself_core(entry):
    with pytest.raises(RegistryError, match="named core"):
        found(entry("core"))


def test_a_plugin_out_of_its_range_stops_the_start_in_one_sentence(entry):
    point = entry("old", core=">=7")
    with pytest.raises(RegistryError, match=r"old 1\.0 works with huike >=7.*SKIP_PLUGINS=old"):
        found(point)
    assert found(point, skip=["old"]).manifests == {}


@pytest.mark.parametrize(
    ("name", "core", "reason"),
    [("bad", "about 0.1", "malformed"), ("other", ">=0.1", "the manifest says 'other'")],
)
def test_a_wrong_manifest_is_told(entry, name, core, reason):
    point = entry(name, core=core)
    loaded = found(EntryPoint("bad", point.value, GROUP))
    assert reason in loaded.broken["bad"]


def test_a_permission_that_does_not_bear_the_plugins_name(entry):
    head = HEAD.replace("core={core!r})", "core={core!r}, permissions=(Permission(PERM, 'x'),))")
    good = entry("sms", head="PERM = 'SMS_SEND'\n" + head)
    assert set(found(good).manifests) == {"sms"}
    bad = entry("sms", head="PERM = 'SHOPS_READ'\n" + head)
    assert "'SHOPS_READ' must start with" in found(bad).broken["sms"]


# -- hooks that will go ---------------------------------------------------------------------------


def test_a_deprecated_hook_works_and_is_told(entry, monkeypatch, caplog):
    going = HookDeprecated("0.1", "0.3", "use facets")
    monkeypatch.setitem(Hooks.channels.huike_spec, "warn_on_impl", going)
    points = entry("good", channel("good")), entry("other", "")
    with pytest.warns(HookDeprecated, match="works until 0.3: use facets"):
        loaded = found(*points)
    assert "good" in loaded.channels
    told = "the hook channels is deprecated since 0.1, works until 0.3: use facets"
    assert loaded.deprecated == {"good": [told]}
    assert told in caplog.text


def test_a_deprecated_hook_works_for_one_more_minor_version_at_least():
    for since, until in (("0.1", "0.3"), ("0.9", "0.11"), ("0.4", "1.0")):
        assert HookDeprecated(since, until, "use facets").until == until
    for until in ("0.1", "0.2"):
        with pytest.raises(ValueError, match="one minor version more"):
            HookDeprecated("0.1", until, "use facets")


def test_no_hook_stays_beyond_its_time():
    for name in Hooks.__dict__:
        going = None if name.startswith("_") else getattr(Hooks, name).huike_spec["warn_on_impl"]
        assert going is None or Version(going.until) > Version(__version__), name


def test_a_failure_of_core_itself_stops_the_start():
    class Broken:
        @hookimpl
        def facets(self):
            raise OSError("core is broken")

    with pytest.raises(RuntimeError, match="core is broken"):
        load(Broken(), found=())
