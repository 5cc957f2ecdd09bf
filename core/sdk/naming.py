"""How names are written over the API."""


def camel(name: str) -> str:
    """order_count -> orderCount."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
