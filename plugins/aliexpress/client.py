"""Calls to the gateway of AliExpress in its three shapes: signed, counted, their ends told."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from core.sdk.gateways import GatewayClient
from core.sdk.signing import sign
from plugins.aliexpress.answers import unwrap
from plugins.aliexpress.faults import ban_of, meaning
from plugins.aliexpress.settings import AliExpressSettings

SIGN_METHOD = "sha256"
PLACE = re.compile(r"\{(\w+)\}")
"""A part of a path that a parameter fills."""


class Client(GatewayClient[AliExpressSettings]):
    """The gateway for one app, and for one shop if there is a `token`."""

    unwrap = staticmethod(unwrap)
    ban_of = staticmethod(ban_of)
    meaning = staticmethod(meaning)

    def signed(self, api: str, params: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        key, secret = self.settings.key_and_secret()
        form = {name: _written(value) for name, value in params.items() if value is not None}
        shape, token_name, prefix = self.settings.shape(api), "access_token", ""
        if shape == "business":
            token_name, url = self.settings.token_name, f"{self.settings.gateway}/sync"
            form |= {"method": api, "v": "2.0", "format": "json", "simplify": "true"}
        else:
            prefix = "/" + PLACE.sub(lambda found: form.pop(found[1]), api).lstrip("/")
            version = "/2.0" if shape == "rest2" else ""
            url = f"{self.settings.gateway}/rest{version}{prefix}"
        form |= {
            "app_key": key, "sign_method": SIGN_METHOD,
            "timestamp": str(int(self.now().timestamp() * 1000)),
        }  # fmt: skip
        if self.token is not None:
            form[token_name] = self.token.access
        form["sign"] = sign(form, secret, SIGN_METHOD, prefix)
        return url, form


def _written(value: Any) -> str:
    """A parameter as the gateway wants it: objects and lists as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
