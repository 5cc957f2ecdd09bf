"""The examples of the webhooks guide accept what we sign, and nothing else."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import orjson
import pytest

from core.domain.shops.webhooks.signing import new_secret, signature
from tests.docs.test_docs import blocks

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "webhooks.md"
BODY = '{"type": "order.created", "data": {"note": "茶"}}'.encode()


def cases():
    """Secret, headers, body, and whether the example has to accept them."""
    secret, other, now = new_secret(), new_secret(), int(time.time())

    def headers(keys, seconds=now):
        return {"webhook-id": "m1", "webhook-timestamp": str(seconds),
                "webhook-signature": signature(keys, "m1", seconds, BODY)}  # fmt: skip

    good = headers([secret])
    return [
        (secret, good, BODY, True), (secret, headers([other, secret]), BODY, True),
        (other, good, BODY, False), (secret, good, BODY + b" ", False),
        (secret, {**good, "webhook-id": "m2"}, BODY, False),
        (secret, {**good, "webhook-timestamp": str(now + 1)}, BODY, False),
        (secret, headers([secret], now - 400), BODY, False),
        (secret, {**good, "webhook-signature": "v1,"}, BODY, False),
    ]  # fmt: skip


def test_the_python_example():
    (example,) = blocks(GUIDE, "python")
    names = {}
    exec(compile(example, GUIDE.name, "exec"), names)
    for secret, headers, body, right in cases():
        assert names["is_ours"](secret, headers, body) is right, headers


def test_the_typescript_example(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not there")
    (example,) = blocks(GUIDE, "ts")
    plain = re.sub(r": (string|boolean|Buffer|Record<string, string>)(?=[,) ])", "", example)
    tried = [[secret, headers, body.decode(), right] for secret, headers, body, right in cases()]
    check = "\n".join([
        plain, f"const cases = {orjson.dumps(tried).decode()};",
        "for (const [secret, headers, body, right] of cases)",
        "  if (isOurs(secret, headers, Buffer.from(body)) !== right) process.exit(2);",
    ])  # fmt: skip
    (tmp_path / "check.mjs").write_text(check)
    done = subprocess.run([node, tmp_path / "check.mjs"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
