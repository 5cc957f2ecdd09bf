"""Addresses that a plugin answers at: what a platform or a provider pushes, and pages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.sdk.facets import Text
from core.sdk.plugin import PluginContext


@dataclass(frozen=True)
class WebRequest:
    """A request as it came in.

    `url` is the address that the caller was given, query and all, as signatures need it; names of
    `headers` are lower case, `query` keeps order and repetitions, `body` is as it was sent.
    """

    method: str
    url: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class WebResponse:
    """An answer. A str is sent as UTF-8."""

    body: bytes | str = b""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WebRoute:
    """An address of each merchant who has the plugin on: `/hooks/<name>/<token>`.

    The token names the merchant and cannot be guessed; that the caller is who he should be, the
    handler checks by the signature of what he sends. `name` starts with the plugin's
    ("sms.receipts"). Of larger bodies than `max_bytes` the handler never hears. A HuikeError
    becomes an answer of 400, RetryLater one of 503, Refused one of 403.
    """

    name: str
    title: Text
    handle: Callable[[PluginContext, WebRequest], Awaitable[WebResponse]]
    methods: frozenset[str] = frozenset({"POST"})
    max_bytes: int = 1_000_000
