"""What the lists have in common: windows, pages, and the two ways to count."""

from datetime import datetime, timedelta
from functools import cache

from tests.stand_ins.taobao.errors import invalid
from tests.stand_ins.taobao.shapes import FORMAT, GMT8, Items


def moment(call, name, default=None):
    """A parameter that is a time."""
    text = call.params.get(name)
    if not text:
        return default
    try:
        return datetime.strptime(text, FORMAT).replace(tzinfo=GMT8)
    except ValueError:
        raise invalid(name) from None


@cache
def read(text):
    return datetime.strptime(text, FORMAT).replace(tzinfo=GMT8)


def window(call, start, end, longest=None, required=False):
    """The closed interval that was asked for."""
    first = call.need(start) and moment(call, start) if required else moment(call, start)
    last = call.need(end) and moment(call, end) if required else moment(call, end)
    last = last or call.world.now()
    if longest is not None and (first is None or last - first > longest):
        raise invalid(end)
    return first, last


def within(row, name, first, last):
    """Whether a row's time lies in the window, both ends included."""
    value = row.get(name)
    return bool(value) and (first is None or first <= read(value)) and read(value) <= last


def paged(call, rows, key, element, page="page_no", total="total_results", largest=100, pages=None):
    """One page of the rows."""
    number = int(call.params.get(page) or 1)
    size = int(call.params.get("page_size") or 40)
    if not 1 <= size <= largest:
        raise invalid("page_size")
    if number < 1 or (pages is not None and number > pages):
        raise invalid(page)
    part = rows[(number - 1) * size : number * size]
    answer = {key: Items(element, part)}
    if call.params.get("use_has_next") == "true":
        return answer | {"has_next": number * size < len(rows)}
    return answer | {total: len(rows)}


def three_months(now):
    """How far back orders are listed."""
    return now - timedelta(days=92)
