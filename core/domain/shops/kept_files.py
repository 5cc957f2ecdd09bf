"""Files that somebody made at once and others fetch by a signed link, like those of jobs."""

from collections.abc import Sequence

from core.storage.database import Work
from core.storage.outputs import keep_output


async def keep_file(
    w: Work, kind: str, name: str, media_type: str, data: bytes, permissions: Sequence[str]
) -> int:
    """Keep a file for as long as jobs' files; returns the id of the job that holds it.

    `kind` begins with the plugin's name ("packages.file"). Whoever fetches the file needs all of
    `permissions`; that of GraphQL is `kept_file` of core.schema.downloads.
    """
    return await keep_output(w, kind, name, media_type, data, permissions)
