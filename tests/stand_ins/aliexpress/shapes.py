"""How the gateway writes its answers and reads its times."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
FORMAT = "%Y-%m-%d %H:%M:%S"


def at(moment):
    """An instant as the platform writes it."""
    return moment.astimezone(PACIFIC).strftime(FORMAT)


def read(text, fold):
    """The instant of a time that was asked for; of an hour that comes twice, the `fold`."""
    local = datetime.strptime(text, FORMAT).replace(tzinfo=PACIFIC, fold=0)
    twice = local.astimezone(UTC) < local.replace(fold=1).astimezone(UTC)
    return (local.replace(fold=fold) if twice else local).astimezone(UTC)


class Items(list):
    """A list; `element` is the key that it stands under inside its own, where not simplified."""

    def __init__(self, element, items=()):
        super().__init__(items)
        self.element = element


def written(value, nested):
    if isinstance(value, dict):
        return {key: written(one, nested) for key, one in value.items()}
    if isinstance(value, Items):
        items = [written(one, nested) for one in value]
        return {value.element: items} if nested else items
    return at(value) if isinstance(value, datetime) else value


def shell(method):
    return method.replace(".", "_").replace("/", "_") + "_response"
