"""The platform's message service, asked by REST: which things have changed.

A message is only a hint; what it is about is fetched. Messages that are not confirmed come again.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.sdk import Changed, OutsideError, Resource
from core.sdk.answers import Row, rows, text
from plugins.taobao.client import Client
from plugins.taobao.members import member_key
from plugins.taobao.values import moment

logger = logging.getLogger(__name__)

CONSUME, CONFIRM = "taobao.tmc.messages.consume", "taobao.tmc.messages.confirm"
PERMIT, JOIN = "taobao.tmc.user.permit", "taobao.tmc.group.add"
MOST = 200

RATED = "taobao_trade_TradeRated"
TRACE = "taobao_logistics_LogsticDetailTrace"  # the platform's spelling
MEMBER = ("taobao_opencrm_MemberJoinPrivate", "taobao_opencrm_MemberGradeChange")
WITHDRAWN = "taobao_top_AuthCancel"

ABOUT = (
    (RATED, Resource.REVIEWS, "tid"),
    ("taobao_trade_", Resource.ORDERS, "tid"),
    ("taobao_refund_", Resource.REFUNDS, "refund_id"),
    (TRACE, Resource.PARCELS, "tid"),
)
"""How topics begin, what they are about, and where its id stands."""

SMS_REPORT = "alibaba_aliqin_TaFcSmsDR"
SMS_REPLY = "alibaba_aliqin_FcSmsUp"
SMS_BILLED = "taobao_opencrm_ShortMessageSent"
AGREED = "taobao_opencrm_AuthTouchMessage"
SMS = frozenset({SMS_REPORT, SMS_REPLY, SMS_BILLED, AGREED})
"""What is left for the channel of text messages to take."""


async def switch_on(client: Client, group: str | None, nick: str) -> None:
    """Have the shop's messages kept for us, in the group if there is one.

    Without it, or where the app may not, changes are found by the lists alone.
    """
    try:
        # without a list of topics all are meant that the app has subscribed to
        await client.write(PERMIT)
        if group is not None:
            await client.write(JOIN, group_name=group, nicks=[nick])
    except OutsideError as error:
        logger.warning("the message service is not switched on for a shop: %s", error)


async def consume(client: Client, group: str | None) -> list[Row]:
    """Messages that wait, up to 200, as the platform gives them."""
    answer = await client.read(CONSUME, group_name=group, quantity=MOST)
    return rows(answer, "messages")


async def confirm(client: Client, group: str | None, handles: Sequence[str]) -> None:
    """Tell the platform not to give these again."""
    for start in range(0, len(handles), MOST):
        part = handles[start : start + MOST]
        await client.read(CONFIRM, group_name=group, s_message_ids=part)


def content(row: Row) -> Mapping[str, Any]:
    """What a message says; nothing where it cannot be read."""
    try:
        told = orjson.loads(str(row.get("content")))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        logger.warning("message %s of %s cannot be read", row.get("id"), row.get("topic"))
        return {}
    return told


def changed(row: Row) -> Changed | None:
    """What a message says has changed; None if it is of no interest."""
    topic, told = str(row.get("topic")), content(row)
    found = _entity(topic, told)
    shop, at = text(row.get("user_id")), moment(row.get("pub_time"))
    if found is None or shop is None or at is None:
        return None
    resource, external_id = found
    return Changed(str(row["id"]), shop, resource, external_id, at)


def _entity(topic: str, told: Row) -> tuple[Resource | None, str] | None:
    """What a message is about: the resource (None: the authorisation) and the entity's id."""
    if topic == WITHDRAWN:
        return None, ""
    if topic in MEMBER:
        ouid = text(told.get("ouid")) or text(told.get("user"))
        more = {"omid": text(told.get("omid")), "joined": text(told.get("first_join_time"))}
        return None if ouid is None else (Resource.MEMBERS, member_key(ouid, more))
    if topic == RATED and told.get("rater") == "seller":
        return None
    for start, resource, field in ABOUT:
        if topic.startswith(start):
            entity = text(told.get(field))
            return None if entity is None else (resource, entity)
    return None
