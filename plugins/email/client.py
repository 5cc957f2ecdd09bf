"""Opening connections to the SMTP server, and what its answers mean for a message."""

import asyncio
import ssl

from core.sdk import OutsideError, ReconnectNeeded, Refused, RetryLater, Unknown, outbound
from core.sdk.large import aiosmtplib
from plugins.email.bounces.causes import cause_of
from plugins.email.exchange import Exchange, Lost, MessageRefused, Reply, SenderRefused
from plugins.email.providers import Away, NoSuchMailbox
from plugins.email.settings import Smtp, provider_name

# shorter than the core's patience with a call, so that it is us who know what was under way
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
QUIT_SECONDS = 2.0
MESSAGES_PER_CONNECTION = 500
AUTHENTICATION_REQUIRED = 530


class Connection:
    """One connection, used for one message at a time."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.messages = 0

    @property
    def usable(self) -> bool:
        return self._exchange.alive and self.messages < MESSAGES_PER_CONNECTION

    async def send(self, sender: str, recipient: str, message: bytes) -> str:
        """Hand one message over; returns the server's answer.

        Raises RetryLater, Refused, ReconnectNeeded or Unknown.
        """
        self.messages += 1
        try:
            return await self._exchange.send(sender, recipient, message)
        except SenderRefused as error:
            raise meaning(error.reply, of_sender=True) from None
        except MessageRefused as error:
            raise meaning(error.reply, of_sender=False) from None
        except Lost as error:
            if error.in_doubt:
                # the server may have taken the message before the connection went
                raise Unknown(f"the connection was lost at the end: {error}") from None
            raise RetryLater(f"the connection was lost: {error}") from None

    async def close(self) -> None:
        """Say goodbye, but do not wait long for an answer."""
        try:
            async with asyncio.timeout(QUIT_SECONDS):
                await self._exchange.quit()
        except TimeoutError:
            pass
        self.abort()

    def abort(self) -> None:
        self._exchange.abort()


async def connect(settings: Smtp) -> Connection:
    """Connect, encrypt and log in. Raises Away or ReconnectNeeded."""
    password = settings.password.get_secret_value() if settings.password else None
    name = provider_name(settings)
    where = f"{settings.host}:{settings.port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            opened = await outbound.open_socket(settings.host, settings.port)
    except outbound.NotPublic as error:
        raise ReconnectNeeded(f"the mail server {where} {error}") from None
    except OSError as error:  # TimeoutError is one
        raise Away(f"cannot connect to {where}: {_text(error)}", name) from error
    smtp = aiosmtplib.SMTP(
        hostname=settings.host,
        sock=opened,
        username=settings.username,
        password=password,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",
        timeout=CONNECT_SECONDS,
    )
    try:
        await smtp.connect()
        if not smtp.esmtp_extensions:
            await smtp.ehlo()
    except aiosmtplib.SMTPAuthenticationError as error:
        smtp.close()
        if error.code < 500:
            raise Away(f"{where} cannot log in now: {_text(error)}", name) from error
        raise ReconnectNeeded(f"{where} refuses user name or password: {_text(error)}") from error
    except (aiosmtplib.SMTPConnectResponseError, aiosmtplib.SMTPHeloError) as error:
        smtp.close()
        if error.code < 500:
            raise Away(f"{where} is not ready: {_text(error)}", name) from error
        raise ReconnectNeeded(f"{where} does not serve us: {_text(error)}") from error
    except (
        aiosmtplib.SMTPConnectError,
        aiosmtplib.SMTPServerDisconnected,
        aiosmtplib.SMTPTimeoutError,
        OSError,
    ) as error:
        smtp.close()
        if (untrusted := _untrusted(error)) is not None:
            raise ReconnectNeeded(
                f"the certificate of {where} cannot be trusted: {untrusted.verify_message}"
            ) from error
        raise Away(f"cannot connect to {where}: {_text(error)}", name) from error
    except aiosmtplib.SMTPException as error:
        smtp.close()
        raise ReconnectNeeded(f"{where} does not offer what is asked: {_text(error)}") from error
    except asyncio.CancelledError:
        smtp.close()
        raise
    if smtp.transport is None:
        raise Away(f"{where} closed the connection", name)
    pipelining = smtp.supports_extension("pipelining")
    return Connection(Exchange(smtp.transport, pipelining, ANSWER_SECONDS))


def meaning(reply: Reply, of_sender: bool) -> OutsideError:
    """What a server's refusal means for the message, which was certainly not sent."""
    if 400 <= reply.code < 500:
        return RetryLater(str(reply))
    if reply.code == AUTHENTICATION_REQUIRED or (of_sender and reply.code >= 500):
        return ReconnectNeeded(f"the server refuses the sender: {reply}")
    if reply.code >= 500:
        gone = cause_of(None, str(reply)) == "hard"
        return NoSuchMailbox(str(reply)) if gone else Refused(str(reply))
    return RetryLater(f"unexpected answer: {reply}")


def _untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The failed check of a certificate behind an error, if that is what it is."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
