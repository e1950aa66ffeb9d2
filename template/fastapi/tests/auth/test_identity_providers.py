"""Tokens as well-known identity providers document them; the other runtime has the same rows and verdicts."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.auth.jwt import JwtAuth
from app.auth.user import User
from tests.auth.test_jwt import UNAUTHORIZED, Provider, answer_of, provider, settings

PROVIDERS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "support" / "identity-providers.json").read_text("utf-8")
)
ROWS = [(row, token) for row in PROVIDERS for token in row["tokens"]]
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
TO_JWK: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
__all__ = ["provider"]


def key_set(algorithm: str, named: bool) -> dict[str, Any]:
    """Return keys as providers publish them: one that signs, and one for encryption."""
    public = TO_JWK[algorithm].to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    public.pop("key_ops", None)
    signing = {**public, "kid": "one", "use": "sig", **({"alg": algorithm} if named else {})}
    return {"keys": [{**public, "kid": "one", "use": "enc", "alg": "RSA-OAEP"}, signing]}


@pytest.mark.parametrize(("row", "token"), ROWS, ids=[f"{row['name']}: {token['title']}" for row, token in ROWS])
def test_a_documented_token(
    provider: Provider, caplog: pytest.LogCaptureFixture, row: dict[str, Any], token: dict[str, Any]
) -> None:
    algorithm = row["alg"]
    provider.body = json.dumps(key_set(algorithm, named=not row.get("unnamed"))).encode()
    parties = {"AUTH_AUTHORIZED_PARTIES": row["parties"]} if "parties" in row else {}
    environment = {**row["environment"], **parties, "AUTH_JWKS_URL": provider.url}
    auth = JwtAuth(settings(**{name.lower(): value for name, value in environment.items()}))
    claims = {"iat": int(time.time()), "exp": int(time.time()) + 60, **token["claims"]}
    signed = jwt.encode(claims, KEYS[algorithm], algorithm=algorithm, headers={"kid": "one"})

    with caplog.at_level("INFO", logger="app.billing"):
        answer = answer_of(auth, signed)

    if token["refused"] is None:
        assert isinstance(answer, User)
        assert answer.id == claims["sub"]
        return
    assert answer == UNAUTHORIZED
    assert [json.loads(line) for line in caplog.messages] == [{"event": "token_refused", "claim": token["refused"]}]
