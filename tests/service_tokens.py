"""Tokens of service accounts for tests: signed by real keys, published as the API server publishes its own."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from control_api import Api

Object = dict[str, Any]
ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "tracekeeper.dev/control"
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/openid/v1/jwks"
_RSA = [rsa.generate_private_key(public_exponent=65537, key_size=2048)]


class Signer:
    """One private key, and how its public half is published."""

    def __init__(self, kid: str = "first", *, elliptic: bool = False) -> None:
        self.kid = kid
        self.algorithm = "ES256" if elliptic else "RS256"
        self.key: Any = ec.generate_private_key(ec.SECP256R1()) if elliptic else _rsa(kid)

    @property
    def published(self) -> Object:
        kind = ECAlgorithm if self.algorithm == "ES256" else RSAAlgorithm
        text = kind.to_jwk(self.key.public_key())
        return {**json.loads(text), "use": "sig", "kid": self.kid, "alg": self.algorithm}

    def sign(self, claims: Object, **header: Any) -> str:
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": self.kid, **header})

    def token(self, now: float, *, namespace: str = "shop", pod: str = "app-0", uid: str = "uid-app-0") -> str:
        """As a pod's projected volume holds it, for an hour from `now`."""
        return self.sign(claims(now, namespace=namespace, pod=pod, uid=uid))


def _rsa(kid: str) -> rsa.RSAPrivateKey:
    """They take long to make: the first is shared by all tests."""
    return _RSA[0] if kid == "first" else rsa.generate_private_key(public_exponent=65537, key_size=2048)


def claims(now: float, *, namespace: str = "shop", pod: str = "app-0", uid: str = "uid-app-0") -> Object:
    """What the API server writes into a token that is bound to a pod."""
    return {
        "aud": [AUDIENCE],
        "exp": int(now) + 3600,
        "iat": int(now),
        "nbf": int(now),
        "iss": ISSUER,
        "jti": "7a2e7f0f-1d0d-4b6e-8a65-1c9d4e8d3b55",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node-a", "uid": "uid-node-a"},
            "pod": {"name": pod, "uid": uid},
            "serviceaccount": {"name": "default", "uid": "uid-default"},
        },
        "sub": f"system:serviceaccount:{namespace}:default",
    }


def publish(api: Api, *signers: Signer, issuer: str = ISSUER) -> None:
    """Have the API server tell of these keys, and of no others."""
    about = {"issuer": issuer, "jwks_uri": "https://192.0.2.1:6443/openid/v1/jwks"}
    api.documents[DISCOVERY] = ("application/json", about)
    api.documents[JWKS] = ("application/jwk-set+json", {"keys": [signer.published for signer in signers]})
