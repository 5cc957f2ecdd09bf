"""Traces of parcels."""

from tests.stand_ins.taobao.errors import no_such
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.shapes import Items


@api("taobao.logistics.trace.search", "r1")
def trace(call):
    found = call.shop.traces.get(int(call.need("tid")))
    if found is None:
        raise no_such("trade")
    return found | {"trace_list": Items("transit_step_info", found["trace_list"])}
