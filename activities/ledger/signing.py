"""The key that signs checkpoints of the audit, and the public keys that check them: Ed25519."""

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

HOW_TO = "`openssl genpkey -algorithm ed25519 -out audit-key.pem` makes one"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class PublicKey:
    """Tells whether a signature is that of the one private key it belongs to."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes_raw()

    @property
    def text(self) -> str:
        """The key as settings hold it: base64 of its 32 bytes."""
        return base64.b64encode(self.raw).decode()

    @property
    def name(self) -> str:
        """A short name of the key, by which a checkpoint says who signed it."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"PublicKey({self.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is this key's, and of this message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private key; it shows in no `repr`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.name})"

    def sign(self, message: bytes) -> bytes:
        """Give the signature of a message, 64 bytes."""
        return self._key.sign(message)


def signing_key_of(text: str) -> SigningKey:
    """Read a private key out of PEM (PKCS #8, not encrypted); raises ValueError, which never holds any of the text."""
    try:
        key = load_pem_private_key(text.strip().encode() + b"\n", password=None)
    except (ValueError, TypeError):
        raise ValueError(f"is no private key in PEM without a password: {HOW_TO}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"is not an Ed25519 key: {HOW_TO}")
    return SigningKey(key)


def public_keys_of(text: str) -> tuple[PublicKey, ...]:
    """Read public keys: blocks of PEM, or base64 of 32 bytes, apart by blanks, commas or lines; raises ValueError."""
    blocks = [_public(block[0]) for block in _PEM.finditer(text)]
    words = _PEM.sub(" ", text).replace(",", " ").split()
    return (*blocks, *map(_raw_public, words))


def _public(block: str) -> PublicKey:
    try:
        key = load_pem_public_key(block.encode())
    except (ValueError, TypeError):
        raise ValueError("a block of PEM is no public key; a private key does not belong there") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a public key is not of Ed25519")
    return PublicKey(key)


def _raw_public(word: str) -> PublicKey:
    try:
        raw = base64.b64decode(word, validate=True)
        return PublicKey(Ed25519PublicKey.from_public_bytes(raw))
    except (ValueError, binascii.Error):
        raise ValueError("a public key is base64 of 32 bytes, as `orchestrator audit key` shows it, or PEM") from None
