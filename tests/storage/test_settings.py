"""Settings from the environment: each bad value is refused by name."""

from pathlib import Path

import pytest

from core.settings import SettingsError, from_environment


def test_an_empty_environment_gives_a_local_installation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = from_environment({})
    assert settings.embedded
    assert settings.home == tmp_path / ".huike"
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.graphiql


def test_every_variable_is_read():
    settings = from_environment(
        {
            "HUIKE_HOME": "~/shop", "DATABASE_URL": "postgresql://u:p@db:6000/crm",
            "REDIS_URL": "redis://cache:6379/1", "HUIKE_KEYRING": "{}",
            "HUIKE_PUBLIC_URL": "https://crm.example/", "HUIKE_HOST": "0.0.0.0",
            "HUIKE_PORT": " 80 ", "HUIKE_SKIP_PLUGINS": "a, b,,", "HUIKE_CORS_ORIGINS": "https://x",
            "HUIKE_GRAPHIQL": "OFF", "HUIKE_POOL_SIZE": "5", "HUIKE_MAX_UPLOAD_BYTES": "2048",
            "HUIKE_PRIVATE_NETWORKS": "10.1.0.0/16, ::1",
            "HUIKE_LOG_LEVEL": "debug", "HUIKE_LOG_FORMAT": "JSON",
        }
    )  # fmt: skip
    assert settings.home == Path.home() / "shop"
    assert not settings.embedded
    assert settings.base_url == "https://crm.example"
    assert (settings.host, settings.port, settings.pool_size) == ("0.0.0.0", 80, 5)
    assert settings.skip_plugins == {"a", "b"}
    assert settings.cors_origins == ("https://x",)
    assert not settings.graphiql
    assert [str(one) for one in settings.private_networks] == ["10.1.0.0/16", "::1/128"]
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert settings.max_upload_bytes == 2048


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_is_none(value):
    assert from_environment({"HUIKE_PORT": value, "DATABASE_URL": value}).port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUIKE_PORT", "eighty"), ("HUIKE_PORT", "-1"), ("HUIKE_PORT", "65536"),
        ("HUIKE_PORT", "8000.5"), ("HUIKE_PORT", "²"), ("HUIKE_PORT", "9" * 5000),
        ("HUIKE_POOL_SIZE", "1"), ("HUIKE_MAX_UPLOAD_BYTES", "10"),
        ("HUIKE_GRAPHIQL", "maybe"), ("HUIKE_LOG_LEVEL", "loud"), ("HUIKE_LOG_FORMAT", "xml"),
        ("DATABASE_URL", "mysql://h/d"), ("DATABASE_URL", "localhost"),
        ("DATABASE_URL", "postgresql://h:port/d"), ("DATABASE_URL", "postgresql://[::1/d"),
        ("REDIS_URL", "http://h"), ("REDIS_URL", "redis://h:99999"),
        ("HUIKE_PUBLIC_URL", "crm.example"), ("HUIKE_PRIVATE_NETWORKS", "on"),
        ("HUIKE_PRIVATE_NETWORKS", "10.1.2.3/16"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=name):
        from_environment({name: value})


def test_secrets_do_not_show_in_the_environment_of_a_printed_setting():
    settings = from_environment({"HUIKE_KEYRING": "", "SOME_SECRET": "hunter2"})
    assert "hunter2" not in repr(settings)
