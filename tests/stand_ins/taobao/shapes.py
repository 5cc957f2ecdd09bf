"""How the gateway writes its answers."""

from datetime import timedelta, timezone

GMT8 = timezone(timedelta(hours=8))
FORMAT = "%Y-%m-%d %H:%M:%S"


def at(moment):
    """An instant as the platform writes it."""
    return moment.astimezone(GMT8).strftime(FORMAT)


class Items(list):
    """A list; `element` is the key that it stands under inside its own."""

    def __init__(self, element, items=()):
        super().__init__(items)
        self.element = element


def written(value, simplify):
    """The value as JSON has it: a list without anything in it is left out."""
    if isinstance(value, dict):
        return {
            key: written(one, simplify)
            for key, one in value.items()
            if not (isinstance(one, Items) and not one)
        }
    if isinstance(value, Items):
        items = [written(one, simplify) for one in value]
        return items if simplify else {value.element: items}
    return value


def shell(method):
    """The key of an answer."""
    return method.removeprefix("taobao.").replace(".", "_") + "_response"


def only(row, fields):
    """What was asked for of a row."""
    return {key: value for key, value in row.items() if key in fields}
