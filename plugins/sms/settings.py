"""What a merchant fills in to send SMS."""

from collections import Counter
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from core.sdk import MessageClass
from core.sdk.ids import split_id

Price = Annotated[Decimal, Field(ge=0, le=1000, max_digits=10, decimal_places=6)]
Amount = Annotated[Decimal, Field(ge=0, le=10**9, max_digits=16, decimal_places=6)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s#]*)?$", max_length=2000)]
ELSEWHERE = "*"


class ProviderSettings(BaseModel, extra="forbid"):
    """What all providers have. `prices` are for one part, by the region of the number ("CN", "US")
    or "*" for the rest, in the major unit of `currency`."""

    name: Name
    prices: dict[str, Price] = {}
    currency: str = Field(default="CNY", pattern=r"^[A-Z]{3}$")

    @field_validator("prices")
    @classmethod
    def _are_regions(cls, prices: dict[str, Decimal]) -> dict[str, Decimal]:
        for region in prices:
            if region != ELSEWHERE and not (len(region) == 2 and region.isupper()):
                raise ValueError(f"{region!r} is no region: give CN, US ... or * for the rest")
        return prices


class AliyunSettings(ProviderSettings):
    """An account of Alibaba Cloud's SMS (Dysmsapi)."""

    kind: Literal["aliyun"]
    name: Name = "aliyun"
    access_key_id: str = Field(min_length=1, max_length=200)
    access_key_secret: SecretStr
    endpoint: Url = "https://dysmsapi.aliyuncs.com"


class TencentSettings(ProviderSettings):
    """An application of Tencent Cloud's SMS."""

    kind: Literal["tencent"]
    name: Name = "tencent"
    secret_id: str = Field(min_length=1, max_length=200)
    secret_key: SecretStr
    app_id: str = Field(pattern=r"^[0-9]{1,20}$")
    region: str = Field(default="ap-guangzhou", pattern=r"^[a-z0-9-]{1,40}$")
    endpoint: Url = "https://sms.tencentcloudapi.com"


class TwilioSettings(ProviderSettings):
    """A Twilio account. `sender` is a number (+1...) or the id of a messaging service (MG...).

    `callback` is the plugin's address `sms.twilio`, so that Twilio tells what became of messages.
    """

    kind: Literal["twilio"]
    name: Name = "twilio"
    account_sid: str = Field(pattern=r"^AC[0-9a-zA-Z]{1,64}$")
    auth_token: SecretStr
    sender: str = Field(min_length=1, max_length=40)
    callback: Url | None = None
    endpoint: Url = "https://api.twilio.com"
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")


class Reading(BaseModel, extra="forbid"):
    """A value in JSON: keys joined by dots ("data.0.id"), and the values that say yes."""

    path: str = Field(min_length=1, max_length=200)
    values: list[str] = Field(min_length=1, max_length=100)


class GatewayReceipts(BaseModel, extra="forbid"):
    """How to read the receipts that a gateway pushes.

    `items` leads to their list in the body, "" if the body is the list (or one receipt); the other
    paths are within a receipt. `bad_numbers` are the values of the status that are the number's
    fault: it is not written to again.
    """

    items: str = ""
    id: str
    to: str | None = None
    delivered: Reading
    bad_numbers: list[str] = []


class GatewayReplies(BaseModel, extra="forbid"):
    """How to read the replies that a gateway pushes; see GatewayReceipts."""

    items: str = ""
    id: str
    sender: str
    text: str


class GatewaySettings(ProviderSettings):
    """A provider with an HTTP interface of its own.

    In `url`, `headers` and `fields` these stand for the message: ${to} (+8613800138000), ${number}
    (13800138000 at home, 447700900000 abroad), ${text} (with its signature), ${plain} (without),
    ${signature}, ${key} (at most 60 characters, the same at each try).

    A message is accepted when `accepted` says so. Else the value at its path is looked up:
    `refused` are codes of the number or message, `busy` those to try again, all others are the
    account's and pause the campaign. Pushes must bring `push_secret` as header `x-push-secret` or
    as `secret` in the address.
    """

    kind: Literal["gateway"]
    name: Name = "gateway"
    url: Url
    method: Literal["POST", "GET"] = "POST"
    headers: dict[str, SecretStr] = {}
    format: Literal["json", "form", "query"] = "json"
    fields: dict[str, SecretStr] = Field(min_length=1)
    accepted: Reading
    id: str | None = None
    refused: list[str] = []
    busy: list[str] = []
    push_secret: SecretStr
    receipts: GatewayReceipts | None = None
    replies: GatewayReplies | None = None

    @model_validator(mode="after")
    def _fits_the_method(self) -> Self:
        if self.method == "GET" and self.format != "query":
            raise ValueError('a GET has no body: set format to "query"')
        if len(self.push_secret.get_secret_value()) < 16:
            raise ValueError("push_secret needs at least 16 characters")
        return self


class SandboxSettings(ProviderSettings):
    """A carrier that only pretends: for trying without money. See the README for its numbers."""

    kind: Literal["sandbox"]
    name: Name = "sandbox"
    receipt_seconds: int = Field(default=10, ge=0, le=86_400)


AnyProvider = Annotated[
    AliyunSettings | TencentSettings | TwilioSettings | GatewaySettings | SandboxSettings,
    Field(discriminator="kind"),
]


class Route(BaseModel, extra="forbid"):
    """Which providers take the messages of a shop and class, the first of them first.

    Without `shop` it is for all shops, without `message_class` for both. `signature` is put in
    front in place of the general one.
    """

    shop: int | None = None
    message_class: MessageClass | None = None
    providers: list[Name] = Field(min_length=1, max_length=10)
    signature: str | None = Field(default=None, min_length=2, max_length=20)

    @field_validator("shop", mode="before")
    @classmethod
    def _number(cls, given: Any) -> Any:
        """A shop may be named by its global id, as the API shows it."""
        if not isinstance(given, str):
            return given
        found = split_id(given)
        if found is None or found[0] != "Shop":
            raise ValueError("this is not the id of a shop")
        return found[1]


class Budget(BaseModel, extra="forbid"):
    """The most that may be spent, in the providers' currency; what is over it is not sent."""

    day: Amount | None = None
    campaign: Amount | None = None


class SmsSettings(BaseModel, extra="forbid"):
    """Providers, who of them takes what, and what holds for the texts.

    Without a route that fits, the providers take messages in the order in which they stand.
    """

    providers: list[AnyProvider] = Field(min_length=1, max_length=10)
    routes: list[Route] = Field(default=[], max_length=200)
    signature: str = Field(min_length=2, max_length=20)
    opt_out: str = Field(default="拒收请回复R", min_length=2, max_length=40)
    budget: Budget = Budget()

    @field_validator("signature")
    @classmethod
    def _without_brackets(cls, signature: str) -> str:
        if set("【】[]") & set(signature):
            raise ValueError("give the signature without 【 and 】: they are added")
        return signature

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        twice = [n for n, times in Counter(p.name for p in self.providers).items() if times > 1]
        if twice:
            raise ValueError(f"two providers are called {twice[0]}: give one another name")
        names = {provider.name for provider in self.providers}
        for route in self.routes:
            if unknown := sorted(set(route.providers) - names):
                raise ValueError(f"a route names the provider {unknown[0]}, which there is not")
        if self.budget.day is not None or self.budget.campaign is not None:
            if len({provider.currency for provider in self.providers}) > 1:
                raise ValueError("a budget needs providers of one currency")
            for provider in self.providers:
                if not provider.prices:
                    raise ValueError(f"a budget needs the prices of {provider.name}")
        return self
