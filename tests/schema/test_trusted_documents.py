"""Documents named by their id, and servers that take no others."""

import asyncio
import contextlib
import hashlib
import json
from dataclasses import replace

import orjson
import pytest
import pytest_asyncio
import uvicorn
import websockets

from core.app import create_app, listen
from core.schema.trusted import Documents, Refused, load_documents
from core.settings import SettingsError, from_environment
from tests.schema.conftest import Api

NAME = "query Name { viewer { merchant { name } } }"
HASH = hashlib.sha256(NAME.encode()).hexdigest()
WRITE = 'mutation Off { pluginDisable(name: "none") { errors { code } } }'
SCHEMA = "query Ask { __schema { queryType { name } } }"
WRONG = "query Wrong { viewr { id } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trusting(installation, tmp_path_factory):
    """A server of trusted documents only, that answers nothing about its schema."""
    manifest = tmp_path_factory.mktemp("documents") / "persisted-documents.json"
    texts = {f"sha256:{HASH}": NAME, "write": WRITE, "schema": SCHEMA, "wrong": WRONG}
    manifest.write_bytes(orjson.dumps(texts))
    settings = replace(
        installation.settings, documents=manifest, trusted_only=True, introspection=False
    )
    return create_app(replace(installation, settings=settings))


@pytest.fixture
def trusted(trusting):
    return Api(trusting)


@pytest.mark.parametrize("name", [HASH, f"sha256:{HASH}"])
async def test_a_document_is_named_by_its_id(trusted, merchant, name):
    answer = await trusted.raw({"documentId": name}, merchant.token)
    assert answer.json()["data"] == {"viewer": {"merchant": {"name": "Test"}}}
    bearer = {"authorization": f"Bearer {merchant.token}"}
    got = await trusted.client.get("/graphql", params={"documentId": name}, headers=bearer)
    assert got.json()["data"] == {"viewer": {"merchant": {"name": "Test"}}}


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"query": NAME}, 403, "FORBIDDEN", "send a documentId"),
        ({"documentId": "sha256:none"}, 400, "BAD_REQUEST", "sha256:none"),
        ({"documentId": HASH, "query": NAME}, 400, "BAD_REQUEST", "not both"),
        ({"documentId": 3}, 400, "BAD_REQUEST", "documentId must be a string"),
        ({"documentId": ""}, 400, "BAD_REQUEST", "no trusted document"),
        ({"operationName": 3, "documentId": HASH}, 400, "BAD_REQUEST", "operationName"),
    ],
)
async def test_others_are_refused(trusted, merchant, body, status, code, says):
    answer = await trusted.raw(body, merchant.token)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code)
    assert says in error["message"]


async def test_a_document_that_writes_needs_a_post(trusted, merchant):
    bearer = {"authorization": f"Bearer {merchant.token}"}
    answer = await trusted.client.get("/graphql", params={"documentId": "write"}, headers=bearer)
    assert answer.status_code == 405
    assert (await trusted.raw({"documentId": "write"}, merchant.token)).json()["data"]


async def test_introspection_is_switched_off(trusted):
    answer = (await trusted.raw({"documentId": "schema"})).json()
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "data" not in answer
    assert "Did you mean" not in (await trusted.raw({"documentId": "wrong"})).text


async def test_sockets_know_the_documents(trusting, merchant):
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(trusting, log_config=None, ws="websockets-sansio", lifespan="off")
    )
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve([listener]))
    address = f"ws://127.0.0.1:{listener.getsockname()[1]}/graphql"
    try:
        async with websockets.connect(address, subprotocols=["graphql-transport-ws"]) as socket:
            payload = {"Authorization": f"Bearer {merchant.token}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            asked = {"1": {"query": NAME}, "2": {"documentId": HASH}, "3": {}}
            for one, payload in asked.items():
                await socket.send(json.dumps({"type": "subscribe", "id": one, "payload": payload}))
            answers = [json.loads(await asyncio.wait_for(socket.recv(), 60)) for _ in range(3)]
    finally:
        server.should_exit = True
        await task
        listener.close()
    found = {(one["id"], one["type"]): one.get("payload") for one in answers}
    extensions = found["1", "error"][0]["extensions"]
    assert (extensions["code"], set(extensions)) == ("FORBIDDEN", {"code", "requestId"})
    assert found["2", "next"]["data"] == {"viewer": {"merchant": {"name": "Test"}}}
    assert ("3", "error") in found or ("2", "complete") in found


def test_texts_are_taken_where_any_may_come():
    documents = Documents({"a": NAME})
    assert documents.text_of(WRITE, None) == WRITE
    assert documents.text_of(None, "a") == NAME
    assert documents.text_of(None, None) is None
    with pytest.raises(Refused):
        documents.text_of("", "b")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "cannot read"),
        (b"[]", "an object of texts"),
        (b'{"a": 1}', "an object of texts"),
        (b'{"a": "query {"}', "the document a"),
        (orjson.dumps({"deep": "{a" * 2000 + "}" * 2000}), "the document deep"),
    ],
)
def test_a_bad_manifest_ends_the_start(tmp_path, content, says):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=says):
        load_documents(path, False)
    with pytest.raises(SettingsError, match="cannot read"):
        load_documents(tmp_path / "none.json", False)


def test_settings():
    with pytest.raises(SettingsError, match="needs HUIKE_DOCUMENTS"):
        from_environment({"HUIKE_TRUSTED_ONLY": "on"})
    given = "https://Admin.Example.com:443, http://localhost:5173/,*"
    found = from_environment({"HUIKE_CORS_ORIGINS": given}).cors_origins
    assert found == ("https://admin.example.com", "http://localhost:5173", "*")
    for wrong in ("example.com", "https://example.com/shop", "https://", "ftp://example.com"):
        with pytest.raises(SettingsError, match="HUIKE_CORS_ORIGINS"):
            from_environment({"HUIKE_CORS_ORIGINS": wrong})
