"""The addresses that messages' links and pictures have: a redirect, and one transparent pixel."""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from core.domain.campaigns.content.clicks import is_machine, take_click, take_opening
from core.domain.campaigns.links import read_click_token, read_open_token
from core.installation import Installation
from core.schema.public.html import HEADERS, language, wrong_link

FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


async def follow(installation: Installation, request: Request, short: bool = False) -> Response:
    """Lead on to where the link of a message leads: only ever to a stored address."""
    db, token = installation.db, request.path_params["token"]
    if short:  # phones take the words that follow a link for a part of it
        token = FOREIGN.split(token, 1)[0]
    found = read_click_token(db.keyring, token, short)
    url = None
    if found is not None:
        merchant_id, delivery_id, number = found
        async with db.work(merchant_id, "customer") as w:
            url = await take_click(
                w, delivery_id, number, is_machine(request.headers), request.method == "GET"
            )
    if url is None:
        return wrong_link(language(request))
    return RedirectResponse(url, 302, HEADERS)


async def opened(installation: Installation, request: Request) -> Response:
    """The picture of a message, which is fetched when it is shown."""
    db = installation.db
    found = read_open_token(db.keyring, request.path_params["token"])
    if found is None:
        return wrong_link(language(request))
    if request.method == "GET" and not is_machine(request.headers):
        merchant_id, delivery_id = found
        async with db.work(merchant_id, "customer") as w:
            await take_opening(w, delivery_id)
    return Response(GIF, media_type="image/gif", headers=HEADERS)
