"""Reading the mailbox by IMAP, as far as it was not read before.

Nothing in the mailbox is changed: how far it was read is kept in the same transaction as what was
found, so nothing is passed over, and what comes twice counts once.
"""

import asyncio
import imaplib
import logging
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from core.domain.campaigns.receipts import take_receipts
from core.domain.campaigns.replies import take_replies
from core.sdk import Channel, PluginContext, ReconnectNeeded, RetryLater, outbound
from plugins.email.bounces.reading import Incoming, read_mail
from plugins.email.settings import EmailSettings, Mailbox

logger = logging.getLogger(__name__)

SECONDS = 15.0
PORTION = 100
MOST_BYTES = 256 * 1024
"""Of larger mails only the beginning is read: a bounce may hold all of a large message."""
PORTIONS = 20

_NUMBER = re.compile(rb"UID (\d+)")


@dataclass(frozen=True)
class Place:
    """How far a folder was read. Numbers of another generation mean other mails."""

    generation: int
    last: int


@dataclass(frozen=True)
class Portion:
    """Some mails in order, and where the next ones begin; `more` when there are some."""

    mails: list[bytes]
    place: Place
    more: bool


async def read_mailbox(context: PluginContext, channel: Channel) -> None:
    """Take in what came since the last time. Raises RetryLater or ReconnectNeeded."""
    settings = context.settings
    assert isinstance(settings, EmailSettings)
    mailbox = settings.mailbox
    if mailbox is None:
        return
    place = await _place(context, mailbox)
    for _ in range(PORTIONS):
        portion = await asyncio.to_thread(fetch, mailbox, place)
        found = Incoming()
        for raw in portion.mails:
            try:
                read_mail(raw, context.database.clock(), found)
            except Exception:  # anybody can write to the mailbox; one mail holds up no others
                logger.exception("a mail of %s is passed over", _name(mailbox))
        async with context.database.work(context.merchant_id) as w:
            await take_receipts(w, channel, found.receipts)
            await take_replies(w, channel, found.replies)
            await w.sql.execute(
                """INSERT INTO email_mailboxes AS m (merchant_id, place, generation, read_to)
                   VALUES ($1, $2, $3, $4)
                   ON CONFLICT (merchant_id, place) DO UPDATE
                       SET generation = EXCLUDED.generation, read_to = EXCLUDED.read_to""",
                w.merchant_id, _name(mailbox), portion.place.generation, portion.place.last,
            )  # fmt: skip
        place = portion.place
        if not portion.more:
            return


async def _place(context: PluginContext, mailbox: Mailbox) -> Place | None:
    async with context.database.read(context.merchant_id) as session:
        row = await session.sql.fetchrow(
            "SELECT generation, read_to FROM email_mailboxes WHERE merchant_id = $1 AND place = $2",
            session.merchant_id, _name(mailbox),
        )  # fmt: skip
    return None if row is None else Place(row["generation"], row["read_to"])


def _name(mailbox: Mailbox) -> str:
    return f"{mailbox.username}@{mailbox.host}/{mailbox.folder}"


def fetch(mailbox: Mailbox, place: Place | None) -> Portion:
    """The next mails behind a place; blocks. Raises RetryLater or ReconnectNeeded."""
    where = f"{mailbox.host}:{mailbox.port}"
    try:
        imap = _connected(mailbox)
    except ssl.SSLCertVerificationError as error:
        raise ReconnectNeeded(
            f"the certificate of {where} cannot be trusted: {error.verify_message}"
        ) from None
    except outbound.NotPublic as error:
        raise ReconnectNeeded(f"the mailbox at {where} {error}") from None
    except (OSError, imaplib.IMAP4.abort) as error:
        raise RetryLater(f"the mailbox at {where} cannot be reached: {error}") from None
    except imaplib.IMAP4.error as error:
        raise ReconnectNeeded(f"{where} does not offer what is asked: {error}") from None
    try:
        try:
            imap.login(mailbox.username, mailbox.password.get_secret_value())
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise ReconnectNeeded(f"{where} refuses user name or password: {error}") from None
        return _portion(imap, mailbox, place)
    except (OSError, imaplib.IMAP4.error) as error:
        raise RetryLater(f"the mailbox at {where} failed: {error}") from None
    finally:
        try:
            imap.logout()
        except (OSError, imaplib.IMAP4.error):
            imap.shutdown()


class _Imap(imaplib.IMAP4):
    """A connection to a mailbox; `tls` from the start, if given."""

    def __init__(self, mailbox: Mailbox, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        super().__init__(mailbox.host, mailbox.port, timeout=SECONDS)

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock = outbound.open_socket_blocking(host, port, SECONDS)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("rb")


def _connected(mailbox: Mailbox) -> imaplib.IMAP4:
    if mailbox.tls == "tls":
        return _Imap(mailbox, ssl.create_default_context())
    imap = _Imap(mailbox, None)
    if mailbox.tls == "starttls":
        if "STARTTLS" not in imap.capabilities:
            imap.shutdown()
            raise imaplib.IMAP4.error("it has no STARTTLS")
        imap.starttls(ssl.create_default_context())
    return imap


def _portion(imap: imaplib.IMAP4, mailbox: Mailbox, place: Place | None) -> Portion:
    state, _ = imap.select(f'"{mailbox.folder}"', readonly=True)
    if state != "OK":
        raise ReconnectNeeded(f"the mailbox has no folder {mailbox.folder}")
    generation = int(imap.response("UIDVALIDITY")[1][0] or b"0")
    if place is None:
        # what was there before is not ours to judge
        return Portion(
            [], Place(generation, int(imap.response("UIDNEXT")[1][0] or b"1") - 1), False
        )
    last = place.last if place.generation == generation else 0
    _, found = imap.uid("SEARCH", f"UID {last + 1}:*")
    # `n:*` names the last mail even when its number is lower
    numbers = sorted(int(one) for one in (found[0] or b"").split() if int(one) > last)
    wanted = numbers[:PORTION]
    if not wanted:
        return Portion([], Place(generation, last), False)
    _, answer = imap.uid("FETCH", ",".join(map(str, wanted)), f"(UID BODY.PEEK[]<0.{MOST_BYTES}>)")
    mails = dict(_mails(answer))
    return Portion(
        [mails[number] for number in wanted if number in mails],
        Place(generation, wanted[-1]),
        len(numbers) > len(wanted),
    )


def _mails(answer: list[object]) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each mail of an answer; servers put the number before or behind."""
    for place, item in enumerate(answer):
        if isinstance(item, tuple):
            behind = answer[place + 1] if place + 1 < len(answer) else b""
            number = _NUMBER.search(item[0]) or (
                _NUMBER.search(behind) if isinstance(behind, bytes) else None
            )
            if number is not None:
                yield int(number.group(1)), item[1]
