"""A client of the API: lists customers, previews a segment and follows a job. Needs httpx2 only.

    python client.py --url http://127.0.0.1:8000 --token hk_...

The token needs CUSTOMERS_READ, ORDERS_READ, SEGMENTS_READ and JOBS_READ.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
REGULARS = {"orderCount": {"atLeast": 2}}


class ApiError(Exception):
    """The request as a whole was refused."""


class Client:
    """Sends the operations of docs/operations, by the names of their files."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=30)

    def run(self, operation: str, **variables: Any) -> Any:
        """The data that an operation answers. Waits where the server asks for it.

        Raises ApiError, with the request's id for whoever looks after the server.
        """
        query = (OPERATIONS / f"{operation}.graphql").read_text(encoding="utf-8")
        while True:
            response = self._http.post("/graphql", json={"query": query, "variables": variables})
            if response.status_code != 429:
                break
            time.sleep(float(response.headers.get("Retry-After", 1)))
        answer = response.json()
        if errors := answer.get("errors"):
            extensions = errors[0].get("extensions", {})
            raise ApiError(
                f"{extensions.get('code', '?')}: {errors[0]['message']} "
                f"(request {extensions.get('requestId', '?')})"
            )
        return answer["data"]


def list_customers(client: Client, first: int) -> None:
    """Prints customers, the newest first, page by page until there are `first`."""
    after, left = None, first
    while left > 0:
        page = client.run("customers", first=min(left, 100), after=after)["customers"]
        for customer in page["nodes"]:
            tags = ", ".join(tag["tag"] for tag in customer["tags"])
            print(f"  {customer['name'] or '-'}  {customer['province'] or '-'}  {tags}")
        left -= len(page["nodes"])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    count = page["count"]
    print(f"{'at least ' * (count['precision'] == 'AT_LEAST')}{count['value']} customers")


def preview_segment(client: Client, rule: dict[str, Any]) -> None:
    """Prints what a rule finds; a long count is left to a job, which is followed."""
    found = client.run("segment-preview", rule=rule)["segmentPreview"]
    if found["job"]:
        job_id = found["job"]["id"]
        follow_job(client, job_id)
        found = client.run("segment-preview-result", jobId=job_id)["segmentPreviewResult"]
    for error in found["errors"]:
        raise ApiError(f"{error['code']} at {'.'.join(error['path'])}: {error['message']}")
    preview = found["preview"]
    print(f"{preview['count']} of {preview['customers']} customers fit")
    for reach in preview["reach"]:
        print(f"  {reach['channel']}: {reach['reached']} can be written to")


def follow_job(client: Client, job_id: str) -> None:
    """Prints a job's progress until it has ended."""
    while True:
        job = client.run("job", id=job_id)["job"]
        if job is None:
            raise ApiError(f"there is no job {job_id}")
        progress = job["progress"]
        print(f"  {job['kind']}: {job['state']} {progress['done']}/{progress['total'] or '?'}")
        if job["state"] in ENDED:
            break
        time.sleep(1)
    if job["error"]:
        print(f"  {job['error']['code']}: {job['error']['message']}")


def main() -> int:
    """The exit code is 0 when every step was answered."""
    parser = argparse.ArgumentParser(description="List customers, preview a segment, follow a job.")
    parser.add_argument("--url", default=os.environ.get("HUIKE_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("HUIKE_TOKEN"))
    parser.add_argument("--first", type=int, default=10, help="how many customers")
    parser.add_argument("--rule", type=json.loads, default=REGULARS, help="a SegmentRuleInput")
    parser.add_argument("--job", help="the job to follow; without it, the newest")
    given = parser.parse_args()
    if not given.token:
        parser.error("give --token, or set HUIKE_TOKEN")
    client = Client(given.url, given.token)
    try:
        list_customers(client, given.first)
        preview_segment(client, given.rule)
        job_id = given.job
        if not job_id:
            newest = client.run("jobs", first=1)["jobs"]["nodes"]
            job_id = newest[0]["id"] if newest else None
        if job_id:
            follow_job(client, job_id)
    except (ApiError, httpx2.HTTPError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
