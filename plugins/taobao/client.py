"""Calls to the gateway of the Taobao Open Platform: signed, counted, and their ends told apart."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from core.sdk.gateways import GatewayClient
from core.sdk.signing import sign
from plugins.taobao.answers import unwrap
from plugins.taobao.faults import ban_of, meaning
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.tokens import check_class
from plugins.taobao.values import shown

SIGN_METHOD = "hmac-sha256"


class Client(GatewayClient[TaobaoSettings]):
    """The gateway for one app, and for one shop if there is a `token`."""

    unwrap = staticmethod(unwrap)
    ban_of = staticmethod(ban_of)
    meaning = staticmethod(meaning)

    def signed(self, api: str, params: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        if self.token is not None:
            check_class(self.token, api, self.now())
        key, secret = self.settings.key_and_secret()
        form = {name: _written(value) for name, value in params.items() if value is not None}
        form |= {
            "method": api, "app_key": key, "timestamp": shown(self.now()), "v": "2.0",
            "format": "json", "sign_method": SIGN_METHOD,
        }  # fmt: skip
        if self.token is not None:
            form["session"] = self.token.access
        form["sign"] = sign(form, secret, SIGN_METHOD)
        return self.settings.gateway, form


def _written(value: Any) -> str:
    """A parameter as the gateway wants it: objects as JSON, plain lists with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return shown(value)
    if isinstance(value, list | tuple) and not any(isinstance(one, dict) for one in value):
        return ",".join(str(one) for one in value)
    if isinstance(value, dict | list | tuple):
        return orjson.dumps(value).decode()
    return str(value)
