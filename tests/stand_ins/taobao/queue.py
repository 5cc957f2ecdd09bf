"""The message service: what is not confirmed comes again, and nothing for ever. Here by REST."""

from datetime import timedelta

import orjson

from tests.stand_ins.taobao.errors import invalid
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.shapes import Items, at

KEPT = timedelta(hours=24)
PUBLISHER = "12497914"


@api("taobao.tmc.messages.consume", session=False)
def consume(call):
    quantity = int(call.params.get("quantity") or 100)
    if not 10 <= quantity <= 200:
        raise invalid("quantity")
    rows = [
        {
            "id": message.id, "topic": message.topic, "pub_app_key": PUBLISHER,
            "content": orjson.dumps(message.content).decode(), "pub_time": at(message.pub_time),
            "user_id": message.shop.user_id, "user_nick": message.shop.nick,
        }
        for message in give(call.world, call.params.get("group_name") or "default", quantity)
    ]  # fmt: skip
    return {"messages": Items("tmc_message", rows)}


def give(world, group, most):
    """The messages that are next for a consumer of the group, however he asks."""
    now = world.now()
    waiting = [
        m for m in world.messages
        if not m.confirmed and m.group == group and now - m.pub_time <= KEPT
        and (m.given_at is None or now - m.given_at >= world.redelivery)
    ]  # fmt: skip
    if world.disorder:
        waiting.reverse()
    for message in waiting[:most]:
        message.given_at = now
    return waiting[:most]


def take_off(world, group, ids):
    """These are confirmed."""
    for message in world.messages:
        if message.id in ids and message.group == group:
            message.confirmed = True


@api("taobao.tmc.messages.confirm", session=False)
def confirm(call):
    ids = call.need("s_message_ids").split(",")
    if len(ids) > 200:
        raise invalid("s_message_ids")
    take_off(call.world, call.params.get("group_name") or "default", {int(one) for one in ids})
    return {"is_success": True}


@api("taobao.tmc.user.permit")
def permit(call):
    """Overwrites what was switched on; without topics, all."""
    topics = call.params.get("topics")
    call.shop.topics = set(topics.split(",")) if topics else None
    return {"is_success": True}


@api("taobao.tmc.group.add")
def group(call):
    name = call.need("group_name")
    if len(name) > 32 or name.startswith("default"):
        raise invalid("group_name")
    for nick in call.need("nicks").split(","):
        for shop in call.world.shops.values():
            if shop.nick == nick:
                shop.group = name
    return {"group_name": name, "created": at(call.world.now())}
