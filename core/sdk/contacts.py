"""Normal forms of email addresses and phone numbers."""

import re

import phonenumbers

EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}"
)
EMAIL_LIMIT = 254
FULL_WIDTH = str.maketrans("０１２３４５６７８９＋－（）　＠．", "0123456789+-() @.")
CHINESE_MOBILE = re.compile(r"1[3-9][0-9]{9}")
PHONE_LIMIT = 40
is_chinese_mobile = CHINESE_MOBILE.fullmatch


def normalise_email(text: str) -> str | None:
    """The address in lower case; None when it is masked or no address."""
    text = text.strip().translate(FULL_WIDTH).lower()
    if len(text) > EMAIL_LIMIT or "*" in text or ".." in text or not EMAIL.fullmatch(text):
        return None
    local = text.partition("@")[0]
    return None if local.startswith(".") or local.endswith(".") else text


def normalise_phone(text: str, region: str = "CN") -> str | None:
    """The number in E.164, such as +8613800138000.

    None when it is no number that can be reached: masked, a platform's virtual number (with an
    extension), or garbage. `region` is the country of numbers written without one.
    """
    if region == "CN" and is_chinese_mobile(text):
        return "+86" + text  # by far the most frequent form; the general way is 30 times slower
    text = text.strip().translate(FULL_WIDTH)
    if not text or len(text) > PHONE_LIMIT or "*" in text:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    if region == "CN" and re.search(r"1[3-9][0-9]{9}-[0-9]", text):
        return None  # a virtual number: the digits after the dash belong to one order
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
