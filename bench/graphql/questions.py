"""The five questions, and the data that every server is asked them about."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from bench.graphql.load import Target
from bench.large import START
from core.sdk.ids import join_id

NAMES = ("one", "page", "nested", "filtered", "update")
PROVINCE = "浙江省"
PAGE, ORDERS = 50, 5
VARIANTS = 200
"""Different requests for each question, asked in turn."""


@dataclass(frozen=True)
class Data:
    """Where the rows are."""

    url: str
    merchant_id: int
    customers: int
    since: datetime = START


def numbers(data: Data, name: str) -> Iterator[int]:
    """The customers that the requests of a question are about."""
    r = random.Random(name)
    for _ in range(VARIANTS):
        yield r.randrange(1, data.customers + 1)


OURS = {
    "one": """query One($id: ID!) { customer(id: $id) { id name province city createdAt } }""",
    "page": """query Page { customers(first: 50) { nodes {
        id name birthday country province city createdAt updatedAt } } }""",
    "nested": """query Nested { customers(first: 50) { nodes { id name orders(first: 5) {
        id externalId state total { amount currency } orderedAt
        lines { id title quantity amount { amount } } } } } }""",
    "filtered": """query Filtered($since: DateTime!) {
        customers(first: 50, where: {province: {eq: "浙江省"}, createdAt: {gte: $since}},
                  sort: [{field: CREATED_AT, direction: DESC}]) {
            nodes { id name province city createdAt } count(limit: 1000000) { value } } }""",
    "update": """mutation Update($id: ID!, $city: String) {
        customerUpdate(id: $id, input: {city: $city}) {
            customer { id city } errors { code } } }""",
}


def our_requests(data: Data, name: str) -> list[dict[str, Any]]:
    """The requests of one question to a server with this project's schema."""
    return [
        {"query": OURS[name], "variables": _variables(data, name, number)}
        for number in numbers(data, name)
    ]


def our_target(port: int, data: Data, name: str, token: str | None) -> Target:
    """Where a server with this project's schema is asked one of the questions."""
    bodies = [orjson.dumps(one) for one in our_requests(data, name)]
    return Target(port, "/graphql", bodies, token)


def _variables(data: Data, name: str, number: int) -> dict[str, Any]:
    match name:
        case "one":
            return {"id": join_id("Customer", number)}
        case "filtered":
            return {"since": data.since.isoformat()}
        case "update":
            return {"id": join_id("Customer", number), "city": f"{number % 97}"}
    return {}


def floor_requests(data: Data, name: str) -> list[dict[str, Any]]:
    """The requests of one question to the floor, which has an address for each."""
    return [{"id": number, "city": f"{number % 97}"} for number in numbers(data, name)]
