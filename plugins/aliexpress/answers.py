"""What the gateway answers: the shells around it, and the errors inside."""

from typing import Any

import orjson

from core.sdk.answers import Row
from core.sdk.gateways import GatewayError


class ApiError(GatewayError):
    """The gateway's refusal, or one of the service behind it where `business`."""

    def __init__(self, api: str, code: str, message: str, kind: str = "", business: bool = False):
        super().__init__(f"{api}: {message or 'no reason given'} ({code or 'no code'})")
        self.api = api
        self.code = code
        self.kind = kind
        self.message = message
        self.business = business


SUCCEEDED = ("success", "result_success", "is_success")


def unwrap(api: str, body: bytes) -> Row:
    """The content of an answer, in any of the shells that it comes in.

    Raises ApiError, and ValueError where the body is no answer at all.
    """
    answer = orjson.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")
    error = answer.get("error_response")
    if isinstance(error, dict):
        raise _error(api, error, "msg")
    # calls by path have no shell: what went wrong stands beside what did not
    if str(answer.get("code") or "0") != "0" and ("message" in answer or "type" in answer):
        raise _error(api, answer, "message")
    for key, value in answer.items():
        if key.endswith("_response") and isinstance(value, dict):
            answer = value
            break
    _check(api, answer)
    result = answer.get("result")
    if isinstance(result, dict):
        _check(api, result)
        return result
    return answer


def _error(api: str, error: Row, message: str) -> ApiError:
    said = [error.get(message), error.get("sub_msg")]
    # the sub-code tells more where there is one
    code = error.get("sub_code") or error.get("code")
    return ApiError(
        api, str(code or ""), ": ".join(str(part) for part in said if part),
        str(error.get("type") or ""),
    )  # fmt: skip


def _check(api: str, content: Row) -> None:
    """The service's own word: a success of the gateway may be a failure."""
    for name in SUCCEEDED:
        if str(content.get(name, True)).lower() == "false":
            reason: Any = content.get("error_message") or content.get("error_msg") or ""
            raise ApiError(api, str(content.get("error_code") or ""), str(reason), business=True)
