"""The email plugin's business card."""

from collections.abc import Sequence

from core.sdk import Channel, HealthCheck, Manifest, SettingsCheck, hookimpl
from plugins.email.channel import EmailChannel, check_health, check_settings
from plugins.email.settings import EmailSettings


class EmailPlugin:
    manifest = Manifest(
        name="email",
        title="Email (SMTP)",
        version="0.1.0",
        core=">=0.1,<0.2",
        settings=EmailSettings,
    )

    @hookimpl
    def channels(self) -> Sequence[Channel]:
        return [EmailChannel()]

    @hookimpl
    def settings_checks(self) -> Sequence[SettingsCheck]:
        return [SettingsCheck("email.connect", check_settings)]

    @hookimpl
    def health_checks(self) -> Sequence[HealthCheck]:
        return [HealthCheck("email.connect", check_health)]


plugin = EmailPlugin()
