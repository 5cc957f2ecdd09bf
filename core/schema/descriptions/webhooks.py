"""Words for webhooks and their messages."""

WEBHOOKS = {
    "Webhook": {
        "name": "As staff call it.",
        "url": "Where events are posted to; https.",
        "topics": "Names of `webhookTopics`, or of your own events, with `custom.`.",
        "pausedAt": "Since when it sends nothing; null while it does.",
        "pauseReason": "Why it sends nothing; null while it does.",
        "failingSince": "Of the tries that failed one after the other, when the first was; null "
        "if none.",
    },
    "WebhookAttempt": {
        "at": "When the call began.",
    },
    "WebhookCreateInput WebhookUpdateInput": {
        "name": "As staff call it.",
    },
    "WebhookCreatePayload WebhookUpdatePayload WebhookSecretRotatePayload "
    "WebhookPausePayload WebhookResumePayload": {
        "webhook": "As it is now; null if it was refused.",
    },
    "WebhookMessage": {
        "topic": "The event's name, as `webhookTopics` has it.",
        "happenedAt": "When the event happened.",
        "state": "Whether it has arrived.",
        "endedAt": "When it arrived or was given up; null while it is PENDING.",
    },
    "WebhookMessageRedeliverPayload WebhookTestPayload": {
        "message": "The message, about to be sent; null if it was refused.",
    },
    "WebhookMessageWhere": {
        "state": "By whether it has arrived.",
        "topic": "By the event's name.",
    },
    "WebhookTopic": {
        "name": "For `topics` of webhooks, such as `order.state_changed`.",
    },
    "WebhookUpdateInput": {
        "topics": "Names of `webhookTopics`, or of your own events, with `custom.`.",
        "permissions": "What the document may read; you need them yourself.",
        "url": "An https URL; redirects are not followed.",
    },
}
