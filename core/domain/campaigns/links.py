"""Links in messages: signed, so that nobody can unsubscribe somebody else by counting up."""

import hmac
import string

from core.sdk.ids import is_number
from core.storage.keyring import Keyring

PURPOSE = "unsubscribe"
PREFERENCES = "preferences"
CLICK = "click"
OPEN = "open"
SHORT_SIGNATURE = 8
DIGITS = string.digits + string.ascii_letters


def unsubscribe_token(keyring: Keyring, merchant_id: int, customer_id: int, channel: str) -> str:
    """The token of a customer's unsubscribe link; the same each time."""
    text = f"{merchant_id}.{customer_id}.{channel}"
    return f"{text}.{keyring.sign(PURPOSE, text)}"


def read_unsubscribe_token(keyring: Keyring, token: str) -> tuple[int, int, str] | None:
    """(merchant, customer, channel) of a token, or None when it is not one of ours."""
    text, _, signature = token.rpartition(".")
    parts = text.split(".", 2)
    if len(parts) != 3 or not all(map(is_number, parts[:2])):
        return None
    if not keyring.verify(PURPOSE, text, signature):
        return None
    return int(parts[0]), int(parts[1]), parts[2]


def unsubscribe_url(
    keyring: Keyring, base_url: str, merchant_id: int, customer_id: int, channel: str
) -> str:
    """Where a customer unsubscribes: GET shows a page, POST does it."""
    token = unsubscribe_token(keyring, merchant_id, customer_id, channel)
    return f"{base_url}/unsubscribe/{token}"


def preferences_token(keyring: Keyring, merchant_id: int, customer_id: int) -> str:
    """The token of a customer's preference page; the same each time."""
    text = f"{merchant_id}.{customer_id}"
    return f"{text}.{keyring.sign(PREFERENCES, text)}"


def read_preferences_token(keyring: Keyring, token: str) -> tuple[int, int] | None:
    """(merchant, customer) of a token, or None when it is not one of ours."""
    text, _, signature = token.rpartition(".")
    parts = text.split(".")
    if len(parts) != 2 or not all(map(is_number, parts)):
        return None
    if not keyring.verify(PREFERENCES, text, signature):
        return None
    return int(parts[0]), int(parts[1])


def preferences_url(keyring: Keyring, base_url: str, merchant_id: int, customer_id: int) -> str:
    """Where a customer sees and changes what he agreed to."""
    token = preferences_token(keyring, merchant_id, customer_id)
    return f"{base_url}/preferences?t={token}"


def message_key(keyring: Keyring, merchant_id: int, delivery_id: int) -> str:
    """The key of a message: the same at each try, and different on any other installation."""
    text = f"{merchant_id}.{delivery_id}"
    return f"{text}.{keyring.sign('message', text)}"


def read_message_key(keyring: Keyring, merchant_id: int, key: str) -> int | None:
    """The delivery of a message's key, or None when it is not one of this merchant's."""
    text, _, signature = key.rpartition(".")
    parts = text.split(".")
    if len(parts) != 2 or not all(map(is_number, parts)) or int(parts[0]) != merchant_id:
        return None
    return int(parts[1]) if keyring.verify("message", text, signature) else None


def confirmation_key(keyring: Keyring, merchant_id: int, request_id: int) -> str:
    """The key of the message that asks to confirm a consent; see `message_key`."""
    text = f"{merchant_id}.consent.{request_id}"
    return f"{text}.{keyring.sign('message', text)}"


def trial_key(keyring: Keyring, merchant_id: int, idempotency_key: str) -> str:
    """The key of a message sent as a test; see `message_key`."""
    text = f"{merchant_id}.test.{idempotency_key}"
    return f"{merchant_id}.test.{keyring.sign('message', text)}"


def confirmation_url(base_url: str, merchant_id: int, secret: str) -> str:
    """Where a customer confirms a consent: GET shows a page, POST does it."""
    return f"{base_url}/consent/confirm?t={merchant_id}.{secret}"


def read_confirmation_token(token: str) -> tuple[int, str] | None:
    """(merchant, secret) of a confirmation link's token, or None when it has another form."""
    merchant, dot, secret = token.partition(".")
    return (int(merchant), secret) if dot and secret and is_number(merchant) else None


def click_url(
    keyring: Keyring,
    base_url: str,
    merchant_id: int,
    delivery_id: int,
    number: int,
    short: bool = False,
) -> str:
    """A link of a message that leads to link number `number` of its text.

    A short one has a shorter signature: whoever makes one up gains a redirect that he could have
    had without, and has to try about 2^47 times.
    """
    text = ".".join(map(_packed, (merchant_id, delivery_id, number)))
    signature = keyring.sign(CLICK, text)
    if short:
        return f"{base_url}/s/{text}.{signature[:SHORT_SIGNATURE]}"
    return f"{base_url}/t/c/{text}.{signature}"


def read_click_token(
    keyring: Keyring, token: str, short: bool = False
) -> tuple[int, int, int] | None:
    """(merchant, delivery, number of the link) of a link's token, or None if it is not ours."""
    text, _, signature = token.rpartition(".")
    made = keyring.sign(CLICK, text)
    found = _unpacked(text, signature, made[:SHORT_SIGNATURE] if short else made)
    return (found[0], found[1], found[2]) if found and len(found) == 3 else None


def open_url(keyring: Keyring, base_url: str, merchant_id: int, delivery_id: int) -> str:
    """The address of a message's picture that tells that it was opened."""
    text = f"{_packed(merchant_id)}.{_packed(delivery_id)}"
    return f"{base_url}/t/o/{text}.{keyring.sign(OPEN, text)}"


def read_open_token(keyring: Keyring, token: str) -> tuple[int, int] | None:
    """(merchant, delivery) of a picture's token, or None when it is not one of ours."""
    text, _, signature = token.rpartition(".")
    found = _unpacked(text, signature, keyring.sign(OPEN, text))
    return (found[0], found[1]) if found and len(found) == 2 else None


def _packed(number: int) -> str:
    """A number in few characters."""
    digits = ""
    while number or not digits:
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def _unpacked(text: str, signature: str, made: str) -> tuple[int, ...] | None:
    if not hmac.compare_digest(made.encode(), signature.encode()):
        return None
    numbers = []
    for part in text.split("."):
        number = 0
        for digit in part:
            number = number * len(DIGITS) + DIGITS.index(digit)
        numbers.append(number)
    return tuple(numbers)
