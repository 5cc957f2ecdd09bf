import asyncio
from contextlib import asynccontextmanager

import pytest

from core.sdk import OutgoingMessage, ReconnectNeeded, Refused, RetryLater, Unknown
from core.testing.smtp import smtp_sink
from plugins.email import client
from plugins.email.channel import EmailChannel, check_settings
from plugins.email.settings import EmailSettings


def settings(port, **changes):
    values = {"host": "127.0.0.1", "port": port, "tls": "none", "from_address": "s@example.com"}
    return EmailSettings.model_validate(values | changes)


def message(to, html="<p>hi</p>"):
    return OutgoingMessage(f"key.{to}", to, {"subject": "x", "html": html}, "service")


@asynccontextmanager
async def scripted(answers):
    """A server that says one of `answers` for each line; None closes the connection."""
    seen = []
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        writer.write(b"220 hello\r\n")
        script = iter(answers)
        with_data = False
        try:
            async for line in reader:
                seen.append(line.strip().decode())
                if with_data and line != b".\r\n":
                    continue
                answer = next(script, None)
                if answer is None:
                    break
                with_data = answer.startswith("354")
                writer.write(answer.encode() + b"\r\n")
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_connections_are_used_again():
    async with smtp_sink() as sink, EmailChannel().open(settings(sink.port)) as session:
        for _ in range(3):
            await asyncio.gather(*(session.send(message(f"c{n}@example.com")) for n in range(20)))
        assert len(session.lanes[0].deliverer.idle) == 20
        assert len(sink.accepted) == 60


async def test_lines_that_start_with_a_dot_arrive():
    async with smtp_sink() as sink, EmailChannel().open(settings(sink.port)) as session:
        await session.send(message("a@example.com", html=".\n..x\n.\nend"))
        assert b"\r\n..\r\n...x\r\n..\r\nend" in sink.messages[0]


@pytest.mark.parametrize(
    ("recipient", "error"),
    [("fail550", Refused), ("retry450", RetryLater), ("fail530", ReconnectNeeded),
     ("drop", Unknown), ("lost", Unknown)],
)  # fmt: skip
async def test_answers_mean_what_they_mean(recipient, error):
    async with smtp_sink() as sink, EmailChannel().open(settings(sink.port)) as session:
        with pytest.raises(error):
            await session.send(message(f"{recipient}@example.com"))
        await session.send(message("next@example.com"))
        assert sink.accepted[-1][1] == "next@example.com"


async def test_silence_after_the_message_is_unknown(monkeypatch):
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.1)
    async with smtp_sink() as sink, EmailChannel().open(settings(sink.port)) as session:
        with pytest.raises(Unknown):
            await session.send(message("hang@example.com"))


@pytest.mark.parametrize("extensions", ["250 fine", "250-x\r\n250 PIPELINING"])
@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (["250 ok", "250 ok", "354 go", "250 done"], None),
        (["250 ok", "250 ok", "354 go", "451 later", "250 reset"], RetryLater),
        (["250 ok", "250 ok", "354 go", "552 too big", "250 reset"], Refused),
        (["250 ok", "250 ok", "354 go", None], Unknown),
        (["250 ok", "250 ok", None], RetryLater),
        (["250 ok", None], RetryLater),
        (["250 ok", "250 ok", "452 full", "250 reset"], RetryLater),
    ],
)
async def test_when_the_connection_goes_decides(extensions, answers, error):
    async with scripted([extensions, *answers]) as (port, _):
        connection = await client.connect(settings(port).all_providers()[0])
        sending = connection.send("s@example.com", "a@example.com", b"Subject: x\r\n\r\nhi\r\n")
        if error is None:
            assert await sending == "done"
        else:
            with pytest.raises(error):
                await sending
        connection.abort()


async def test_a_server_that_wants_the_message_of_a_refused_recipient_gets_an_empty_one():
    answers = ["250-x\r\n250 PIPELINING", "250 ok", "550 no", "354 go", "554 nobody", "250 reset"]
    async with scripted(answers) as (port, seen):
        connection = await client.connect(settings(port).all_providers()[0])
        with pytest.raises(Refused, match="550 no"):
            await connection.send("s@example.com", "a@example.com", b"Subject: x\r\n\r\n")
        assert seen[-2:] == [".", "RSET"]
        assert connection.usable
        connection.abort()


async def test_settings_are_tried_with_a_real_call():
    async with smtp_sink() as sink:
        await check_settings(settings(sink.port))
        with pytest.raises(ReconnectNeeded):
            await check_settings(settings(sink.port, tls="starttls"))
        with pytest.raises(ReconnectNeeded):
            await check_settings(settings(sink.port, username="u", password="p"))
    with pytest.raises(RetryLater):
        await check_settings(settings(sink.port))


async def test_a_refused_login_says_so():
    answers = ["250-x\r\n250 AUTH PLAIN", "535 wrong password"]
    async with scripted(answers) as (port, _):
        with pytest.raises(ReconnectNeeded, match="wrong password"):
            await check_settings(settings(port, username="u", password="p"))
