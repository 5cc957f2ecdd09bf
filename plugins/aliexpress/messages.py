"""The platform's conversations with buyers: opening one, and what can be put into it.

How these services are called is told differently; the setting `shapes` says how.
"""

from enum import IntEnum
from typing import Any

from core.sdk import Refused
from core.sdk.answers import text
from plugins.aliexpress.client import Client

OPEN, SEND = "aliexpress/message/session/open", "aliexpress/message/send"


class Template(IntEnum):
    """What a message looks like."""

    TEXT = 1
    ITEM = 10006
    ORDER = 10007
    COUPON = 21004


BASE_SCENE = 1


async def open_buyer(client: Client, login: str) -> int:
    """The number by which a conversation names a buyer, whom orders name by his login.

    Raises Refused where the shop may not write to him.
    """
    answer = await client.read(OPEN, buyer_login_id=login)
    told = answer.get("data") or answer
    if told.get("open_result") != "SUCCESS" or not told.get("current_buyer_id"):
        raise Refused("the platform opens no conversation with this buyer")
    return int(told["current_buyer_id"])


async def send(
    client: Client, buyer: int, template: Template, scene: int, **content: Any
) -> str | None:
    """Put something into a conversation; returns the platform's id of it, if it tells one."""
    answer = await client.write(SEND, im_send_message_dto={
        "buyer_id": buyer, "template_id": template.value, "scene_id": scene,
        "message_content_dto": content,
    })  # fmt: skip
    return text(answer.get("message_id")) or text((answer.get("data") or {}).get("message_id"))
