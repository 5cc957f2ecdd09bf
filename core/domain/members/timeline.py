"""What the timeline of a customer shows of its times as a member on platforms."""

from core.sdk.timeline import TimelineSource

TIMELINE = [
    TimelineSource(
        name="platform_member",
        kinds={
            "platform_member.joined": "Joined the members of {shop}",
            "platform_member.left": "Left the members of {shop}",
        },
        sql="""SELECT e.at, e.kind, p.id * 2 + e.place AS key, 'Shop' AS object_type,
                      m.shop_id AS object_id, s.name AS shop, s.platform
               FROM platform_members m
               JOIN platform_memberships p ON p.merchant_id = $1 AND p.platform_member_id = m.id
               JOIN shops s ON s.merchant_id = $1 AND s.id = m.shop_id
               CROSS JOIN LATERAL (VALUES (0, 'platform_member.joined', p.joined_at),
                   (1, 'platform_member.left', p.left_at)) e (place, kind, at)
               WHERE m.merchant_id = $1 AND m.customer_id = $2 AND e.at >= $3""",
        data="jsonb_build_object('shop', shop, 'platform', platform)",
        permission="MEMBERS_READ",
    )
]
