"""Whatever a request asks for too much of, it is told the same over each transport."""

import asyncio
import json
import time
from dataclasses import replace

import httpx2
import orjson
import pytest
import pytest_asyncio
import websockets

from core.app import create_app
from core.schema import trusted
from tests.schema.conftest import served
from tests.schema.test_limits import HOSTILE, SECONDS, VARIABLES, WHERE
from tests.schema.test_live import JOB, PROTOCOL, message, subscribed
from tests.schema.test_streaming import EVENTS, read_events

ALIVE = "{ __typename }"
FIVE = "{ " + " ".join(f"s{n}: shops(first: {n}) {{ nodes {{ id }} }}" for n in range(1, 6)) + " }"
REFUSED = {
    "bytes": ("{ __typename }" + " " * 100_000, None, "COST_EXCEEDED",
              "the query is longer than 100000 characters"),
    "tokens": (HOSTILE["many tokens"], None, "COST_EXCEEDED",
               "the query has more than 4000 tokens"),
    "depth": (HOSTILE["deep fields"], None, "COST_EXCEEDED",
              "the query goes deeper than 15 levels"),
    "depth of introspection": ("{ __schema " + "{ types " * 40 + "{ name }" + " }" * 41, None,
                               "COST_EXCEEDED", "the query goes deeper than 30 levels"),
    "fields": ("{ merchant { " + "createdAt " * 2001 + "} }", None, "COST_EXCEEDED",
               "the query asks for more than 2000 fields"),
    "aliases": ("{ merchant { " + " ".join(f"a{n}: name" for n in range(101)) + " } }", None,
                "COST_EXCEEDED", "the query has more than 100 aliases"),
    "root fields": (HOSTILE["many at the top"], None, "COST_EXCEEDED",
                    "at most 50 fields at the top of a request"),
    "mutations": (HOSTILE["mutations in a fragment"], None, "COST_EXCEEDED",
                  "at most 20 mutations in one request"),
    "fragments": (HOSTILE["bomb of 200"], None, "COST_EXCEEDED",
                  "at most 100 fragments in one document"),
    "overlaps": (HOSTILE["nested duplicates"], None, "COST_EXCEEDED",
                 "the query asks for the same fields too many times"),
    "cost": ("{ customers(first: 80) { nodes { id } } }", None, "COST_EXCEEDED",
             "the operation costs 82, more than 60: ask for smaller pages"),
    "page size": ("{ shops(first: -1) { nodes { id } } }", None, "BAD_REQUEST",
                  "first must be from 1 to 100"),
    "items": (WHERE, {"w": {"id": {"in": ["x"] * 20_001}}}, "COST_EXCEEDED",
              "a list in the variables is longer than 20000"),
    "levels": (WHERE, VARIABLES["deep"], "COST_EXCEEDED",
               "the variables go deeper than 200 levels"),
    "statements": (FIVE, None, "COST_EXCEEDED",
                   "the query needs more than 4 SQL statements: ask for less"),
    "syntax": ("{", None, "BAD_REQUEST", "Syntax Error: Expected Name, found <EOF>."),
    "unknown field": ("{ none }", None, "BAD_REQUEST",
                      "Cannot query field 'none' on type 'Query'."),
    "unknown operation": ("query A { __typename } query B { __typename }", None, "BAD_REQUEST",
                          "Must provide operation name if query contains multiple operations."),
    "variable of another type": ("query ($n: Int!) { shops(first: $n) { nodes { id } } }",
                                 {"n": "x"}, "BAD_REQUEST", "Variable '$n' has invalid value"),
    "no operation": ("fragment a on Query { __typename }", None, "BAD_REQUEST",
                     "Can't get GraphQL operation type"),
    "no query": ("", None, "BAD_REQUEST", "No GraphQL query found in the request"),
}  # fmt: skip


class Http:
    """Asks over one connection, as `accept` says."""

    accept = "application/json"

    def __init__(self, address, token):
        self.url = address.replace("ws://", "http://")
        self.headers = {"accept": self.accept, "content-type": "application/json"}
        if token:
            self.headers["authorization"] = f"Bearer {token}"

    async def __aenter__(self):
        self.client = httpx2.AsyncClient(timeout=60)
        return self

    async def __aexit__(self, *_):
        await self.client.aclose()

    async def ask(self, query, variables=None):
        """The answer, as it would be over HTTP."""
        body = orjson.dumps({"query": query, "variables": variables})
        answer = await self.client.post(self.url, content=body, headers=self.headers)
        return answer.json()


class Sse(Http):
    accept = EVENTS["accept"]

    async def ask(self, query, variables=None):
        body = orjson.dumps({"query": query, "variables": variables})
        given = {"content": body, "headers": self.headers}
        async with self.client.stream("POST", self.url, **given) as answer:
            if answer.headers["content-type"].startswith("application/json"):
                return json.loads(await answer.aread())  # refused before there was a stream
            (_, found), end = [one async for one in read_events(answer)]
            assert end == ("complete", None)
            return found


