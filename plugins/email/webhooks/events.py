"""What the services' events mean, each in its own words. Events that say nothing new are left out.

Keys come as `verp.tag` made them. Refused is raised by none of these: what is not understood is
passed over, since services add kinds of events when they like.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.sdk import DeliveryReceipt, ReceiptStatus, Reply
from plugins.email.bounces.causes import cause_of, receipt_of
from plugins.email.verp import key_of_tag

News = DeliveryReceipt | Reply
Event = Mapping[str, Any]

LABEL = "huike_key"
DETAIL_LIMIT = 1_000


def of_ses(event: Event, message_id: str, provider: str, now: datetime) -> Iterator[News]:
    """An event of SES as SNS brings it; `message_id` is that of SNS."""
    mail = _map(event.get("mail"))
    tags = _map(mail.get("tags")).get("huike")
    key = key_of_tag(str(tags[0])) if isinstance(tags, list) and tags else None
    kind = event.get("eventType") or event.get("notificationType")
    part = _map(event.get(str(kind).lower()))
    at = _iso(part.get("timestamp"), now)

    def receipt(status: ReceiptStatus, of_person: bool = False, detail: str = "") -> News:
        return _receipt(f"{provider}:{message_id}", status, at, key, mail.get("messageId"),
                        provider, of_person, detail)  # fmt: skip

    match kind:
        case "Delivery":
            yield receipt("delivered", detail=str(part.get("smtpResponse", "")))
        case "Bounce":
            people = part.get("bouncedRecipients")
            person = _map(people[0]) if isinstance(people, list) and people else {}
            words = str(person.get("diagnosticCode", ""))
            told, of_person = _of_ses_bounce(part, person, words)
            kinds = f"{part.get('bounceType')} {part.get('bounceSubType')}"
            yield receipt(told, of_person, f"{kinds}: {words}")
        case "Complaint":
            yield receipt("complained", detail=str(part.get("complaintFeedbackType", "")))
        case "Reject":
            yield receipt("bounced", detail=str(part.get("reason", "")))
        case "DeliveryDelay":
            yield receipt("accepted", detail=str(part.get("delayType", "")))
        case _:
            pass


def _of_ses_bounce(part: Event, person: Event, words: str) -> tuple[ReceiptStatus, bool]:
    match part.get("bounceType"), part.get("bounceSubType"):
        case "Permanent", "General" | "NoEmail":
            cause = cause_of(str(person.get("status", "")), words)
            # SES itself says that it is permanent, so what its words leave open is the person's
            return receipt_of("hard" if cause == "soft" or not words else cause)
        case "Permanent", "Suppressed" | "OnAccountSuppressionList":
            return "bounced", True
        case "Transient", _:
            return "undelivered", False
        case _:
            return "bounced", False


def of_sendgrid(event: Event, provider: str, now: datetime) -> Iterator[News]:
    """One entry of the array that the event webhook posts."""
    key = key_of_tag(str(event.get(LABEL, "")))
    name = f"{provider}:{event.get('sg_event_id')}"
    # the id that the call was answered with is the part before the first dot
    message_id = str(event.get("sg_message_id", "")).partition(".")[0] or None
    at = _unix(event.get("timestamp"), now)
    words = str(event.get("reason") or event.get("response") or "")

    def receipt(status: ReceiptStatus, of_person: bool = False) -> News:
        return _receipt(name, status, at, key, message_id, provider, of_person, words)

    match event.get("event"):
        case "delivered":
            yield receipt("delivered")
        case "deferred":
            yield receipt("accepted")
        case "bounce":
            if event.get("type") == "blocked":
                cause = cause_of(str(event.get("status", "")), words)
                yield receipt("undelivered" if cause == "soft" else "bounced")
            else:
                yield receipt(*receipt_of(cause_of(str(event.get("status", "")), words)))
        case "dropped":
            known = any(one in words.lower() for one in ("bounced address", "invalid"))
            yield receipt("bounced", known)
        case "spamreport":
            yield receipt("complained")
        case "unsubscribe" | "group_unsubscribe":
            yield Reply(name, str(event.get("email", "")), "unsubscribe", at, key, message_id, True)
        case _:
            pass


def of_mailgun(event: Event, name: str, provider: str, now: datetime) -> Iterator[News]:
    """The `event-data` of a webhook; `name` is the event's key."""
    key = key_of_tag(str(_map(event.get("user-variables")).get(LABEL, "")))
    headers = _map(_map(event.get("message")).get("headers"))
    message_id = str(headers.get("message-id", "")) or None
    at = _unix(event.get("timestamp"), now)
    status = _map(event.get("delivery-status"))
    words = str(status.get("message") or status.get("description") or event.get("reason") or "")

    def receipt(told: ReceiptStatus, of_person: bool = False) -> News:
        return _receipt(name, told, at, key, message_id, provider, of_person, words)

    match event.get("event"), event.get("severity"):
        case "delivered", _:
            yield receipt("delivered")
        case "failed", "temporary":
            yield receipt("accepted")
        case "failed", _:
            if event.get("reason") == "suppress-bounce":
                yield receipt("bounced", True)
            else:
                code = str(status.get("enhanced-code") or status.get("code") or "")
                told, of_person = receipt_of(cause_of(code, f"{status.get('code')} {words}"))
                yield receipt(told, of_person)
        case "complained", _:
            yield receipt("complained")
        case "rejected", _:
            yield receipt("bounced")
        case "unsubscribed", _:
            sender = str(event.get("recipient", ""))
            yield Reply(name, sender, "unsubscribe", at, key, message_id, True)
        case _:
            pass


