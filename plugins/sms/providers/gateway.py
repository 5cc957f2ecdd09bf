"""A provider of whom only the settings know how he is asked and what his answers mean."""

from collections.abc import Mapping, Sequence
from string import Template as Pattern
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from core.sdk import Receipt
from plugins.sms.http import Caller
from plugins.sms.providers.protocol import Answer, Meaning, verdict
from plugins.sms.settings import GatewaySettings
from plugins.sms.texts import Text, short_number

TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


class Gateway:
    """One gateway."""

    approved_only = False

    def __init__(self, settings: GatewaySettings, caller: Caller) -> None:
        self.name = settings.name
        self._settings = settings
        self._caller = caller
        self._url = Pattern(settings.url)
        self._headers = _patterns({k: v.get_secret_value() for k, v in settings.headers.items()})
        self._fields = _patterns({k: v.get_secret_value() for k, v in settings.fields.items()})

    def calls(self, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
        return [[place] for place in range(len(texts))]

    async def send(self, serial: str, texts: Sequence[Text]) -> Sequence[Answer]:
        (text,) = texts
        values = {
            "to": text.to, "number": short_number(text.to), "text": text.signed,
            "plain": text.text, "signature": text.signature, "key": text.key,
        }  # fmt: skip
        url = self._url.safe_substitute({name: quote(v, "") for name, v in values.items()})
        headers = {
            name: pattern.safe_substitute(values | {"text": "", "plain": "", "signature": ""})
            for name, pattern in self._headers.items()
        }
        fields = {name: pattern.safe_substitute(values) for name, pattern in self._fields.items()}
        body = None
        match self._settings.format:
            case "query":
                url += ("&" if "?" in url else "?") + urlencode(fields)
            case "form":
                body = urlencode(fields).encode()
            case "json":
                body = orjson.dumps(fields)
        if body is not None:
            headers["content-type"] = TYPES[self._settings.format]
        answered = await self._caller.ask(self._settings.method, url, headers, body)
        told = value_at(answered.json(), self._settings.accepted.path)
        if told is None:
            raise self._caller.unclear(answered)
        if told not in self._settings.accepted.values:
            raise verdict(self._meaning(told), self.name, told)
        found = value_at(answered.json(), self._settings.id) if self._settings.id else None
        return [Receipt(found)]

    def _meaning(self, code: str) -> Meaning:
        if code in self._settings.refused:
            return Meaning.MESSAGE
        return Meaning.BUSY if code in self._settings.busy else Meaning.ACCOUNT


def at_path(value: Any, path: str) -> Any:
    """What stands at keys (and places of lists) joined by dots; None if nothing does."""
    for step in path.split(".") if path else []:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def value_at(value: Any, path: str) -> str | None:
    """The simple value at a path, as text; a truth is "true" or "false"."""
    found = at_path(value, path)
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int | float) else None


def _patterns(texts: Mapping[str, str]) -> dict[str, Pattern]:
    return {name: Pattern(text) for name, text in texts.items()}
