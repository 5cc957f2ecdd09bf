"""Settings of the process, read from the environment once at start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit


class SettingsError(Exception):
    """A setting is missing or malformed; the message names the variable and the cure."""


@dataclass(frozen=True)
class Settings:
    """Everything that differs between two installations.

    docs/operators/settings.md lists the variables; a field `x` is read from `HUIKE_X`
    unless `from_environment` says otherwise.
    """

    home: Path
    database_url: str | None = None
    redis_url: str | None = None
    keyring: str | None = None
    public_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    skip_plugins: frozenset[str] = frozenset()
    cors_origins: tuple[str, ...] = ()
    graphiql: bool = True
    documents: Path | None = None
    trusted_only: bool = False
    introspection: bool = True
    max_cost: int = 100_000
    cost_per_minute: int = 60_000_000
    pool_size: int = 10
    max_upload_bytes: int = 2 * 1024**3
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    request_seconds: int = 60
    request_statements: int = 2000
    log_level: str = "INFO"
    log_format: str = "text"
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def embedded(self) -> bool:
        """Whether this installation runs its own PostgreSQL."""
        return self.database_url is None

    @property
    def base_url(self) -> str:
        """Where customers' browsers reach this server; links in messages start with it."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises SettingsError that names the variable when a value cannot be used.
    """
    env = os.environ if environment is None else environment
    documents = (env.get("HUIKE_DOCUMENTS") or "").strip()
    trusted_only = _boolean(env, "HUIKE_TRUSTED_ONLY", False)
    if trusted_only and not documents:
        raise SettingsError(
            "HUIKE_TRUSTED_ONLY needs HUIKE_DOCUMENTS, the manifest of the trusted documents"
        )
    return Settings(
        home=Path(env.get("HUIKE_HOME") or ".huike").expanduser().absolute(),
        database_url=_url(env, "DATABASE_URL", ("postgres", "postgresql")),
        redis_url=_url(env, "REDIS_URL", ("redis", "rediss", "unix")),
        keyring=env.get("HUIKE_KEYRING") or None,
        public_url=_url(env, "HUIKE_PUBLIC_URL", ("http", "https")),
        host=env.get("HUIKE_HOST") or "127.0.0.1",
        port=_integer(env, "HUIKE_PORT", 8000, 0, 65535),
        skip_plugins=frozenset(_list(env, "HUIKE_SKIP_PLUGINS")),
        cors_origins=_origins(env, "HUIKE_CORS_ORIGINS"),
        graphiql=_boolean(env, "HUIKE_GRAPHIQL", True),
        documents=Path(documents).expanduser().absolute() if documents else None,
        trusted_only=trusted_only,
        introspection=_boolean(env, "HUIKE_INTROSPECTION", True),
        max_cost=_integer(env, "HUIKE_MAX_COST", 100_000, 100, 10**9),
        cost_per_minute=_integer(env, "HUIKE_COST_PER_MINUTE", 60_000_000, 0, 10**12),
        pool_size=_integer(env, "HUIKE_POOL_SIZE", 10, 2, 1000),
        max_upload_bytes=_integer(env, "HUIKE_MAX_UPLOAD_BYTES", 2 * 1024**3, 1024, 2**40),
        private_networks=_networks(env, "HUIKE_PRIVATE_NETWORKS"),
        request_seconds=_integer(env, "HUIKE_REQUEST_SECONDS", 60, 1, 3600),
        request_statements=_integer(env, "HUIKE_REQUEST_STATEMENTS", 2000, 10, 10**6),
        log_level=_choice(env, "HUIKE_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
        log_format=_choice(env, "HUIKE_LOG_FORMAT", ("text", "json")),
        environment=dict(env),
    )


def _url(env: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    value = (env.get(name) or "").strip()
    if not value:
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is no number
    except ValueError as error:
        raise SettingsError(f"{name} is not a URL ({error}): give {schemes[0]}://...") from None
    if parts.scheme not in schemes:
        raise SettingsError(
            f"{name} must start with {schemes[0]}://, not {parts.scheme or value!r}"
        )
    return value


def _origins(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Origins as browsers write them, or *: of pages that may call the API and open sockets."""
    origins = []
    for given in _list(env, name):
        if given == "*":
            origins.append(given)
            continue
        parts = urlsplit(_url({name: given}, name, ("https", "http")) or "")
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise SettingsError(f"{name} holds origins such as https://example.com, not {given!r}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = "" if parts.port in (None, usual) else f":{parts.port}"
        origins.append(f"{parts.scheme}://{host}{port}")
    return tuple(origins)


def _networks(env: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(given) for given in _list(env, name))
    except ValueError as error:
        raise SettingsError(f"{name} holds networks such as 10.1.0.0/16: {error}") from None


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    value = (env.get(name) or "").strip()
    if not value:
        return default
    if not value.isdecimal() or len(value) > len(str(high)) or not low <= int(value) <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def _boolean(env: Mapping[str, str], name: str, default: bool) -> bool:
    value = (env.get(name) or "").strip().lower()
    if not value:
        return default
    if value not in {"1", "0", "true", "false", "on", "off", "yes", "no"}:
        raise SettingsError(f"{name} must be on or off, not {value!r}")
    return value in {"1", "true", "on", "yes"}


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = (env.get(name) or choices[0]).strip()
    for choice in choices:
        if value.lower() == choice.lower():
            return choice
    raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _list(env: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in (env.get(name) or "").split(",") if item.strip()]
