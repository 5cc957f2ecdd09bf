"""What delivery services push, signed as each signs it, and forged pushes."""

import base64
import hmac
import json
from dataclasses import replace
from datetime import datetime, timedelta

import httpx2
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from core.app import create_app
from core.domain.campaigns.links import message_key
from core.domain.shops.web_routes import route_url
from core.registry import Owned
from core.sdk import RetryLater
from plugins.email.plugin import plugin
from plugins.email.settings import EmailSettings
from plugins.email.verp import tag
from plugins.email.webhooks import sns
from tests.provider_kit import rows
from tests.sending_kit import add_customers, make_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.audience import plan_run
from core.domain.shops import plugins as shop_plugins

BASE = "https://crm.example"
TOPIC = "arn:aws:sns:us-east-1:123456789012:email"
CERTIFICATE = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"
SENDGRID = ec.generate_private_key(ec.SECP256R1())
AMAZON = rsa.generate_private_key(65537, 2048)
SVIX_SECRET = base64.b64encode(b"0123456789abcdef01234567").decode()
SETTINGS = {"from_address": "shop@example.com", "providers": [
    {"kind": "ses", "region": "us-east-1", "access_key_id": "A", "secret_access_key": "s",
     "topic_arns": [TOPIC]},
    {"kind": "sendgrid", "api_key": "k", "webhook_key": base64.b64encode(
        SENDGRID.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()},
    {"kind": "mailgun", "domain": "mg.example.com", "api_key": "k", "webhook_signing_key": "mgkey"},
    {"kind": "postmark", "server_token": "t", "webhook_username": "hook",
     "webhook_password": "right"},
    {"kind": "resend", "api_key": "k", "webhook_secret": f"whsec_{SVIX_SECRET}"},
]}  # fmt: skip
