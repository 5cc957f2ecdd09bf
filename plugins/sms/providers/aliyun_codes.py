"""The error codes of Alibaba Cloud's SMS and what they mean for a message."""

from plugins.sms.providers.protocol import Meaning

CODES = {
    "isv.MOBILE_NUMBER_ILLEGAL": Meaning.MESSAGE,
    "isv.MOBILE_COUNT_OVER_LIMIT": Meaning.MESSAGE,
    "isv.SMS_CONTENT_ILLEGAL": Meaning.MESSAGE,
    "isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": Meaning.MESSAGE,
    "isv.TEMPLATE_MISSING_PARAMETERS": Meaning.MESSAGE,
    "isv.INVALID_JSON_PARAM": Meaning.MESSAGE,
    "isv.INVALID_PARAMETERS": Meaning.MESSAGE,
    "isv.TEMPLATE_PARAMS_ILLEGAL": Meaning.MESSAGE,
    "isv.PARAM_LENGTH_LIMIT": Meaning.MESSAGE,
    "isv.PARAM_NOT_SUPPORT_URL": Meaning.MESSAGE,
    "isv.BLACK_KEY_CONTROL_LIMIT": Meaning.MESSAGE,
    "isv.BUSINESS_LIMIT_CONTROL": Meaning.HOUR,
    "isv.DAY_LIMIT_CONTROL": Meaning.ACCOUNT,
    "isv.MONTH_LIMIT_CONTROL": Meaning.ACCOUNT,
    "isv.OUT_OF_SERVICE": Meaning.ACCOUNT,
    "isv.AMOUNT_NOT_ENOUGH": Meaning.ACCOUNT,
    "isv.ACCOUNT_ABNORMAL": Meaning.ACCOUNT,
    "isv.ACCOUNT_NOT_EXISTS": Meaning.ACCOUNT,
    "isv.PRODUCT_UN_SUBSCRIPT": Meaning.ACCOUNT,
    "isv.PRODUCT_UNSUBSCRIBE": Meaning.ACCOUNT,
    "isp.RAM_PERMISSION_DENY": Meaning.ACCOUNT,
    "isv.DENY_IP_RANGE": Meaning.ACCOUNT,
    "isv.SMS_SIGN_ILLEGAL": Meaning.ACCOUNT,
    "isv.SIGN_STATE_ILLEGAL": Meaning.ACCOUNT,
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": Meaning.ACCOUNT,
    "isv.SMS_SIGNATURE_ILLEGAL": Meaning.ACCOUNT,
    "isv.SMS_TEMPLATE_ILLEGAL": Meaning.ACCOUNT,
    "isv.EXTEND_CODE_ERROR": Meaning.ACCOUNT,
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": Meaning.ACCOUNT,
    "isp.SYSTEM_ERROR": Meaning.BUSY,
    "ServiceUnavailable": Meaning.BUSY,
    "SignatureDoesNotMatch": Meaning.ACCOUNT,
    "SignatureNonceUsed": Meaning.BUSY,
    "InvalidTimeStamp.Expired": Meaning.ACCOUNT,
    "InvalidAccessKeyId.NotFound": Meaning.ACCOUNT,
    "InvalidAccessKeyId.Inactive": Meaning.ACCOUNT,
    "Forbidden.RAM": Meaning.ACCOUNT,
}
LEVELS = {"天级": Meaning.DAY, "小时级": Meaning.HOUR, "分钟级": Meaning.MINUTE}

BAD_NUMBERS = frozenset({
    "MK:0001", "MI:0001", "MBBLACK", "DBBLACK", "DB:0144", "MK:0000", "SC:0016", "MOBILE_NOT_EXIST",
    "MOBILE_IN_BLACK", "MOBILE_ACCOUNT_ABNORMAL",
})  # fmt: skip
"""Codes of receipts that are the number's fault: it does not exist, or has us on its blacklist."""


def meaning_of(code: str, words: str) -> Meaning:
    """What a code means; one that we do not know stops the campaign, so that somebody reads it.

    A number's limit says in its words for how long ("触发天级流控Permits:10"). After an error
    inside the vendor's house the message may be under way.
    """
    if code == "isv.BUSINESS_LIMIT_CONTROL":
        return next((found for word, found in LEVELS.items() if word in words), Meaning.HOUR)
    if code.startswith("Throttling"):
        return Meaning.BUSY
    if code.startswith("InternalError"):
        return Meaning.UNKNOWN
    return CODES.get(code, Meaning.ACCOUNT)
