"""Members of a shop and their grades, as the platform keeps them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import parse_qsl, urlencode

from core.sdk import Identity, Kind, Page, PlatformMember, Record, Window
from core.sdk.answers import Row, number, page, rows, text
from plugins.taobao.client import Client
from plugins.taobao.paging import Listing, backwards
from plugins.taobao.values import fen, moment

SIZE = 100
MOST = 80 * SIZE
"""Rows of one filter that the platform gives out."""
SOURCES = {"1": "bought", "2": "order not concluded", "3": "added by seller"}


def _listing(api: str) -> Listing:
    return Listing(
        api, "members", lambda row: text(row.get("ouid")), SIZE,
        page="current_page", total="total_result", cap=MOST + 1, switch=False,
    )  # fmt: skip


BY_TRADE = _listing("taobao.crm.members.get.privy")
CHANGED = _listing("taobao.crm.members.increment.get.privy")


async def pull(client: Client, window: Window, kind: Kind) -> AsyncIterator[Page]:
    """Members who last bought in the window, or whose standing changed in it."""
    if kind is Kind.BACKFILL:
        listing, changed_at = BY_TRADE, None
        params = {"min_last_trade_time": window.start, "max_last_trade_time": window.end}
    else:
        # the platform does not say when; at the window's end it had happened
        listing, changed_at = CHANGED, window.end
        params = {"start_modify": window.start, "end_modify": window.end}
    async for found, total in backwards(client, listing, params):
        told = page(found, "ouid", partial(member, changed_at=changed_at), total)
        await _name_grades(client, told.records)
        yield told


async def _name_grades(client: Client, records: Sequence[Record]) -> None:
    """Name the grades as the shop calls them, where the list does not."""
    nameless = [
        one for one in records if isinstance(one, PlatformMember) and one.grade_name is None
    ]
    if nameless:
        names = await grade_names(client)
        for one in nameless:
            one.grade_name = names.get(one.grade or 0)


async def fetch(client: Client, external_id: str) -> Sequence[PlatformMember]:
    """One member as he is now, by his ouid or by what `member_key` made of a message."""
    ouid, told = _read_key(external_id)
    answer = await client.read(BY_TRADE.api, ouid=ouid, current_page=1, page_size=1)
    found = [member(row, client.now()) for row in rows(answer, BY_TRADE.rows)]
    for one in found:
        one.joined_at = moment(told.get("joined"))
        if "omid" in told:
            one.identities = [Identity("merchant", 0, "omid", told["omid"])]
    await _name_grades(client, found)
    return found


async def grade_names(client: Client) -> dict[int, str]:
    """What the shop calls its grades."""
    answer = await client.read("taobao.crm.grade.get")
    return {
        int(row["cur_grade"]): str(row["cur_grade_name"])
        for row in rows(answer, "grade_promotions")
    }


def member_key(ouid: str, told: Mapping[str, str | None]) -> str:
    """A member's key, with what only a message tells about him ("omid", "joined")."""
    known = {name: value for name, value in told.items() if value}
    return f"{ouid}?{urlencode(known)}" if known else ouid


def _read_key(external_id: str) -> tuple[str, dict[str, str]]:
    ouid, _, told = external_id.partition("?")
    return ouid, dict(parse_qsl(told))


def member(row: Row, changed_at: datetime | None = None) -> PlatformMember:
    """A member of a list, who has changed until then. Raises KeyError, ValueError."""
    grade = number(row.get("grade"))
    status = text(row.get("status"))
    return PlatformMember(
        buyer_id=str(row["ouid"]),
        member=None if grade is None else grade > 0,
        grade=grade,
        grade_name=text(row.get("grade_name")),
        join_source=SOURCES.get(text(row.get("relation_source")) or ""),
        blacklisted=None if status is None else status == "blacklist",
        trade_count=number(row.get("trade_count")),
        trade_amount=fen(row.get("trade_amount")),
        last_trade_at=moment(row.get("last_trade_time")),
        modified_at=changed_at,
    )
