"""Customers by ids that others know them by, several at once."""

SCOPES = """scopes (scope, scope_id, kind) AS (
    (SELECT scope, scope_id, kind FROM customer_identities WHERE merchant_id = $1
     ORDER BY scope, scope_id, kind LIMIT 1)
    UNION ALL
    SELECT following.* FROM scopes, LATERAL (
        SELECT i.scope, i.scope_id, i.kind FROM customer_identities i
        WHERE i.merchant_id = $1
          AND (i.scope, i.scope_id, i.kind) > (scopes.scope, scopes.scope_id, scopes.kind)
        ORDER BY i.scope, i.scope_id, i.kind LIMIT 1) following)"""
"""For WITH RECURSIVE: where a merchant's ids are unique, and their kinds. There are a handful, each
found by one step in the index."""

KNOWN_AS = f"""WITH RECURSIVE {SCOPES}
    SELECT k.number, found.customer_id AS id FROM {{keys}}
    JOIN scopes s ON (k.shop_id IS NULL OR (s.scope = 'shop' AND s.scope_id = k.shop_id))
                 AND (k.kind IS NULL OR s.kind = k.kind)
    CROSS JOIN LATERAL (
        SELECT i.customer_id FROM customer_identities i
        WHERE i.merchant_id = $1 AND i.scope = s.scope AND i.scope_id = s.scope_id
          AND i.kind = s.kind AND i.value = k.id LIMIT 1) found"""
"""SQL of the customers of `{keys}`, rows `k (shop_id, kind, id, number)`.

Without a shop an id of any scope counts, without a kind one of any kind.
"""
