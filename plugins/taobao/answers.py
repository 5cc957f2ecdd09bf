"""What the gateway answers: the shell around it, and the errors inside."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.sdk.gateways import GatewayError


class ApiError(GatewayError):
    """The gateway's `error_response`."""

    def __init__(self, api: str, code: int, sub_code: str, message: str) -> None:
        super().__init__(f"{api}: {message} ({f'{code} {sub_code}'.strip()})")
        self.api = api
        self.code = code
        self.sub_code = sub_code
        self.message = message


def unwrap(api: str, body: bytes) -> Mapping[str, Any]:
    """The content of an answer, whether simplified or not.

    Raises ApiError, and ValueError where the body is no answer at all.
    """
    answer = orjson.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")
    error = answer.get("error_response")
    if isinstance(error, dict):
        said = [error.get("msg"), error.get("sub_msg")]
        raise ApiError(
            api,
            int(error.get("code", 0)),
            str(error.get("sub_code") or ""),
            ": ".join(str(part) for part in said if part),
        )
    shells = [key for key in answer if key.endswith("_response")]
    if len(shells) == 1 and isinstance(answer[shells[0]], dict):
        content: Mapping[str, Any] = answer[shells[0]]
        return content
    return answer
