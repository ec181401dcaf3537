"""Encryption of single database values: AES-256-GCM, bound to the place where the value is stored.

A sealed value is `v1.<key id>.<base64 of nonce + ciphertext + tag>`. The place (table, primary key, column) is
authenticated with it, so a value copied to another row or column does not open. Anything that does not open raises
CannotDecrypt: never the ciphertext, never an empty value.
"""

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v1"
NONCE_LENGTH = 12


class CannotDecrypt(Exception):
    """The value was sealed with another key, for another place, or was changed."""


def key_id() -> str:
    """Eight hexadecimal characters that tell which key sealed a value, without telling the key."""
    return hashlib.sha256(b"key-id:" + settings.GATEWAY_FIELD_KEY).hexdigest()[:8]


def seal(plain: str, place: str) -> str:
    """Encrypt a text for one place, such as `proxy_provider:<uuid>:api_key`."""
    nonce = secrets.token_bytes(NONCE_LENGTH)
    sealed = AESGCM(settings.GATEWAY_FIELD_KEY).encrypt(nonce, plain.encode(), place.encode())
    return f"{VERSION}.{key_id()}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(token: str, place: str) -> str:
    """The text that was sealed for this place; raises CannotDecrypt."""
    version, _, rest = token.partition(".")
    sealed_with, _, payload = rest.partition(".")
    if version != VERSION or sealed_with != key_id():
        raise CannotDecrypt("The value was encrypted with another key. Restore SECRET_KEY or GATEWAY_ENCRYPTION_KEY.")
    try:
        data = base64.urlsafe_b64decode(payload)
        return (
            AESGCM(settings.GATEWAY_FIELD_KEY)
            .decrypt(data[:NONCE_LENGTH], data[NONCE_LENGTH:], place.encode())
            .decode()
        )
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise CannotDecrypt("The encrypted value was changed or belongs to another row.") from error
