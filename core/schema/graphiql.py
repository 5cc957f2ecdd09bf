"""GraphiQL without any outside host: its files, and the example operations."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

STATIC = Path(__file__).parent / "static"
# beside the package when it is installed, in the documentation when it runs from its repository
OPERATIONS = (
    Path(__file__).parent / "operations",
    Path(__file__).parents[2] / "docs" / "operations",
)
HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'",
    "referrer-policy": "no-referrer",
}


def examples() -> list[dict[str, str]]:
    """The published operations: file name, use case and text."""
    folder = next((one for one in OPERATIONS if one.is_dir()), None)
    if folder is None:
        return []
    made = []
    for path in sorted(folder.glob("*.graphql")):
        text = path.read_text(encoding="utf-8")
        title = text.splitlines()[0].lstrip("# ").strip()
        made.append({"name": path.stem, "title": title, "query": text})
    return made


async def show(request: Request) -> Response:
    return HTMLResponse((STATIC / "graphiql.html").read_text(encoding="utf-8"), headers=HEADERS)


async def show_examples(request: Request) -> Response:
    return JSONResponse(examples())
