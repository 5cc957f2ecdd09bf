"""Refusals of the gateway and of the services behind it."""


class TopError(Exception):
    def __init__(self, code, message, sub_code=None, sub_message=None):
        super().__init__(message)
        self.body = {"code": code, "msg": message}
        if sub_code is not None:
            self.body["sub_code"] = sub_code
        if sub_message is not None:
            self.body["sub_msg"] = sub_message


def missing(name):
    return TopError(40, "Missing required arguments", f"isv.missing-parameter:{name}")


def invalid(name):
    return TopError(41, "Invalid arguments", f"isv.invalid-parameter:{name}")


def forbidden():
    return TopError(11, "Insufficient isv permissions", "isv.invalid-permission")


def no_such(thing):
    return TopError(15, "Remote service error", f"isv.{thing}-not-exist")


def bad_session(sub_code="invalid-sessionkey"):
    return TopError(27, "Invalid session", sub_code)
