"""Signatures against the vendors' published vectors and worked examples."""

import hashlib
import re

from plugins.sms.providers.aliyun_signature import Signing, encoded
from plugins.sms.providers.tencent_signature import authorization
from plugins.sms.providers.twilio import signature
from tests.stand_ins import aliyun

SMS = {
    "AccessKeyId": "testId", "Timestamp": "2017-07-12T02:42:19Z", "Format": "XML",
    "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "Action": "SendSms",
    "SignatureNonce": "45e25e9b-0a6f-4070-8c85-2956eda1b466", "Version": "2017-05-25",
    "RegionId": "cn-hangzhou", "PhoneNumbers": "15300000001", "SignName": "阿里云短信测试专用",
    "TemplateParam": '{"customer":"test"}', "TemplateCode": "SMS_71390007", "OutId": "123",
}  # fmt: skip
EXAMPLE = {
    "OutId": "outbox-42", "PhoneNumbers": "13900000000", "SignName": "好店",
    "TemplateCode": "SMS_1", "TemplateParam": '{"name":"张 三*~"}',
}  # fmt: skip


def test_the_stand_ins_version_1_is_the_vendors():
    assert aliyun.v1_signature("GET", SMS.items(), "testSecret") == "zJDF+Lrzhj/ThnlvIToysFRq6t4="


def made(headers):
    return re.search(r"Signature=([0-9a-f]+)$", headers["authorization"])[1]


def test_version_3_of_alibaba_cloud():
    query = encoded({
        "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
        "RegionId": "cn-shanghai",
    })  # fmt: skip
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com", "x-acs-action": "RunInstances",
        "x-acs-date": "2023-10-26T10:22:32Z", "x-acs-version": "2014-05-26",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    }  # fmt: skip
    signed = Signing("YourAccessKeyId", "YourAccessKeySecret").headers(query, headers, b"")
    assert made(signed) == "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    assert signed["x-acs-content-sha256"] == hashlib.sha256(b"").hexdigest()


def test_version_3_with_chinese_and_odd_characters():
    headers = {
        "host": "dysmsapi.aliyuncs.com", "x-acs-action": "SendSms",
        "x-acs-date": "2026-01-02T03:04:05Z", "x-acs-version": "2017-05-25",
        "x-acs-signature-nonce": "n-0001",
    }  # fmt: skip
    # the example's business parameters are those of version 1, region and all
    for query in (EXAMPLE, EXAMPLE | {"RegionId": "cn-hangzhou"}):
        signed = Signing("testAK", "testSK").headers(encoded(query), headers, b"")
        if made(signed) == "0159a37089429b9c0e1e0662bfdc9561d2fcd24390e70cce3e30f5637643163b":
            return
    raise AssertionError("the signature is another one")


def test_tc3_of_tencent_cloud():
    body = (
        '{"PhoneNumberSet":["+8613900000000"],"SmsSdkAppId":"1400006666","TemplateId":"1110",'
        '"SignName":"好店","TemplateParamSet":["4370"],"SessionContext":"outbox-42"}'
    ).encode()
    header = authorization(
        "testID", "testSK", "sms.tencentcloudapi.com", "application/json", 1767323045,
        "2026-01-02", body,
    )  # fmt: skip
    assert header == (
        "TC3-HMAC-SHA256 Credential=testID/2026-01-02/sms/tc3_request, "
        "SignedHeaders=content-type;host, Signature="
        "8d226d8a4b5cb29532de4ca1912c5316034efbd7bf81c394b52edfc274c24727"
    )


def test_twilio():
    form = [
        ("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675309"), ("Digits", "1234"),
        ("From", "+14158675309"), ("To", "+18005551212"),
    ]  # fmt: skip
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature("12345", url, form) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    status = [
        ("AccountSid", "AC0"), ("From", "+15005550006"),
        ("MessageSid", "SM00000000000000000000000000000001"), ("MessageStatus", "delivered"),
        ("To", "+8613900000000"),
    ]  # fmt: skip
    url = "https://crm.example.com/webhooks/twilio/status"
    assert signature("testSK", url, status) == "vvMtXYWPZ67xm0RLOQoyVVGGizg="
