"""An app at a platform: whom sellers let in, by OAuth."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from pydantic import BaseModel, Field, SecretStr, model_validator

from core.sdk.errors import ReconnectNeeded


class AppSettings(BaseModel, extra="forbid"):
    """A plugin's settings with the app that its merchant has at the platform, or none yet."""

    app_key: str | None = Field(default=None, pattern=r"^[0-9]{1,20}$")
    app_secret: SecretStr | None = None

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if bool(self.app_key) != bool(self.app_secret and self.app_secret.get_secret_value()):
            raise ValueError("app_key and app_secret belong together: give both or neither")
        return self

    def key_and_secret(self) -> tuple[str, str]:
        """The app's. Raises ReconnectNeeded without one."""
        if self.app_key is None or self.app_secret is None:
            raise ReconnectNeeded(
                "the plugin's settings have no app_key and app_secret yet: fill them in"
            )
        return self.app_key, self.app_secret.get_secret_value()


def app_known_by(settings: BaseModel) -> str | None:
    """What `SharedApp.app` gives of such settings."""
    assert isinstance(settings, AppSettings)
    return None if settings.app_key is None else ":".join(settings.key_and_secret())


def consent_url(settings: AppSettings, page: str, state: str, callback: str, **more: str) -> str:
    """The page on which the seller agrees. Raises ReconnectNeeded without an app."""
    query = {
        "response_type": "code", "client_id": settings.key_and_secret()[0],
        "redirect_uri": callback, "state": state, **more,
    }  # fmt: skip
    return f"{page}?{urlencode(query)}"


def end_told(told: Mapping[str, Any], seconds: str, at: str, now: datetime) -> datetime | None:
    """An end as a token's answer tells it: the instant `at` in milliseconds, or `seconds` from now.

    0 says nothing. Raises ValueError.
    """
    if int(told.get(at) or 0) > 0:
        return datetime.fromtimestamp(int(told[at]) / 1000, now.tzinfo)
    left = int(told.get(seconds) or 0)
    return now + timedelta(seconds=left) if left > 0 else None
