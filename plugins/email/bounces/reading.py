"""What a mail that came in is: a bounce, a complaint, a reply, or nothing for us.

Nothing in it is believed but the message's key: anybody can write to the mailbox, and only who got
a message knows its key.
"""

import email
import email.errors
import email.header
import email.utils
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from html import unescape

from core.domain.campaigns.told import storable
from core.sdk import DeliveryReceipt, Reply
from plugins.email.bounces.causes import STATUS, cause_of, receipt_of
from plugins.email.message import text_of
from plugins.email.verp import key_of_path, keys_of_ids

PATH_HEADERS = (
    "to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-forwarded-to",
    "original-recipient",
)  # fmt: skip
TEXT_LIMIT = 20_000
WORDS_LIMIT = 1_000

_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other"})
_REFUSALS = frozenset({"opt-out", "opt-out-list"})
_MACHINES = frozenset({"bulk", "junk", "list", "auto_reply"})
_AUTOMATIC = re.compile(r"^auto-|^no-reply", re.I)
_ANSWER = re.compile(r"^(?:(?:re|回复|答复)[:：]\s*)+", re.I)
_DAEMON = re.compile(r"mailer-daemon|postmaster|mail delivery|mdaemon", re.I)
_ERROR = re.compile(r"(?:^|[\s(#>:])([45]\d\d[ -]|[45]\.\d\.\d{1,3}\b)", re.M)
_QUOTE = re.compile(
    r"""^(?:>|-{2,}\s*(?:original|forwarded|原始邮件|原邮件|Original)|_{5,}|
        -{4,}|On\ .{5,200}\ wrote:|Am\ .{5,200}\ schrieb|在\s?.{5,200}写道[:：]|
        .{5,200}\ <[^>]+@[^>]+>\ (?:wrote|于.*写道)[:：]?|
        From:\s|发件人[:：]|发自我的|Sent\ from\ my|--\s*$)""",
    re.I | re.X,
)


@dataclass
class Incoming:
    """What a portion of mail says."""

    receipts: list[DeliveryReceipt] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)


def read_mail(raw: bytes, now: datetime, into: Incoming) -> None:
    """Add what a mail says. `now` stands for its time if that cannot be believed."""
    message = email.message_from_bytes(raw.replace(b"\x00", b""))
    at = _time(message, now)
    kind = _report_type(message)
    if kind == "delivery-status":
        into.receipts += _of_delivery_status(message, at)
    elif kind == "feedback-report":
        _take_feedback(message, at, into)
    elif _is_from_machine(message):
        into.receipts += _of_plain_bounce(message, at)
    elif not _is_automatic(message):
        into.replies += _of_person(message, raw, at)


# -- bounces ------------------------------------------------------------------------------------


def _of_delivery_status(message: Message, at: datetime) -> Iterator[DeliveryReceipt]:
    key = _key(message)
    if key is None:
        return
    for block in _blocks(message, "message/delivery-status"):
        action = str(block.get("action", "")).strip().lower()
        if not action:
            continue
        status = STATUS.search(str(block.get("status", "")))
        words = _unfolded(str(block.get("diagnostic-code", "")))
        if not words:
            words = _said(message)
        yield from _receipt(key, action, status.group(0) if status else None, words, at)


def _receipt(
    key: str, action: str, status: str | None, words: str, at: datetime
) -> Iterator[DeliveryReceipt]:
    detail = f"{status or ''} {words}".strip()[:WORDS_LIMIT]
    name = f"mail:{_digest(key, action, status or '')}"
    if action == "failed":
        told, of_person = receipt_of(cause_of(status, words))
        yield DeliveryReceipt(name, told, at, key=key, of_person=of_person, detail=detail)
    elif action == "delivered":
        yield DeliveryReceipt(name, "delivered", at, key=key, detail=detail)
    elif action in ("delayed", "relayed", "expanded"):
        yield DeliveryReceipt(name, "accepted", at, key=key, detail=detail)


def _of_plain_bounce(message: Message, at: datetime) -> Iterator[DeliveryReceipt]:
    """A bounce in words only, as qmail and some of the large providers write it."""
    key, words = _key(message), _said(message)
    failed = _ERROR.search(words)
    if key is not None and (failed or cause_of(None, words) == "hard"):
        status = STATUS.search(words)
        yield from _receipt(key, "failed", status.group(0) if status else None, words, at)


# -- complaints ---------------------------------------------------------------------------------


def _take_feedback(message: Message, at: datetime, into: Incoming) -> None:
    key = _key(message)
    if key is None:
        return
    for block in _blocks(message, "message/feedback-report"):
        kind = str(block.get("feedback-type", "")).strip().lower()
        if kind in _COMPLAINTS:
            name = f"mail:{_digest(key, kind)}"
            into.receipts.append(DeliveryReceipt(name, "complained", at, key=key, detail=kind))
        elif kind in _REFUSALS:
            rcpt = str(block.get("original-rcpt-to", "")).strip("<> ")
            into.replies.append(
                Reply(f"mail:{_digest(key, kind)}", rcpt, kind, at, key=key, opt_out=True)
            )


# -- replies ------------------------------------------------------------------------------------


def _of_person(message: Message, raw: bytes, at: datetime) -> Iterator[Reply]:
    sender = email.utils.parseaddr(_decoded(message, "from"))[1]
    if "@" not in sender:
        return
    answered = keys_of_ids(f"{message.get('in-reply-to', '')} {message.get('references', '')}")
    subject = _decoded(message, "subject")
    text = own_words(_text(message)) or re.sub(
        r"^(?:(?:re|回复|答复)[:：]\s*)+", "", subject, flags=re.I
    )
    name = str(message.get("message-id", "")) or hashlib.sha256(raw).hexdigest()
    yield Reply(
        f"mail:{_digest(name)}", sender.lower(), text, at,
        key=answered[-1] if answered else _key_of_paths(message),
    )  # fmt: skip


