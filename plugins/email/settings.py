"""What a merchant fills in to send email."""

from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from plugins.email.message import check_address


class EmailSettings(BaseModel, extra="forbid"):
    """The SMTP server to hand messages to, and the sender to show."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    from_address: str
    from_name: str = Field(default="", max_length=100)

    @field_validator("from_address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return check_address(value.strip())

    @field_validator("from_name", "host")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise ValueError("must be one line")
        return value.strip()

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password belong together: give both or neither")
        return self