class Ws:
    def __init__(self, address, token):
        self.address, self.token, self.number = address, token, 0

    async def __aenter__(self):
        options = {"subprotocols": [PROTOCOL], "max_size": None}
        self.socket = await websockets.connect(self.address, **options)
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        await self.socket.send(json.dumps({"type": "connection_init", "payload": given}))
        assert (await message(self.socket))["type"] == "connection_ack"
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    async def ask(self, query, variables=None):
        self.number += 1
        asked = {"query": query, "variables": variables}
        start = {"id": str(self.number), "type": "subscribe", "payload": asked}
        await self.socket.send(orjson.dumps(start).decode())
        answer = await message(self.socket)
        assert answer["id"] == str(self.number)
        if answer["type"] == "error":
            return {"errors": answer["payload"]}
        assert (await message(self.socket))["type"] == "complete"
        return answer["payload"]


TRANSPORTS = [Http, Ws, Sse]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(installation):
    """The address of a server with small limits."""
    settings = replace(installation.settings, max_cost=60, request_statements=4)
    async with served(create_app(replace(installation, settings=settings))) as port:
        yield f"ws://127.0.0.1:{port}/graphql"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_is_told_alike(strict, kept, transport, name):
    query, variables, code, told = REFUSED[name]
    async with transport(strict, kept.token) as connection:
        for _ in range(2):  # the document is known the second time
            answer = await connection.ask(query, variables)
            assert answer.get("data") is None
            error = answer["errors"][0]
            assert error["extensions"]["code"] == code, error
            assert error["extensions"]["requestId"]
            assert error["message"].startswith(told)
        assert (await connection.ask(ALIVE))["data"] == {"__typename": "Query"}


async def test_a_message_with_too_many_values_is_not_read(address, kept):
    told = "the request holds more than 200000 values"
    for transport in (Http, Sse):
        async with transport(address, kept.token) as connection:
            answer = await connection.ask(WHERE, VARIABLES["a list of a million"])
            assert answer["errors"][0]["message"] == told
            assert answer["errors"][0]["extensions"]["code"] == "COST_EXCEEDED"
    async with Ws(address, kept.token) as connection:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await connection.ask(WHERE, VARIABLES["a list of a million"])
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4400, told)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_requests_over_a_socket(address, kept, name):
    async with Ws(address, kept.token) as connection:
        taken = []
        for _ in range(3):
            started = time.process_time()
            answer = await connection.ask(HOSTILE[name])
            taken.append(time.process_time() - started)
            code = answer["errors"][0]["extensions"]["code"]
            assert code in ("COST_EXCEEDED", "BAD_REQUEST")
        # with the client's part, which packs and masks as much as the server unpacks
        assert min(taken) < 2 * SECONDS


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_throttle_and_the_time_are_told_alike(
    installation, world, transport, monkeypatch
):
    async def slow(info):
        await asyncio.sleep(30)

    settings = replace(installation.settings, cost_per_minute=600, request_seconds=2)
    async with (
        served(create_app(replace(installation, settings=settings))) as port,
        transport(f"ws://127.0.0.1:{port}/graphql", world.token) as connection,
    ):
        asked = "{ customers(first: 48) { nodes { id } } }"
        assert "errors" not in await connection.ask(asked)
        error = (await connection.ask(asked))["errors"][0]
        assert error["message"].startswith("this token has asked for too much lately: try again in")
        assert error["extensions"]["code"] == "THROTTLED"
        assert 1 <= error["extensions"]["retryAfter"] <= 7
        monkeypatch.setattr("core.schema.shops.merchant_of", slow)
        error = (await connection.ask("{ merchant { name } }"))["errors"][0]
        assert error["message"] == "no answer within 2 seconds: ask for less at once"
        assert error["extensions"]["code"] == "TIMEOUT"
        assert (await connection.ask(ALIVE))["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_unexpected_errors_say_nothing(address, world, transport, monkeypatch, caplog):
    async def broken(*_):
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr("core.schema.operation.spend", broken)
    async with transport(address, world.token) as connection:
        answer = await connection.ask("{ merchant { name } }")
    error = answer["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "1234" not in str(answer)
    assert error["extensions"]["requestId"] in error["message"]
    assert "the password is 1234" in caplog.text


async def test_an_event_may_take_as_much_as_an_answer(strict, world):
    rejects = " ".join(f"r{n}: rejects(first: 1) {{ nodes {{ id }} }}" for n in range(5))
    query = f"subscription ($id: ID!) {{ jobProgress(id: $id) {{ {rejects} }} }}"
    async with subscribed(strict, world.token, query, id=world.ids["Job"]) as socket:
        payload = (await message(socket))["payload"]
        assert payload["data"] is None
        assert payload["errors"][0]["extensions"]["code"] == "COST_EXCEEDED"
        await socket.send(json.dumps({"type": "ping"}))
        assert await message(socket) == {"type": "pong"}


async def test_a_connection_has_so_many_operations(address, world, monkeypatch):
    monkeypatch.setattr(trusted, "MAX_OPERATIONS", 1)
    async with subscribed(address, world.token, JOB, id=world.ids["Job"]) as socket:
        await message(socket)
        asked = {"id": "2", "type": "subscribe", "payload": {"query": ALIVE}}
        await socket.send(json.dumps(asked))
        answer = await message(socket)
        assert (answer["id"], answer["type"]) == ("2", "error")
        assert answer["payload"][0]["extensions"]["code"] == "THROTTLED"
        await socket.send(json.dumps({"id": "1", "type": "complete"}))
        await socket.send(json.dumps(asked))
        assert (await message(socket))["payload"]["data"] == {"__typename": "Query"}
