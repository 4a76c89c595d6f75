"""Texts of a given form: names, labels, header names, endpoints. The patterns are read alike by Python and
by RE2."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tracekeeper_spec.schedule import find_zone
from tracekeeper_spec.schema import Text

DNS_LABEL = Text(
    63,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "a name of lower-case letters, digits and dashes that starts and ends with a letter or digit",
)
DNS_SUBDOMAIN = Text(
    253,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "the name of a Kubernetes object: lower-case letters, digits, dashes and dots",
)
# Not `..` at the start: a mounted Secret uses such names itself, and a key must not lead out of a folder.
SECRET_KEY = Text(
    253,
    r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
    "the name of a key in a Secret: letters, digits, dashes, underscores and dots",
)
LABEL_KEY = Text(
    317,
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    "a label's name, such as app.kubernetes.io/name",
)
LABEL_VALUE = Text(
    63,
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
    "a label's value: letters, digits, dashes, underscores and dots",
    min_length=0,
)


def _look_at_zone(name: str) -> tuple[str, str] | None:
    # Where there is no database at all (a bare machine), no name can be checked.
    if find_zone(name) is None and find_zone("Etc/UTC") is not None:
        return "is not a time zone of the IANA database", "names are like Europe/Berlin or America/New_York"
    return None


TIME_ZONE = Text(
    64,
    r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$",
    "the name of a time zone, such as Europe/Berlin",
    look=_look_at_zone,
)
USERNAME = Text(256, r"^[!-9;-~]([ -9;-~]*[!-9;-~])?$", "a user name of printable ASCII without a colon")
HEADER_VALUE = Text(4096, r"^[!-~]([ -~]*[!-~])?$", "printable ASCII without spaces at the ends")

_OUR_HEADERS = {
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
}


def _look_at_header(name: str) -> tuple[str, str] | None:
    lower = name.lower()
    if lower in _OUR_HEADERS or lower.startswith("grpc-"):
        return f"{lower} is set by the sidecar itself", "remove it"
    if lower.endswith("-bin"):
        return "must not end with -bin: gRPC takes such headers for binary", "use another name"
    return None


def _look_at_endpoint(text: str) -> tuple[str, str] | None:
    """What keeps `text` from being an endpoint. It may hold a password, so messages do not repeat it."""
    if not re.fullmatch(r"[!-~]+", text):
        return "must be a URL of printable ASCII without spaces", ""
    scheme, found, rest = text.partition("://")
    if not found:
        hint = f"write http://{text} for plaintext or https://{text} for TLS" if "@" not in text else ""
        return "has no scheme", hint
    if scheme not in ("http", "https"):
        return "must start with http:// (plaintext) or https:// (TLS), for gRPC too", ""
    if "@" in rest:
        return "must not hold a user name or password", "use auth, with a Secret"
    if "?" in rest or "#" in rest:
        return "must not have a query or a fragment", "send keys as headers"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"is not a valid URL: {error}", ""
    if not host or port == 0 or parts.netloc.endswith(":"):
        return "must name a host, and a port from 1 to 65535 if any", "for example https://tempo.obs:4317"
    return None


HEADER_NAME = Text(128, r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of an HTTP header", look=_look_at_header)
ENDPOINT = Text(
    2048,
    r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
    "a URL that starts with http:// (plaintext) or https:// (TLS)",
    look=_look_at_endpoint,
)
