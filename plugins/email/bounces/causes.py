"""Whose fault a refusal is, by its code and its words.

Only a mailbox that does not exist is the person's; everything that concerns the sender's name,
content or server is a block, and what may pass is soft. Codes are those of RFC 3463; the words are
what the large providers say where their codes say less, or something else.
"""

import re
from typing import Literal

from core.sdk import ReceiptStatus

Cause = Literal["hard", "block", "soft"]

STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_REPLY = re.compile(r"(?:^|[^\d.])([45]\d\d)[ -]")

_HARD_CODES = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
_SOFT_CODES = frozenset({"2.2", "2.3", "3.1", "3.4"})

# what comes first counts: a block that mentions a mailbox is a block
_BLOCK_WORDS = re.compile(
    r"""spam|junk|blocked|black ?list|block ?list|blacklisted|reputation|policy|
        unsolicited|spamhaus|barracuda|proofpoint|dnsbl|rbl\b|listed\ (?:at|in|by|on)|
        unauthenticated|not\ authenticated|\bspf\b|\bdkim\b|\bdmarc\b|
        banned|S31[45]\d|\bAS\(\d+\)|5\.7\.(?:26|5\d\d|6\d\d|7\d\d)|
        content\ (?:denied|rejected)|mail\ content\ denied|DT:SP[MT]|\bHL:|\bRP:|\bMI:|
        TSS0\d|PH0\d|\[TS\w+\]|HM08|CS01|
        ip\ frequency|connection\ frequency|sender\ frequency|frequency\ limit|
        reverse\ dns|\bptr\b|relay(?:ing)?\ (?:access\ )?denied|not\ permitted\ to\ relay""",
    re.I | re.X,
)
_SOFT_WORDS = re.compile(
    r"""over\ ?quota|quota\ exceeded|exceed\w*\ (?:\w+\ )?quota|mailbox\ (?:is\ )?full|
        mailfolder\ is\ full|inbox\ is\ full|insufficient\ (?:disk|storage|system)|out\ of\ storage|
        too\ quickly|rate\ that|too\ many|try\ again|temporar|greylist|timed?\ ?out|
        delayed|expired|容量|邮箱已满|空间不足""",
    re.I | re.X,
)
_HARD_WORDS = re.compile(
    r"""(?:user|recipient|mailbox|account|address|email\ account)\s.{0,60}?
            (?:unknown|does\ ?n[o']t\ exist|do\ not\ exist|not\ found|not\ exist|no\ longer|
               invalid|disabled|inactive|suspended|discontinued|unavailable|not\ valid)|
        (?:no\ such|unknown|invalid|nonexist\w+|non-exist\w+|bad\ destination)
            \ (?:local\ )?(?:user|recipient|mailbox|account|address|person)|
        no\ mailbox\ here|user\ not\ local|not\ a\ valid\ (?:mailbox|user|recipient)|
        doesn'?t\ have\ an?\ \S+\ account|isn'?t\ an?\ (?:active|valid)|
        recipient\ address\ rejected:\ (?:access\ denied|user\ unknown|undeliverable)|
        NoSuchUser|unrouteable\ address|has\ been\ (?:disabled|deleted)|
        domain\ (?:name\ )?not\ found|domain\ does\ not\ exist|host\ or\ domain\ name\ not\ found|
        no\ such\ domain|nullMX|null\ mx|
        用户不存在|收件人不存在|邮箱不存在|帐号不存在|地址不存在""",
    re.I | re.X,
)


def cause_of(status: str | None, words: str) -> Cause:
    """Whose fault it is; `status` is an enhanced code such as 5.1.1, if one is known."""
    code = _code(status, words)
    kind, _, detail = code.partition(".")
    if kind == "4":
        return "soft"
    if _SOFT_WORDS.search(words) and not _hard_code(detail):
        return "soft"
    # Gmail's 5.2.1 stands for a mailbox that is closed, and for one that gets too much at a time
    if detail == "2.1" and _SOFT_WORDS.search(words):
        return "soft"
    if _hard_code(detail) and not _sender_is_meant(words):
        return "hard"
    if detail in _SOFT_CODES:
        return "soft"
    if _BLOCK_WORDS.search(words) or detail.startswith("7."):
        return "block"
    if _HARD_WORDS.search(words):
        return "hard"
    return "block" if kind == "5" else "soft"


def receipt_of(cause: Cause) -> tuple[ReceiptStatus, bool]:
    """What a cause is in a receipt: its status, and whether the person is the cause."""
    return ("undelivered" if cause == "soft" else "bounced"), cause == "hard"


def _hard_code(detail: str) -> bool:
    return detail in _HARD_CODES


def _sender_is_meant(words: str) -> bool:
    """A code for addresses that is about the sender's after all, or about his name."""
    return bool(re.search(r"sender|blocked|black ?list|spam", words, re.I)) and not bool(
        _HARD_WORDS.search(words)
    )


def _code(status: str | None, words: str) -> str:
    """The code in full; one in the words is preferred to a general one such as 5.0.0."""
    found = STATUS.search(words)
    if status is not None and STATUS.fullmatch(status.strip()):
        given = status.strip()
        if not given.endswith((".0.0", ".5.0")) or found is None:
            return given
    if found is not None:
        return found.group(0)
    reply = _REPLY.search(" " + words)
    return f"{reply.group(1)[0]}.0.0" if reply else (status or "")
