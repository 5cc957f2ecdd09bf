"""Normal form of email addresses, of staff and of customers."""

import re

EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}"
)
EMAIL_LIMIT = 254
FULL_WIDTH = str.maketrans("０１２３４５６７８９＋－（）　＠．", "0123456789+-() @.")


def normalise_email(text: str) -> str | None:
    """The address in lower case; None when it is masked or no address."""
    text = text.strip().translate(FULL_WIDTH).lower()
    if len(text) > EMAIL_LIMIT or "*" in text or ".." in text or not EMAIL.fullmatch(text):
        return None
    local = text.partition("@")[0]
    return None if local.startswith(".") or local.endswith(".") else text
