"""A real Postfix, where it is installed: it takes our mail, and its bounce is understood.

It runs as an instance of its own in a folder of its own. Postfix lets only the superuser start it.
"""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.plugins.email.kit import enable, fate, send_by
from tests.plugins.email.test_mailbox import read, settings
from tests.stand_ins.imap import imap_server

POSTFIX = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = pytest.mark.skipif(
    POSTFIX is None or os.geteuid() != 0, reason="needs Postfix and its superuser"
)

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.test
mydestination = example.test
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
recipient_delimiter = +
virtual_mailbox_domains = box.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_recipient_restrictions = permit_mynetworks, reject
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
"""


@pytest.fixture(scope="module")
def postfix():
    """(port, folder with its mail) of a running Postfix."""
    folder = Path(tempfile.mkdtemp(prefix="huike-postfix-", dir="/tmp"))
    user = pwd.getpwnam("postfix")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.chmod(0o755)
    for name in ("queue", "data", "mail", "config"):
        (folder / name).mkdir(mode=0o755)
    for name in ("data", "mail"):
        os.chown(folder / name, user.pw_uid, user.pw_gid)
    config = folder / "config"
    (config / "main.cf").write_text(MAIN.format(folder=folder, uid=user.pw_uid, gid=user.pw_gid))
    (config / "master.cf").write_text(MASTER.format(port=port))
    command = [POSTFIX, "-c", str(config)]
    subprocess.run([*command, "start"], check=True, capture_output=True, timeout=30)
    try:
        yield port, folder / "mail/inbox/new"
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


async def arrived(box, count):
    """The mails in a folder, once there are so many."""
    limit = time.monotonic() + 30
    while not box.exists() or len(list(box.iterdir())) < count:
        assert time.monotonic() < limit, "nothing arrived"
        await asyncio.sleep(0.1)
    return [path.read_bytes() for path in sorted(box.iterdir())]


async def test_mail_is_taken_and_a_bounce_suppresses_the_right_address(merchant, postfix):
    port, box = postfix
    addresses = ["nobody-there@example.test", "somebody@box.test"]
    gone, there = await send_by(merchant, port, addresses, return_path="bounces@box.test")
    mails = await arrived(box, 2)
    (ours,) = [raw for raw in mails if b"Delivered-To: somebody@box.test" in raw]
    (bounce,) = [raw for raw in mails if raw is not ours]
    assert f"Message-ID: <{there.key}@example.com>".encode() in ours
    assert b"multipart/report" in bounce
    async with imap_server() as server:
        await enable(merchant, settings(server.port))
        await read(merchant)
        server.add(bounce)
        await read(merchant)
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, there) == ("sent", None, None)
