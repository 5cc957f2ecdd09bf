"""The seller's remark on an order."""

from core.sdk import Done, Refused, WriteRemark
from plugins.taobao.client import Client

API = "taobao.trade.memo.update"
MOST_BYTES = 1000
FLAGS = range(6)


async def write(client: Client, remark: WriteRemark) -> Done:
    """Put the text in place of what the remark was; the flag stays without one."""
    if not remark.text or len(remark.text.encode()) > MOST_BYTES:
        raise Refused(f"a remark has 1 to {MOST_BYTES} bytes")
    if remark.flag is not None and remark.flag not in FLAGS:
        raise Refused("a remark's flag is 0 to 5")
    await client.write(API, tid=remark.order_external_id, memo=remark.text, flag=remark.flag)
    return Done(remark.order_external_id, True)