_POSTMARK_HARD = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
_POSTMARK_SOFT = frozenset({"Transient", "SoftBounce", "DnsError", "AddressChange", "Unknown"})
_POSTMARK_NONE = frozenset({"AutoResponder", "ChallengeVerification", "Subscribe", "OpenRelayTest"})


def of_postmark(event: Event, provider: str, now: datetime) -> Iterator[News]:
    """The body of a webhook."""
    kind, bounce = event.get("RecordType"), str(event.get("Type", ""))
    key = key_of_tag(str(_map(event.get("Metadata")).get(LABEL, "")))
    message_id = str(event.get("MessageID") or "") or None
    at = _iso(event.get("BouncedAt") or event.get("DeliveredAt") or event.get("ChangedAt"), now)
    name = f"{provider}:{kind}:{message_id}:{event.get('ID', '')}"
    words = str(event.get("Details") or event.get("Description") or "")

    def receipt(status: ReceiptStatus, of_person: bool = False) -> News:
        return _receipt(name, status, at, key, message_id, provider, of_person, words)

    match kind:
        case "Delivery":
            yield receipt("delivered")
        case "SpamComplaint":
            yield receipt("complained")
        case "Bounce" if bounce in ("SpamComplaint",):
            yield receipt("complained")
        case "Bounce" if bounce in _POSTMARK_HARD:
            yield receipt("bounced", True)
        case "Bounce" if bounce in _POSTMARK_SOFT:
            yield receipt("undelivered")
        case "Bounce" if bounce not in (*_POSTMARK_NONE, "Unsubscribe"):
            yield receipt("bounced")
        case "SubscriptionChange":
            refused = event.get("SuppressSending") and event.get("Origin") == "Recipient"
            if refused and event.get("SuppressionReason") == "ManualSuppression":
                sender = str(event.get("Recipient", ""))
                yield Reply(f"{name}:{event.get('ChangedAt')}", sender, "unsubscribe", at, key,
                            message_id, True)  # fmt: skip
        case _:
            pass


def of_resend(event: Event, message_id: str, provider: str, now: datetime) -> Iterator[News]:
    """The body of a webhook; `message_id` is that of Svix."""
    data = _map(event.get("data"))
    tags = data.get("tags")
    if isinstance(tags, Sequence) and not isinstance(tags, str):
        tags = {one.get("name"): one.get("value") for one in tags if isinstance(one, Mapping)}
    key = key_of_tag(str(_map(tags).get(LABEL, "")))
    at = _iso(event.get("created_at"), now)
    bounce = _map(data.get("bounce"))
    words = str(bounce.get("message", ""))

    def receipt(status: ReceiptStatus, of_person: bool = False) -> News:
        return _receipt(f"{provider}:{message_id}", status, at, key, data.get("email_id"),
                        provider, of_person, words)  # fmt: skip

    match event.get("type"):
        case "email.delivered":
            yield receipt("delivered")
        case "email.delivery_delayed":
            yield receipt("accepted")
        case "email.bounced":
            kinds = {"bounceType": bounce.get("type"), "bounceSubType": bounce.get("subType")}
            yield receipt(*_of_ses_bounce(kinds, {}, words))
        case "email.failed":
            yield receipt("bounced")
        case "email.complained":
            yield receipt("complained")
        case _:
            pass


def _receipt(
    name: str,
    status: ReceiptStatus,
    at: datetime,
    key: str | None,
    provider_id: Any,
    provider: str,
    of_person: bool,
    detail: str,
) -> DeliveryReceipt:
    return DeliveryReceipt(
        name, status, at, key=key, provider_id=str(provider_id) if provider_id else None,
        provider=provider, of_person=of_person, detail=detail[:DETAIL_LIMIT] or None,
    )  # fmt: skip


def _map(value: Any) -> Event:
    return value if isinstance(value, Mapping) else {}


def _iso(value: Any, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return now
    return min(at.replace(tzinfo=UTC) if at.tzinfo is None else at, now)


def _unix(value: Any, now: datetime) -> datetime:
    try:
        return min(datetime.fromtimestamp(float(value), UTC), now)
    except (TypeError, ValueError, OverflowError, OSError):
        return now
