"""The error codes of Tencent Cloud's SMS and what they mean for a message."""

from plugins.sms.providers.protocol import Meaning

CODES = {
    "FailedOperation.PhoneNumberInBlacklist": Meaning.BLOCKED,
    "FailedOperation.ContainSensitiveWord": Meaning.MESSAGE,
    "FailedOperation.PhoneNumberParseFail": Meaning.MESSAGE,
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": Meaning.MESSAGE,
    "InvalidParameter.DirtyWordFound": Meaning.MESSAGE,
    "InvalidParameterValue.ContentLengthLimit": Meaning.MESSAGE,
    "InvalidParameterValue.IncorrectPhoneNumber": Meaning.MESSAGE,
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": Meaning.MESSAGE,
    "InvalidParameterValue.TemplateParameterFormatError": Meaning.MESSAGE,
    "InvalidParameterValue.TemplateParameterLengthLimit": Meaning.MESSAGE,
    "InvalidParameterValue.TemplateWithDirtyWords": Meaning.MESSAGE,
    "LimitExceeded.AppCountryOrRegionInBlacklist": Meaning.MESSAGE,
    "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone": Meaning.MESSAGE,
    "UnsupportedOperation.GlobalTemplateToChineseMainlandPhone": Meaning.MESSAGE,
    "UnsupportedOperation.UnsupportedRegion": Meaning.MESSAGE,
    "LimitExceeded.PhoneNumberThirtySecondLimit": Meaning.MINUTE,
    "LimitExceeded.PhoneNumberOneHourLimit": Meaning.HOUR,
    "LimitExceeded.DeliveryFrequencyLimit": Meaning.HOUR,
    # marketing outside 08:00 to 22:00: core holds it back already, this is the border
    "FailedOperation.MarketingSendTimeConstraint": Meaning.HOUR,
    "LimitExceeded.PhoneNumberDailyLimit": Meaning.DAY,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": Meaning.DAY,
    "RequestLimitExceeded": Meaning.BUSY,
    "RequestLimitExceeded.IPLimitExceeded": Meaning.BUSY,
    "RequestLimitExceeded.UinLimitExceeded": Meaning.BUSY,
    "LimitExceeded.GlobalSmsSendingRateLimit": Meaning.BUSY,
    "InternalError.RestApiInterfaceNotExist": Meaning.BUSY,
    "FailedOperation.InsufficientBalanceInSmsPackage": Meaning.ACCOUNT,
    "FailedOperation.NotEnterpriseCertification": Meaning.ACCOUNT,
    "FailedOperation.SignatureIncorrectOrUnapproved": Meaning.ACCOUNT,
    "FailedOperation.TemplateIncorrectOrUnapproved": Meaning.ACCOUNT,
    "FailedOperation.TemplateUnapprovedOrNotExist": Meaning.ACCOUNT,
    "FailedOperation.TemplateIdNotExist": Meaning.ACCOUNT,
    "FailedOperation.ProhibitSubAccountUse": Meaning.ACCOUNT,
    "InvalidParameterValue.SdkAppIdNotExist": Meaning.ACCOUNT,
    "LimitExceeded.AppDailyLimit": Meaning.ACCOUNT,
    "LimitExceeded.DailyLimit": Meaning.ACCOUNT,
    "LimitExceeded.AppGlobalDailyLimit": Meaning.ACCOUNT,
    "LimitExceeded.AppMainlandChinaDailyLimit": Meaning.ACCOUNT,
    "LimitExceeded.AppCountryOrRegionDailyLimit": Meaning.ACCOUNT,
    "UnauthorizedOperation.IndividualUserMarketingSmsPermissionDeny": Meaning.ACCOUNT,
    "UnauthorizedOperation.RequestIpNotInWhitelist": Meaning.ACCOUNT,
    "UnauthorizedOperation.RequestPermissionDeny": Meaning.ACCOUNT,
    "UnauthorizedOperation.SdkAppIdIsDisabled": Meaning.ACCOUNT,
    "UnauthorizedOperation.ServiceSuspendDueToArrears": Meaning.ACCOUNT,
    # spelt so in some of the vendor's lists
    "UnauthorizedOperation.SerivceSuspendDueToArrears": Meaning.ACCOUNT,
    "UnauthorizedOperation.SmsSdkAppIdVerifyFail": Meaning.ACCOUNT,
    "AuthFailure.SignatureFailure": Meaning.ACCOUNT,
    "AuthFailure.SignatureExpire": Meaning.ACCOUNT,
    "AuthFailure.SecretIdNotFound": Meaning.ACCOUNT,
    "InternalError.Timeout": Meaning.UNKNOWN,
    "InternalError.SendAndRecvFail": Meaning.UNKNOWN,
    "InternalError.RequestTimeException": Meaning.ACCOUNT,
    "InternalError.JsonParseFail": Meaning.ACCOUNT,
    "InternalError.SigFieldMissing": Meaning.ACCOUNT,
    "InternalError.SigVerificationFail": Meaning.ACCOUNT,
    "InternalError.ParseBackendResponseFail": Meaning.UNKNOWN,
    "InternalError.UnknownError": Meaning.UNKNOWN,
    "InternalError.OtherError": Meaning.UNKNOWN,
    "InternalError": Meaning.UNKNOWN,
}


def meaning_of(code: str) -> Meaning:
    """What a code means; one that we do not know stops the campaign, so that somebody reads it.

    After an error within the vendor's own house the message may be under way.
    """
    inside = code.startswith("InternalError")
    return CODES.get(code, Meaning.UNKNOWN if inside else Meaning.ACCOUNT)
