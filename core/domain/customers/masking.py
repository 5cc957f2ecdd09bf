"""How contact data is shown to who may not see it."""


def mask(value: str) -> str:
    """+8613812341234 -> 138****1234, ann@example.com -> a***@example.com."""
    local, at, domain = value.partition("@")
    if at:
        return f"{local[:1]}***@{domain}"
    if value.startswith("+86") and len(value) == 14:
        return f"{value[3:6]}****{value[-4:]}"
    return f"****{value[-4:]}" if len(value) > 7 else "****"


def mask_name(name: str) -> str:
    """张三 -> 张**."""
    return f"{name[:1]}**"


def mask_address(address: str) -> str:
    """浙江省杭州市西湖区 -> 浙江省****."""
    return f"{address[:3]}****"
