"""The schema of the section `metrics`."""

from __future__ import annotations

from tracekeeper_spec.metering import Metering, Push, Pushgateway, PushHeader, PushOtlp, PushType, StatsD
from tracekeeper_spec.schema import Choice, Duration, Field, ListOf, Object, Text, Union
from tracekeeper_spec.texts import DNS_LABEL, ENDPOINT, HEADER_NAME, HEADER_VALUE


def _look_at_port(text: str) -> tuple[str, str] | None:
    host, _, port = text.rpartition(":")
    if (
        host
        and not host.startswith("[")
        and not all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    ):
        return "has a part between dots that is empty, or longer than 63 characters", ""
    if port.isdecimal() and int(port) > 65535:
        return f"names the port {port}, and there is none above 65535", ""
    return None


HOST_PORT = Text(
    259,
    r"^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}$",
    "a host and a port, such as statsd.obs:8125",
    look=_look_at_port,
)
PREFIX = Text(64, r"^([A-Za-z][A-Za-z0-9_.]*)?$", "letters, digits, dots and underscores", min_length=0)

PUSHGATEWAY = Object(
    Pushgateway,
    (
        Field(
            "endpoint",
            ENDPOINT,
            "Base URL. Each pod is a group of its own there (`/metrics/job/tracekeeper/namespace/…/pod/…`), which the "
            "next sidecar of the namespace removes an hour after its last push; scrape it with `honor_labels: true`.",
            required=True,
        ),
    ),
)

OTLP = Object(
    PushOtlp,
    (
        Field(
            "endpoint",
            ENDPOINT,
            "Base URL of a receiver of OTLP over HTTP (protobuf), to which `/v1/metrics` is appended.",
            required=True,
        ),
        Field(
            "headers",
            ListOf(
                Object(
                    PushHeader,
                    (
                        Field("name", HEADER_NAME, "Name of the header.", required=True),
                        Field("value", HEADER_VALUE, "The value; nothing secret.", required=True),
                    ),
                ),
                8,
                unique="name",
            ),
            "Headers sent with every request.",
            default=[],
        ),
    ),
)

STATSD = Object(
    StatsD,
    (
        Field(
            "endpoint",
            HOST_PORT,
            "Host and UDP port of a server that understands DogStatsD's tags. Counters are sent as what was added "
            "since the last push; of histograms the number and the sum.",
            required=True,
        ),
        Field("prefix", PREFIX, "Put before every name, for example `agents.`.", default=""),
    ),
)

PUSH = Object(
    Push,
    (
        Field("name", DNS_LABEL, "Name of the push, in metrics and logs.", required=True),
        Field("type", Choice(PushType), "What is spoken there.", required=True),
        Field(
            "interval",
            Duration("10s", "1h"),
            "Time between two pushes. One more is made when the pod ends, and takes 2 s of its grace at most.",
            default="1m",
        ),
        Field("pushgateway", PUSHGATEWAY, "For `type: Pushgateway`."),
        Field("otlp", OTLP, "For `type: OTLP`."),
        Field("statsd", STATSD, "For `type: StatsD`."),
    ),
    union=Union("type", {"Pushgateway": "pushgateway", "OTLP": "otlp", "StatsD": "statsd"}),
)

METRICS = Object(
    Metering,
    (
        Field(
            "push",
            ListOf(PUSH, 4, unique="name"),
            "Where sidecars send their metrics, for pods that end before they are scraped. What is pushed and scraped, "
            "too, is there twice.",
            default=[],
        ),
    ),
)
