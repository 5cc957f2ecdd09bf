"""The stand-ins accept the vendors' own SDKs, where those are installed:

pip install alibabacloud_dysmsapi20170525 tencentcloud-sdk-python-sms
"""

import asyncio
import json

import pytest

from tests.stand_ins.aliyun import AliyunStandIn
from tests.stand_ins.tencent import TencentStandIn


def now():
    from datetime import UTC, datetime

    return datetime.now(UTC)  # the SDKs sign with the machine's time


async def test_alibaba_clouds_sdk():
    sdk = pytest.importorskip("alibabacloud_dysmsapi20170525.client")
    models = pytest.importorskip("alibabacloud_dysmsapi20170525.models")
    from alibabacloud_tea_openapi.models import Config

    stand_in = AliyunStandIn(now)
    stand_in.add_template("SMS_1", "${name}你好")
    async with stand_in.open() as url:
        client = sdk.Client(Config(
            access_key_id="testAK", access_key_secret="testSK", protocol="http",
            endpoint=url.removeprefix("http://"),
        ))  # fmt: skip
        one = models.SendSmsRequest(
            phone_numbers="13800138000", sign_name="小店", template_code="SMS_1",
            template_param=json.dumps({"name": "张 三*~"}), out_id="outbox-1",
        )  # fmt: skip
        many = models.SendBatchSmsRequest(
            phone_number_json=json.dumps(["13800138001", "13800138002"]),
            sign_name_json=json.dumps(["小店", "小店"]), template_code="SMS_1",
            template_param_json=json.dumps([{"name": "a b"}, {"name": "c"}]), out_id="outbox-2",
        )  # fmt: skip
        for call, request in ((client.send_sms, one), (client.send_batch_sms, many)):
            answer = await asyncio.to_thread(call, request)
            assert answer.body.code == "OK", answer.body.message
    assert [m.text for m in stand_in.messages] == ["张 三*~你好", "a b你好", "c你好"]


async def test_tencent_clouds_sdk():
    sdk = pytest.importorskip("tencentcloud.sms.v20210111.sms_client")
    from tencentcloud.common.credential import Credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.sms.v20210111.models import SendSmsRequest

    stand_in = TencentStandIn(now)
    stand_in.add_template("1110", "{1}你好")
    async with stand_in.open() as url:
        profile = ClientProfile(
            httpProfile=HttpProfile(protocol="http", endpoint=url.removeprefix("http://"))
        )
        client = sdk.SmsClient(Credential("testID", "testSK"), "ap-guangzhou", profile)
        request = SendSmsRequest()
        request.from_json_string(json.dumps({
            "PhoneNumberSet": ["+8613800138000"], "SmsSdkAppId": "1400006666",
            "TemplateId": "1110", "SignName": "小店", "TemplateParamSet": ["张 三"],
            "SessionContext": "outbox-1",
        }))  # fmt: skip
        answer = await asyncio.to_thread(client.SendSms, request)
    assert answer.SendStatusSet[0].Code == "Ok"
    assert stand_in.messages[0]["text"] == "张 三你好"
