"""The signer, and the stand-in's own, against the published and computed vectors."""

import hmac

import pytest

from core.sdk.signing import sign
from tests.stand_ins.taobao.signing import expected

V1 = {
    "app_key": "12345678", "fields": "num_iid,title,nick,price,num", "format": "json",
    "method": "taobao.item.seller.get", "num_iid": "11223344", "session": "test",
    "sign_method": "md5", "timestamp": "2016-01-01 12:00:00", "v": "2.0",
}  # fmt: skip
V2 = {
    "app_key": "12345678", "end_modified": "2026-01-01 11:50:00",
    "fields": "tid,status,modified,ouid", "format": "json",
    "method": "taobao.trades.simple.sold.increment.get", "page_no": "1", "page_size": "40",
    "session": "test", "sign_method": "md5", "start_modified": "2026-01-01 11:20:00",
    "timestamp": "2026-01-01 12:00:00", "use_has_next": "true", "v": "2.0",
}  # fmt: skip
V5 = {
    "app_key": "12345678", "flag": "1", "format": "json", "memo": "老客户，送小样",
    "method": "taobao.trade.memo.update", "session": "test", "sign_method": "md5",
    "tid": "4100000000000000001", "timestamp": "2026-01-01 12:00:00", "v": "2.0",
}  # fmt: skip
TOP = [
    (V1, "66987CB115214E59E6EC978214934FB8"),
    (V2, "029CB3FA1558123A3937232C61226D8D"),
    (V2 | {"sign_method": "hmac"}, "FFCAEC4F652D72AACCFB6C35114B4148"),
    (V2 | {"sign_method": "hmac-sha256"},
     "00D09B8623CB2955D3E90AD3F5F020FE3DCDC628D83E4259D126D1A2E5A38B2E"),
    (V5, "2E529195FFEB225004FC21FB408DB54A"),
]  # fmt: skip

A1 = {
    "app_key": "500000", "format": "json", "method": "aliexpress.trade.seller.orderlist.get",
    "param_aeop_order_query": '{"create_date_start":"2025-12-02 00:00:00",'
    '"create_date_end":"2026-01-01 00:00:00","modified_date_start":"2025-12-31 19:20:00",'
    '"modified_date_end":"2025-12-31 19:50:00",'
    '"order_status_list":["WAIT_SELLER_SEND_GOODS"],"current_page":1,"page_size":50}',
    "session": "tok", "sign_method": "sha256", "simplify": "true", "timestamp": "1767240000000",
    "v": "2.0",
}  # fmt: skip
A2 = {
    "app_key": "500000", "code": "3_500000_abc", "sign_method": "sha256",
    "timestamp": "1767240000000",
}  # fmt: skip
IOP = [
    (A1, "", "F26462F683766C4BC3B04ABA9E3C10F76DDE8E2AB3041CAC42600BF4F5C505B7"),
    (A2, "/auth/token/create", "2AC5787FB824C5927D390617685FA7D08142834E1A9586E7D2D002C9950A5893"),
    (A1 | {"sign_method": "md5"}, "", "597C0073E46FA6410FA45A4544AEEE0F"),
]


@pytest.mark.parametrize(("params", "wanted"), TOP)
def test_top(params, wanted):
    assert sign(params, "helloworld", params["sign_method"]) == wanted
    assert expected(params, "helloworld", params["sign_method"]) == wanted


@pytest.mark.parametrize(("params", "prefix", "wanted"), IOP)
def test_iop(params, prefix, wanted):
    assert sign(params, "aesecret", params["sign_method"], prefix) == wanted


def test_empty_parameters_and_the_signature_itself_do_not_count():
    more = V1 | {"sign": "x", "extra": "", "": "nameless"}
    assert sign(more, "helloworld", "md5") == TOP[0][1]


def test_names_are_sorted_as_bytes():
    # capitals before the underscore before small letters; a locale sorts them otherwise
    key, base = b"s", b"aB2a_b3ab1"
    wanted = hmac.new(key, base, "sha256").hexdigest().upper()
    assert sign({"ab": "1", "a_b": "3", "aB": "2"}, "s") == wanted


def test_another_method_is_refused():
    with pytest.raises(ValueError, match="sha1"):
        sign(V1, "helloworld", "sha1")
