"""The SMS plugin's business card."""

from collections.abc import Sequence
from datetime import timedelta

from core.sdk import (
    Channel,
    HealthCheck,
    HuikeError,
    Manifest,
    Permission,
    SchemaField,
    SettingsCheck,
    Text,
    Tick,
    WebRoute,
    hookimpl,
)
from plugins.sms import jobs, pushes
from plugins.sms.channel import SmsChannel
from plugins.sms.checks import check_health, check_settings
from plugins.sms.registered import TemplateRefused
from plugins.sms.schema import FIELDS
from plugins.sms.settings import SmsSettings


class SmsPlugin:
    manifest = Manifest(
        name="sms",
        title="SMS",
        version="0.1.0",
        core=">=0.1,<0.2",
        settings=SmsSettings,
        permissions=(
            Permission(
                "SMS_READ",
                "See SMS templates, signatures and arrival rates.",
                ("manager", "marketer", "analyst"),
            ),
            Permission("SMS_WRITE", "Hand SMS templates in for review.", ("manager", "marketer")),
        ),
        models="plugins.sms.models",
    )

    @hookimpl
    def channels(self) -> Sequence[Channel]:
        return [SmsChannel()]

    @hookimpl
    def schema_fields(self) -> Sequence[SchemaField]:
        return FIELDS

    @hookimpl
    def error_codes(self) -> Sequence[type[HuikeError]]:
        return [TemplateRefused]

    @hookimpl
    def settings_checks(self) -> Sequence[SettingsCheck]:
        return [SettingsCheck("sms.connect", check_settings)]

    @hookimpl
    def health_checks(self) -> Sequence[HealthCheck]:
        return [HealthCheck("sms.connect", check_health)]

    @hookimpl
    def web_routes(self) -> Sequence[WebRoute]:
        return [
            WebRoute("sms.aliyun", Text("Alibaba Cloud receipts and replies", "阿里云回执与上行"),
                     pushes.aliyun, max_bytes=8_000_000),
            WebRoute("sms.gateway", Text("Gateway receipts and replies", "网关回执与上行"),
                     pushes.gateway, max_bytes=8_000_000),
            WebRoute("sms.tencent", Text("Tencent Cloud receipts and replies", "腾讯云回执与上行"),
                     pushes.tencent, max_bytes=8_000_000),
            WebRoute("sms.twilio", Text("Twilio statuses and replies", "Twilio 状态与回复"),
                     pushes.twilio),
        ]  # fmt: skip

    @hookimpl
    def ticks(self) -> Sequence[Tick]:
        return [
            Tick("sms.sandbox", timedelta(seconds=10), jobs.tell_of_sandbox),
            Tick("sms.missing", timedelta(hours=1), jobs.ask_for_missing),
            Tick("sms.sync", timedelta(minutes=30), jobs.sync),
            Tick("sms.forget", timedelta(days=1), jobs.forget),
        ]


plugin = SmsPlugin()
