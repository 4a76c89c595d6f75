"""What people read when an alert is told: templates of Alertmanager 0.25 and later, by its Go templates' rules.

They say what fired, where, how bad it is, since when, who the top offenders are, and where the traces and the runbook
are: what rules put into their annotations (`tracekeeper_spec.alert`). An application names its agents itself, so for
Slack `<`, `>` and `&` are written as entities: an agent called `<!channel>` calls nobody. In HTML, Alertmanager does
that itself.

A Prometheus operator's AlertmanagerConfig has no templates of its own, and takes the texts as they stand in TEXTS. In a
plain alertmanager.yml, they are defined once (`definitions`) and called by name (`call`).
"""

from __future__ import annotations

from collections.abc import Mapping

SHOWN = 10
"""Alerts of one group that are told one by one; the rest are counted."""

PLACES = ("namespace", "service", "agent", "workflow", "model", "provider", "tool")
"""Labels that say where it is, in the order in which they are read."""

_TIME = '.UTC.Format "2006-01-02 15:04:05 MST"'
_FIRING = '{{ if eq .Status "firing" }}FIRING{{ with len .Alerts.Firing }}:{{ . }}{{ end }}{{ else }}RESOLVED{{ end }}'
_TITLE = (
    f"[{_FIRING}] {{{{ .CommonLabels.alertname }}}}"
    "{{ with .CommonLabels.namespace }} in {{ . }}{{ end }}{{ with .CommonLabels.severity }} ({{ . }}){{ end }}"
)
_SLACK = '| reReplaceAll "&" "&amp;" | reReplaceAll "<" "&lt;" | reReplaceAll ">" "&gt;"'
_URL = '| reReplaceAll "[<>| ]" "%20"'


def _where(before: str, after: str, pipe: str = "") -> str:
    """`namespace shop, agent planner`: of an alert."""
    first, *rest = PLACES
    parts = [f"{{{{ with .Labels.{first} }}}}{first} {before}{{{{ . {pipe} }}}}{after}{{{{ end }}}}"]
    parts += [f"{{{{ with .Labels.{name} }}}}, {name} {before}{{{{ . {pipe} }}}}{after}{{{{ end }}}}" for name in rest]
    return "".join(parts)


_SINCE = f'{{{{ .StartsAt{_TIME} }}}}{{{{ if eq .Status "resolved" }}}} until {{{{ .EndsAt{_TIME} }}}}{{{{ end }}}}'


def _each(body: str, more: str) -> str:
    """`body` for each of the first SHOWN alerts, and `more` after them if there are others."""
    loop = f"{{{{ range $index, $alert := .Alerts }}}}{{{{ if lt $index {SHOWN} }}}}{body}{{{{ end }}}}{{{{ end }}}}"
    return f"{loop}{{{{ if gt (len .Alerts) {SHOWN} }}}}{more}{{{{ end }}}}"


_MORE = f"The first {SHOWN} of {{{{ len .Alerts }}}}; Alertmanager shows them all: {{{{ .ExternalURL }}}}\n"

_TEXT = _each(
    "{{ with .Annotations.summary }}{{ . }}\n{{ end }}"
    "{{ with .Annotations.description }}{{ . }}\n{{ end }}"
    f"Where: {_where('', '')}\n"
    "{{ with .Labels.severity }}Severity: {{ . }}\n{{ end }}"
    f"Since: {_SINCE}\n"
    "{{ with .Annotations.top }}Most of it: {{ . }}\n{{ end }}"
    "{{ with .Annotations.trace_url }}Traces: {{ . }}\n{{ end }}"
    "{{ with .Annotations.runbook_url }}Runbook: {{ . }}\n{{ end }}\n",
    _MORE,
)

_SLACK_TEXT = _each(
    f"{{{{ with .Annotations.summary }}}}*{{{{ . {_SLACK} }}}}*\n{{{{ end }}}}"
    f"{{{{ with .Annotations.description }}}}{{{{ . {_SLACK} }}}}\n{{{{ end }}}}"
    f"*Where:* {_where('', '', _SLACK)}\n"
    "{{ with .Labels.severity }}*Severity:* {{ . }}\n{{ end }}"
    f"*Since:* {_SINCE}\n"
    f"{{{{ with .Annotations.top }}}}*Most of it:* {{{{ . {_SLACK} }}}}\n{{{{ end }}}}"
    f"{{{{ with .Annotations.trace_url }}}}<{{{{ . {_URL} }}}}|Traces> {{{{ end }}}}"
    f"{{{{ with .Annotations.runbook_url }}}}<{{{{ . {_URL} }}}}|Runbook>{{{{ end }}}}\n\n",
    _MORE,
)

