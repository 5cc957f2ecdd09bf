"""Refusals of the gateway, and failures of the services behind it."""


class GatewayError(Exception):
    def __init__(self, code, message, kind="ISV", sub_code=None):
        super().__init__(message)
        self.code, self.message, self.kind, self.sub_code = code, message, kind, sub_code


class BusinessError(Exception):
    """Told inside a success."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def bad_token():
    return GatewayError("IllegalAccessToken", "synthetic: access token is invalid or expired")


def missing(name):
    return GatewayError("MissingParameter", f"synthetic: {name} is missing")


def wrong(message):
    return BusinessError("SYN_PARAM", f"synthetic: {message}")
