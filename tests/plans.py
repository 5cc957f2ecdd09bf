"""What PostgreSQL does for a statement."""


def scanned(node):
    """(table, kind of scan, rows) of a plan, with what the filters took away."""
    if "Relation Name" in node:
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        yield node["Relation Name"], node["Node Type"], rows
    for child in node.get("Plans", []):
        yield from scanned(child)
