"""Trusted documents: queries that are known beforehand, named by their id instead of their text.

The manifest is the `persisted-documents.json` of GraphQL Code Generator: an object of texts by id.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
from cross_web import HTTPException
from graphql import GraphQLError, parse
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
)

from core.schema.errors import BAD_REQUEST, COST_EXCEEDED, FORBIDDEN, THROTTLED
from core.settings import SettingsError

SHA256 = "sha256:"
MAX_TEXT = 100_000
MAX_OPERATIONS = 100
"""Those under way on one WebSocket."""
TOO_MANY = f"this connection has {MAX_OPERATIONS} operations under way: end some of them"
SHAPES = {
    "documentId": (str, "a string"),
    "query": (str, "a string"),
    "operationName": (str, "a string"),
    "variables": (dict, "an object"),
    "extensions": (dict, "an object"),
}


class Refused(HTTPException):
    """What is no request that this server answers, with the code of the error."""

    def __init__(self, status: int, reason: str, code: str = BAD_REQUEST) -> None:
        super().__init__(status, reason)
        self.code = code


class Asked(NamedTuple):
    """What a request asks for."""

    query: str | None
    variables: dict[str, Any] | None
    operation_name: str | None


class Documents:
    """The texts that the server knows, and whether it takes any other."""

    def __init__(self, texts: Mapping[str, str], trusted_only: bool = False) -> None:
        self._texts = {name.removeprefix(SHA256): text for name, text in texts.items()}
        self.trusted_only = trusted_only

    def text_of(self, query: str | None, document_id: str | None) -> str | None:
        """The text to execute. Raises Refused for an unknown id, and for a text that is not ours.

        An id is known with and without its prefix `sha256:`.
        """
        if document_id is not None:
            if query:
                raise Refused(400, "send either documentId or query, not both")
            text = self._texts.get(document_id.removeprefix(SHA256))
            if text is None:
                raise Refused(400, f"no trusted document has the id {document_id[:100]}: "
                                   "add it to the server's manifest")  # fmt: skip
            return text
        if query and len(query) > MAX_TEXT:
            raise Refused(400, f"the query is longer than {MAX_TEXT} characters", COST_EXCEEDED)
        if query and self.trusted_only:
            raise Refused(403, "this server answers trusted documents only: send a documentId",
                          FORBIDDEN)  # fmt: skip
        return query

    def read(self, data: Any) -> Asked:
        """The request in a body or in a URL. Raises Refused for one of another shape."""
        if not isinstance(data, dict):
            raise Refused(400, "the body is not a GraphQL request")
        for name, value in data.items():
            if value is not None and name in SHAPES:
                kind, shape = SHAPES[name]
                if not isinstance(value, kind):
                    raise Refused(400, f"{name} must be {shape} or null")
        return Asked(
            self.text_of(data.get("query"), data.get("documentId")),
            data.get("variables"),
            data.get("operationName"),
        )


def load_documents(path: Path | None, trusted_only: bool) -> Documents:
    """The documents of a manifest; none without a path. Raises SettingsError."""
    if path is None:
        return Documents({}, trusted_only)
    try:
        texts = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise SettingsError(f"HUIKE_DOCUMENTS: cannot read {path}: {error}") from None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise SettingsError(f"HUIKE_DOCUMENTS: {path} must be an object of texts by id")
    for name, text in texts.items():
        try:
            parse(text)
        except GraphQLError as error:
            raise SettingsError(
                f"HUIKE_DOCUMENTS: the document {name} in {path} is no GraphQL: {error}"
            ) from None
    return Documents(texts, trusted_only)


class SocketHandler(BaseGraphQLTransportWSHandler[Any, None]):
    """The WebSocket protocol, with trusted documents."""

    async def handle(self) -> None:
        try:
            await super().handle()
        except Refused as error:  # a message that is not even read: nobody knows its id
            await self.handle_invalid_message(error.reason)

    async def handle_message(self, message: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("id", ""), str):
            await self.handle_invalid_message("Failed to parse message")
            return
        await super().handle_message(cast("Any", message))

    async def handle_subscribe(self, message: Any) -> None:
        if self.connection_acknowledged:
            documents: Documents = self.view.documents  # type: ignore[attr-defined]
            payload = message["payload"]
            try:
                if len(self.operations) >= MAX_OPERATIONS:
                    raise Refused(429, TOO_MANY, THROTTLED)
                request = documents.read(payload)
            except Refused as error:
                extensions = {"code": error.code, "requestId": self.context.request_id}
                fault = GraphQLError(error.reason, extensions=extensions)
                await self.send_message(
                    {"id": message["id"], "type": "error", "payload": [fault.formatted]}
                )
                return
            payload["query"] = request.query
        await super().handle_subscribe(message)
