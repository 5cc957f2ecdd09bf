"""An IMAP server with one folder, as RFC 3501 has it; it knows only what reading takes."""

import asyncio
import re
from contextlib import asynccontextmanager

USER, PASSWORD = "news@example.com", "right"


class ImapServer:
    """Mails by their numbers. `validity` is the folder's generation."""

    def __init__(self):
        self.mails, self.port, self.validity, self.sessions = {}, 0, 7, 0
        self.changed = False

    @property
    def next_number(self):
        return max(self.mails, default=0) + 1

    def add(self, raw):
        self.mails[self.next_number] = raw

    async def serve(self, reader, writer):
        self.sessions += 1
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        state = "new"
        while line := await reader.readline():
            tag, _, rest = line.strip().partition(b" ")
            command = rest.decode()
            verb = command.upper()
            said, ending = [], b"OK done"
            if verb == "CAPABILITY":
                said = [b"* CAPABILITY IMAP4rev1"]
            elif verb.startswith("LOGIN"):
                ok = command.split(" ", 1)[1].replace('"', "") == f"{USER} {PASSWORD}"
                state, ending = ("in", ending) if ok else (state, b"NO [AUTHENTICATIONFAILED]")
            elif verb == "LOGOUT":
                said = [b"* BYE"]
            elif state == "new":
                ending = b"BAD log in first"
            elif verb in ('EXAMINE "INBOX"', 'SELECT "INBOX"'):
                self.changed |= verb.startswith("SELECT")
                state = "selected"
                said = [
                    f"* {len(self.mails)} EXISTS".encode(), b"* FLAGS (\\Seen)",
                    f"* OK [UIDVALIDITY {self.validity}] ok".encode(),
                    f"* OK [UIDNEXT {self.next_number}] ok".encode(),
                ]  # fmt: skip
                ending = b"OK [READ-ONLY] done"
            elif verb.startswith(("EXAMINE", "SELECT")):
                ending = b"NO there is no such folder"
            elif state != "selected":
                ending = b"BAD select a folder first"
            elif found := re.fullmatch(r"UID SEARCH UID (\d+):\*", command):
                first = min(int(found.group(1)), max(self.mails, default=0))
                numbers = [number for number in self.mails if number >= first]
                said = [b"* SEARCH" + "".join(f" {one}" for one in numbers).encode()]
            elif found := re.fullmatch(
                r"UID FETCH ([\d,]+) \(UID BODY\.PEEK\[\]<0\.(\d+)>\)", command
            ):
                for number in map(int, found.group(1).split(",")):
                    raw = self.mails[number][: int(found.group(2))]
                    place = list(self.mails).index(number) + 1
                    head = f"* {place} FETCH (UID {number} BODY[]<0> {{{len(raw)}}}".encode()
                    said.append(head + b"\r\n" + raw + b")")
            else:
                ending = b"BAD unknown command"
            writer.write(b"".join(one + b"\r\n" for one in [*said, tag + b" " + ending]))
            if verb == "LOGOUT":
                break
        writer.close()


@asynccontextmanager
async def imap_server():
    made = ImapServer()
    tasks, writers = [], []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        writers.append(writer)
        await made.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*tasks, return_exceptions=True)
