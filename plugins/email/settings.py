"""What a merchant fills in to send email."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from plugins.email.dkim import UnfitKey, read_key
from plugins.email.message import check_address
from plugins.email.webhooks.signatures import public_key

Domain = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)+$")]
"""A domain in ASCII and lower case."""
Tls = Literal["starttls", "tls", "none"]
Https = Annotated[str, Field(pattern=r"^https?://[^\s/]+[^\s]*$")]
RETURN_LOCAL = 10
"""So long the part before @ of the return path may be: the rest names the message."""


def check_login(username: str | None, password: SecretStr | None) -> None:
    """Raises ValueError when one is given without the other."""
    if bool(username) != bool(password):
        raise ValueError("username and password belong together: give both or neither")


class _Settings(BaseModel, extra="forbid"):
    pass


class DomainPace(_Settings):
    """How many messages a minute the mailboxes of some domains are given."""

    domains: list[Domain] = Field(min_length=1, max_length=200)
    per_minute: int = Field(ge=1, le=1_000_000)


class WarmUp(_Settings):
    """How many messages a new server sends on each day from `start` on (UTC), one after another."""

    start: date
    days: list[Annotated[int, Field(ge=1, le=10_000_000)]] = Field(min_length=1, max_length=90)

    def allowed(self, today: date) -> int | None:
        """How many messages may go out today; None: as many as can be."""
        day = (today - self.start).days
        return self.days[max(day, 0)] if day < len(self.days) else None


class _Provider(_Settings):
    """Somebody who takes messages. `for_messages` says which kinds he is given."""

    name: str = Field(default="", max_length=40, pattern=r"^[a-z0-9_-]*$")
    for_messages: Literal["all", "marketing", "service"] = "all"
    paces: list[DomainPace] = Field(default=[], max_length=50)
    warm_up: WarmUp | None = None


class Smtp(_Provider):
    """An SMTP server."""

    kind: Literal["smtp"] = "smtp"
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    tls: Tls = "starttls"

    @field_validator("host")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        return one_line(value)

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        check_login(self.username, self.password)
        return self


class Ses(_Provider):
    """Amazon SES, API version 2; its news comes by SNS from the topics of `topic_arns`."""

    kind: Literal["ses"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    access_key_id: str = Field(min_length=1, max_length=128)
    secret_access_key: SecretStr
    configuration_set: str | None = None
    topic_arns: list[str] = Field(default=[], max_length=10)
    endpoint: Https | None = None


class SendGrid(_Provider):
    """Twilio SendGrid; `webhook_key` is the public key of its signed event webhook."""

    kind: Literal["sendgrid"]
    api_key: SecretStr
    webhook_key: str | None = None
    endpoint: Https = "https://api.sendgrid.com"

    @field_validator("webhook_key")
    @classmethod
    def _is_key(cls, value: str | None) -> str | None:
        if value is not None:
            public_key(value)
        return value


class Mailgun(_Provider):
    """Mailgun; `webhook_signing_key` is its HTTP webhook signing key."""

    kind: Literal["mailgun"]
    domain: Domain
    api_key: SecretStr
    webhook_signing_key: SecretStr | None = None
    endpoint: Https = "https://api.mailgun.net"


class Postmark(_Provider):
    """Postmark; user and password are those of the webhook's address there."""

    kind: Literal["postmark"]
    server_token: SecretStr
    stream: str = Field(default="broadcast", max_length=100)
    service_stream: str = Field(default="outbound", max_length=100)
    webhook_username: str | None = None
    webhook_password: SecretStr | None = None
    endpoint: Https = "https://api.postmarkapp.com"


class Resend(_Provider):
    """Resend; `webhook_secret` begins with whsec_."""

    kind: Literal["resend"]
    api_key: SecretStr
    webhook_secret: SecretStr | None = None
    endpoint: Https = "https://api.resend.com"


Provider = Smtp | Ses | SendGrid | Mailgun | Postmark | Resend


class DkimKey(_Settings):
    """A key that signs messages; its public half stands in the DNS at selector._domainkey.domain.

    `private_key` is a PEM file's text, RSA with 1024 bits or more, or Ed25519.
    """

    domain: Domain
    selector: str = Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,60}[a-z0-9])?$")
    private_key: SecretStr

    @field_validator("private_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        try:
            read_key(value.get_secret_value())
        except UnfitKey as error:
            raise ValueError(str(error)) from None
        return value


class Mailbox(_Settings):
    """The mailbox that bounces, complaints and replies come to, read by IMAP."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=993, ge=1, le=65535)
    username: str = Field(min_length=1)
    password: SecretStr
    tls: Tls = "tls"
    folder: str = Field(
        default="INBOX", min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\"\\]+$"
    )


class EmailSettings(_Settings):
    """Who takes the messages, the sender to show, and where news of them comes in.

    `host` and what belongs to it are the first provider, an SMTP server, in short; `providers` are
    tried in their order.
    """

    host: str | None = Field(default=None, min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    tls: Tls = "starttls"
    from_address: str
    from_name: str = Field(default="", max_length=100)
    reply_to: str | None = None
    providers: list[Annotated[Provider, Field(discriminator="kind")]] = Field(
        default=[], max_length=10
    )
    dkim: list[DkimKey] = Field(default=[], max_length=2)
    return_path: str | None = None
    mailbox: Mailbox | None = None

    @field_validator("from_address", "reply_to", "return_path")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        return None if value is None else check_address(value.strip())

    @field_validator("return_path")
    @classmethod
    def _is_short(cls, value: str | None) -> str | None:
        if value is not None and len(value.partition("@")[0]) > RETURN_LOCAL:
            raise ValueError(f"at most {RETURN_LOCAL} characters before the @, as bounces@")
        return value

    @field_validator("from_name", "host")
    @classmethod
    def _is_one_line(cls, value: str | None) -> str | None:
        return None if value is None else one_line(value)

    @model_validator(mode="after")
    def _has_providers(self) -> Self:
        check_login(self.username, self.password)
        if self.host is None and self.username:
            raise ValueError("username and password belong to host: give it too")
        if not self.all_providers():
            raise ValueError("nobody takes the messages: give host, or an entry of providers")
        names = [one.name or one.kind for one in self.all_providers()]
        if len(set(names)) < len(names):
            raise ValueError("two providers have one name: give each a name of its own")
        return self

    def all_providers(self) -> list[Provider]:
        """The providers in the order in which they are tried."""
        if self.host is None:
            return list(self.providers)
        first = Smtp(host=self.host, port=self.port, username=self.username,
                     password=self.password, tls=self.tls)  # fmt: skip
        return [first, *self.providers]


def provider_name(provider: Provider) -> str:
    """What a provider is called in the ledger."""
    return provider.name or provider.kind


def one_line(text: str) -> str:
    """The text without blanks around it. Raises ValueError for control characters."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must be one line")
    return text.strip()