def own_words(text: str) -> str:
    """What somebody wrote himself, without what he quotes and without his signature."""
    lines: list[str] = []
    for line in text.splitlines():
        if _QUOTE.match(line.strip()) and any(one.strip() for one in [*lines, line]):
            break
        lines.append(line.rstrip())
    return "\n".join(lines).strip()


# -- parts of a mail ----------------------------------------------------------------------------


def _report_type(message: Message) -> str | None:
    """The kind of a report, also of one that does not say it in its head."""
    if message.get_content_type() == "multipart/report":
        declared = message.get_param("report-type")
        if isinstance(declared, str):
            return declared.lower()
    kinds = {part.get_content_type() for part in message.walk()}
    for kind in ("feedback-report", "delivery-status"):
        if f"message/{kind}" in kinds:
            return kind
    return None


def _blocks(message: Message, kind: str) -> Iterator[Message]:
    for part in message.walk():
        if part.get_content_type() != kind:
            continue
        payload = _held(part)
        if part.get("content-transfer-encoding", "").strip().lower() in (
            "base64",
            "quoted-printable",
        ):
            # the parser takes the code itself for the blocks
            coded = Message()
            coded["content-transfer-encoding"] = part["content-transfer-encoding"]
            coded.set_payload("\n\n".join(str(one) for one in payload).strip())
            yield from map(email.message_from_string, re.split(r"\n\s*\n", _plain(coded)))
        else:
            yield from payload


def _held(part: Message) -> list[Message]:
    """The messages that a part consists of; none if it is a text."""
    payload = part.get_payload() if part.is_multipart() else []
    return [one for one in payload if isinstance(one, Message)]


def _own_parts(message: Message) -> Iterator[Message]:
    """The parts of a mail without those of the mails that it holds."""
    yield message
    if message.get_content_maintype() == "multipart":
        for part in _held(message):
            yield from _own_parts(part)


def _key(message: Message) -> str | None:
    """The key of the message that a report is about."""
    found = _key_of_paths(message)
    if found is not None:
        return found
    for part in message.walk():
        kind = part.get_content_type()
        if kind == "message/feedback-report":
            for block in _blocks(part, kind):
                if (found := key_of_path(str(block.get("original-mail-from", "")))) is not None:
                    return found
        if kind in ("message/rfc822", "message/rfc822-headers", "text/rfc822-headers"):
            keys = keys_of_ids(_raw(part))
            if keys:
                return keys[0]
    keys = keys_of_ids(_text(message))
    return keys[0] if keys else None


def _key_of_paths(message: Message) -> str | None:
    for name in PATH_HEADERS:
        for value in message.get_all(name, []):
            if (found := key_of_path(str(value))) is not None:
                return found
    return None


def _raw(part: Message) -> str:
    if part.is_multipart():
        return "\n".join(str(one.get("message-id", "")) for one in _held(part))
    return "\n".join(re.findall(r"^message-id:\s*(\S+)", _plain(part), re.I | re.M))


def _said(message: Message) -> str:
    """The words of a report, on one line."""
    return _unfolded(_text(message))[:WORDS_LIMIT]


def _text(message: Message) -> str:
    """The first text of a mail, of its HTML if it has no other."""
    parts = [part for part in _own_parts(message) if part.get_content_maintype() == "text"]
    for wanted in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == wanted and (text := _plain(part)).strip():
                return text_of(text) if wanted == "text/html" else text
    return ""


def _plain(part: Message) -> str:
    data = _bytes(part)
    charset = part.get_content_charset() or "utf-8"
    try:
        text = data[: TEXT_LIMIT * 4].decode(charset, "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return storable(text[:TEXT_LIMIT])


def _bytes(part: Message) -> bytes:
    try:
        data = part.get_payload(decode=True)
    except (TypeError, ValueError):  # the name of its character set is none
        return b""
    return data if isinstance(data, bytes) else b""


def _decoded(message: Message, name: str) -> str:
    pieces: Sequence[tuple[bytes | str, str | None]]
    try:
        pieces = email.header.decode_header(str(message.get(name, "")))
        text = "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "utf-8", "replace")
            for piece, charset in pieces
        )
    except (LookupError, ValueError, email.errors.HeaderParseError):
        text = str(message.get(name, ""))
    return storable(text)


def _is_from_machine(message: Message) -> bool:
    """A bounce has an empty return path, or comes from a mail server's own address."""
    path = str(message.get("return-path", "")).strip()
    return path == "<>" or bool(_DAEMON.search(str(message.get("from", ""))))


def _is_automatic(message: Message) -> bool:
    """An answer of a machine, as of somebody who is on holiday."""
    return (
        bool(_AUTOMATIC.match(str(message.get("auto-submitted", "")).strip()))
        or "x-autoreply" in message
        or "x-autorespond" in message
        or str(message.get("precedence", "")).strip().lower() in _MACHINES
    )  # fmt: skip


def _time(message: Message, now: datetime) -> datetime:
    try:
        at = email.utils.parsedate_to_datetime(str(message.get("date", "")))
    except (ValueError, TypeError):
        return now
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return min(at, now)


def _unfolded(text: str) -> str:
    return " ".join(unescape(text).split())


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]
