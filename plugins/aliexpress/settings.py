"""What a merchant fills in for AliExpress: the app at the open platform."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, field_validator

from core.sdk.apps import AppSettings
from core.sdk.gateways import check_address

Shape = Literal["business", "path", "rest2"]
"""How an API is called: by its name at /sync, by its path at /rest, or at /rest/2.0."""


class AliExpressSettings(AppSettings):
    """The app that shops authorise.

    `shapes` says how APIs are called whose way is not to be seen by their names; its keys are
    names or beginnings of names. `token_name` is what the token is called at /sync. `push_signs`
    is what pushed messages are signed over: the app's key and the body, or the body alone;
    `push_orders` are the numbers of the types of messages that are about orders. `reminder_scene`
    is the kind of message that reminders are sent as.
    """

    gateway: str = "https://api-sg.aliexpress.com"
    authorize_url: str = "https://api-sg.aliexpress.com/oauth/authorize"
    shapes: Mapping[str, Shape] = {}
    token_name: Literal["session", "access_token"] = "session"  # noqa: S105
    push_signs: Literal["key_and_body", "body"] = "key_and_body"
    push_orders: Sequence[int] = Field(default=(18, 51, 53), max_length=50)
    reminder_scene: int = Field(default=4, ge=1, le=99)

    @field_validator("gateway", "authorize_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        return check_address(value).rstrip("/")

    def shape(self, api: str) -> Shape:
        """How an API is called: as it is set, else by a path if its name is one."""
        starts = [start for start in self.shapes if api.startswith(start)]
        if starts:
            return self.shapes[max(starts, key=len)]
        return "path" if api.startswith("/") else "business"
