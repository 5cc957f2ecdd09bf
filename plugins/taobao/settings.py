"""What a merchant fills in for Taobao and Tmall: the app at the open platform."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from core.sdk.apps import AppSettings
from core.sdk.gateways import check_address


class TaobaoSettings(AppSettings):
    """The app that shops authorise. Without it only files of orders can be read.

    `mode` is "crm" for an app of the CRM category, which is given no order's nick, phone or oaid,
    and "full" for one with the classic order APIs. `message_group` is the group of the message
    service that this merchant's shops are in; `sms_group` the one of text messages' topics, and
    `sms_sign_name` the signature that was approved for them.
    """

    mode: Literal["crm", "full"] = "crm"
    message_group: str | None = Field(default=None, min_length=1, max_length=32)
    sms_group: str | None = Field(default=None, min_length=1, max_length=32)
    sms_sign_name: str | None = Field(default=None, min_length=1, max_length=20)
    gateway: str = "https://eco.taobao.com/router/rest"
    authorize_url: str = "https://oauth.taobao.com/authorize"

    @field_validator("gateway", "authorize_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        return check_address(value)

    @model_validator(mode="after")
    def _has_an_app_for_messages(self) -> Self:
        if self.sms_sign_name and not self.app_key:
            raise ValueError("text messages need app_key and app_secret")
        return self
