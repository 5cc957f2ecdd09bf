"""The only file that talks to the SMTP server."""

import asyncio
import contextlib

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from core.sdk import OutsideError, ReconnectNeeded, Refused, RetryLater, Unknown
from plugins.email.settings import EmailSettings

TIMEOUT = 25.0
QUIT_TIMEOUT = 2.0
MESSAGES_PER_CONNECTION = 500
SERVICE_CLOSING = 421
AUTHENTICATION_REQUIRED = 530

_GONE = (SMTPServerDisconnected, SMTPTimeoutError, OSError)


class Connection:
    """One connection, used for one message at a time."""

    def __init__(self, smtp: SMTP) -> None:
        self._smtp = smtp
        self.messages = 0

    @property
    def usable(self) -> bool:
        return self._smtp.is_connected and self.messages < MESSAGES_PER_CONNECTION

    async def send(self, sender: str, recipient: str, data: bytes) -> str:
        """Hand one message over; returns the server's answer. Raises what SMTP errors mean."""
        self.messages += 1
        accepting = False
        try:
            await self._smtp.mail(sender)
            await self._smtp.rcpt(recipient)
            accepting = True
            response = await self._smtp.data(data)
        except SMTPResponseException as error:
            await self._reset(error.code)
            raise meaning(error) from error
        except _GONE as error:
            self.abort()
            if accepting:
                # the server may have taken the message before the connection went
                raise Unknown(f"the connection was lost at the end: {_text(error)}") from error
            raise RetryLater(f"the connection was lost: {_text(error)}") from error
        except BaseException:
            self.abort()
            raise
        return response.message

    async def close(self) -> None:
        """Say goodbye, but do not wait long for an answer."""
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            await self._smtp.quit(timeout=QUIT_TIMEOUT)
        self.abort()

    def abort(self) -> None:
        self._smtp.close()

    async def _reset(self, code: int) -> None:
        if code == SERVICE_CLOSING:
            self.abort()
            return
        try:
            await self._smtp.rset(timeout=QUIT_TIMEOUT)
        except (SMTPException, OSError, TimeoutError):
            self.abort()


async def connect(settings: EmailSettings) -> Connection:
    """Connect, encrypt and log in. Raises RetryLater or ReconnectNeeded."""
    password = settings.password.get_secret_value() if settings.password else None
    smtp = SMTP(
        hostname=settings.host,
        port=settings.port,
        username=settings.username,
        password=password,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",
        timeout=TIMEOUT,
    )
    where = f"{settings.host}:{settings.port}"
    try:
        await smtp.connect()
    except SMTPAuthenticationError as error:
        smtp.close()
        if error.code < 500:
            raise RetryLater(f"{where} cannot log in now: {_text(error)}") from error
        raise ReconnectNeeded(f"{where} refuses user name or password: {_text(error)}") from error
    except (SMTPConnectResponseError, SMTPHeloError) as error:
        smtp.close()
        if error.code < 500:
            raise RetryLater(f"{where} is not ready: {_text(error)}") from error
        raise ReconnectNeeded(f"{where} does not serve us: {_text(error)}") from error
    except (SMTPConnectError, *_GONE) as error:
        smtp.close()
        raise RetryLater(f"cannot connect to {where}: {_text(error)}") from error
    except SMTPException as error:
        smtp.close()
        raise ReconnectNeeded(f"{where} does not offer what is asked: {_text(error)}") from error
    except asyncio.CancelledError:
        smtp.close()
        raise
    return Connection(smtp)


def meaning(error: SMTPResponseException) -> OutsideError:
    """What a server's refusal means for the message: nothing was sent in any of these cases."""
    text = f"{error.code} {error.message}"
    if 400 <= error.code < 500:
        return RetryLater(text)
    if isinstance(error, SMTPSenderRefused) or error.code == AUTHENTICATION_REQUIRED:
        return ReconnectNeeded(f"the server refuses the sender: {text}")
    if isinstance(error, SMTPRecipientRefused | SMTPDataError) and 500 <= error.code < 600:
        return Refused(text)
    return RetryLater(f"unexpected answer: {text}")


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
