"""What the timeline of a customer shows of campaigns: the messages."""

from core.sdk.timeline import TimelineSource

TIMELINE = [
    TimelineSource(
        name="message",
        kinds={
            "message.sent": "Message by {channel} sent: {campaign}",
            "message.skipped": "No message by {channel} ({reason}): {campaign}",
            "message.failed": "Message by {channel} failed: {campaign}",
            "message.unknown": "Message by {channel}, perhaps sent: {campaign}",
        },
        sql="""SELECT COALESCE(sent_at, updated_at) AS at, 'message.' || state AS kind, id AS key,
                      'Delivery' AS object_type, id AS object_id, channel, reason, run_id
               FROM deliveries WHERE merchant_id = $1 AND customer_id = $2
                 AND state NOT IN ('pending', 'sending')""",
        data="""jsonb_build_object('channel', channel, 'reason', reason, 'campaign', (
            SELECT c.name FROM campaign_runs r
            JOIN campaigns c ON c.merchant_id = $1 AND c.id = r.campaign_id
            WHERE r.merchant_id = $1 AND r.id = run_id))""",
        permission="CAMPAIGNS_READ",
    ),
    TimelineSource(
        name="reply",
        kinds={
            "message.replied": "Reply by {channel}",
            "message.refused": "Reply by {channel}: no more messages",
        },
        sql="""SELECT at, id AS key,
                      CASE WHEN opt_out THEN 'message.refused' ELSE 'message.replied' END AS kind,
                      'Reply' AS object_type, id AS object_id, channel
               FROM inbound_messages WHERE merchant_id = $1 AND customer_id = $2""",
        data="jsonb_build_object('channel', channel)",
        permission="CAMPAIGNS_READ",
    ),
]