_ROW = '<tr><td style="padding-right:1em">{}</td><td>{}</td></tr>'
_HTML = f"<h3>{_TITLE}</h3>" + _each(
    "<p>{{ with .Annotations.summary }}<b>{{ . }}</b><br>{{ end }}{{ .Annotations.description }}</p><table>"
    + _ROW.format("Where", _where("<b>", "</b>"))
    + _ROW.format("Severity", "{{ .Labels.severity }}")
    + _ROW.format("Since", _SINCE)
    + "{{ with .Annotations.top }}"
    + _ROW.format("Most of it", "{{ . }}")
    + "{{ end }}</table><p>"
    + '{{ with .Annotations.trace_url }}<a href="{{ . }}">Traces</a> {{ end }}'
    + '{{ with .Annotations.runbook_url }}<a href="{{ . }}">Runbook</a>{{ end }}</p>',
    f"<p>The first {SHOWN} of {{{{ len .Alerts }}}}; "
    '<a href="{{ .ExternalURL }}">Alertmanager</a> shows them all.</p>',
)

TITLE, TEXT, HTML = "tracekeeper.title", "tracekeeper.text", "tracekeeper.html"
SLACK_TEXT, SLACK_COLOR = "tracekeeper.slack.text", "tracekeeper.slack.color"
LINK = "tracekeeper.link"
SEVERITY, PRIORITY = "tracekeeper.severity", "tracekeeper.priority"
WHERE, TOP = "tracekeeper.where", "tracekeeper.top"
TRACES, RUNBOOK = "tracekeeper.traces", "tracekeeper.runbook"

TEXTS: Mapping[str, str] = {
    TITLE: _TITLE,
    TEXT: _TEXT,
    HTML: _HTML,
    SLACK_TEXT: _SLACK_TEXT,
    LINK: "{{ with .CommonAnnotations.trace_url }}{{ . }}{{ else }}{{ .ExternalURL }}{{ end }}",
    SLACK_COLOR: '{{ if eq .Status "firing" }}{{ if eq .CommonLabels.severity "critical" }}danger{{ else }}warning'
    "{{ end }}{{ else }}good{{ end }}",
    # What PagerDuty takes besides: error.
    SEVERITY: '{{ with .CommonLabels.severity }}{{ if match "^(critical|warning|info)$" . }}{{ . }}{{ else }}error'
    "{{ end }}{{ else }}error{{ end }}",
    PRIORITY: '{{ if eq .CommonLabels.severity "critical" }}P1{{ else if eq .CommonLabels.severity "warning" }}P3'
    "{{ else }}P5{{ end }}",
    WHERE: f"{{{{ range $index, $alert := .Alerts }}}}{{{{ if lt $index {SHOWN} }}}}{_where('', '')}; "
    "{{ end }}{{ end }}",
    TOP: "{{ with .CommonAnnotations.top }}{{ . }}{{ end }}",
    TRACES: "{{ with .CommonAnnotations.trace_url }}{{ . }}{{ end }}",
    RUNBOOK: "{{ with .CommonAnnotations.runbook_url }}{{ . }}{{ end }}",
}
"""Name of a text to the template itself."""

DETAILS: Mapping[str, str] = {
    "what": TEXT,
    "where": WHERE,
    "top": TOP,
    "traces": TRACES,
    "runbook": RUNBOOK,
}
"""Of PagerDuty and OpsGenie: a detail's name to the name of its text."""


def definitions() -> str:
    """A file of templates, for Alertmanager's `templates`."""
    return "".join(f'{{{{ define "{name}" }}}}{text}{{{{ end }}}}\n' for name, text in TEXTS.items())


def call(name: str) -> str:
    """The template that gives the text `name`, where the file of `definitions` is loaded."""
    return f'{{{{ template "{name}" . }}}}'
