"""The rules that come with the product."""

from __future__ import annotations

from tracekeeper_spec.alert.budget_rules import budget_rules
from tracekeeper_spec.alert.build import Site
from tracekeeper_spec.alert.compiled import AlertRule
from tracekeeper_spec.alert.envelope import Envelope
from tracekeeper_spec.alert.operator_rules import operator_rules as operator_rules
from tracekeeper_spec.alert.pipeline import pipeline_rules
from tracekeeper_spec.alert.section import BuiltIn, Group, Rule
from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.detect import Detector

_BY_AGENT = (Group.SERVICE, Group.AGENT)
_BY_MODEL = (Group.SERVICE, Group.MODEL)
_TRUNCATED = "truncated_rate > 0.1 || (truncated_rate > 0.02 && rise(truncated_rate, 24h) > 2)"
"""A jump is told long before it comes to a tenth. From none at all there is no rise at first: it alone would not do."""


def _rule(
    name: str,
    condition: str,
    window: float,
    severity: Severity = Severity.WARNING,
    *,
    group_by: tuple[Group, ...] = _BY_AGENT,
    for_: float = 0.0,
    min_samples: int = 0,
) -> Rule:
    return Rule(name, condition, None, window, for_, severity, group_by=group_by, min_samples=min_samples)


def _detected(name: str, detector: Detector) -> Rule:
    """Only where a step of type Detect looks; what a metric tells anyhow has a rule that goes by that."""
    return _rule(name, f'detections > 0 && detector == "{detector}"', 600)


AGENT_RULES = (
    _rule("ErrorRateWarning", "error_rate > 0.05", 600, min_samples=10),
    _rule("ErrorRateCritical", "error_rate > 0.1", 600, Severity.CRITICAL, min_samples=10),
    _rule("SlowOperations", "slow_rate(1s) > 0.1", 600, min_samples=10),
    _rule("HighP99Latency", "p99_latency > 10s", 300, for_=120, min_samples=10),
    _rule("CostlyConversation", "cost_per_conversation > 1.00", 600),
    _rule("TokensJump", "rise(tokens_per_request, 24h) > 2", 600, min_samples=50),
    _rule("AnswersLonger", "rise(output_tokens_per_call, 24h) > 1.2", 3600, group_by=_BY_MODEL, min_samples=50),
    _rule("AnswersTruncated", _TRUNCATED, 600, group_by=_BY_MODEL, min_samples=20),
    _rule("ResponseModelChanged", "model_changes > 0", 600, Severity.INFO, group_by=_BY_MODEL),
    _rule("FanOut", "calls_per_request > 100", 600),
    _detected("AgentLoop", Detector.LOOP),
    _detected("ContextExplosion", Detector.CONTEXT_EXPLOSION),
    _detected("TokenRunaway", Detector.TOKEN_RUNAWAY),
    _detected("ToolFailures", Detector.TOOL_FAILURES),
    _detected("HandoffPingPong", Detector.HANDOFF_PING_PONG),
    _detected("UndeclaredHandoff", Detector.UNDECLARED_HANDOFF),
    _rule("AgentsSilent", "span_rate == 0", 900, group_by=(), for_=300),
    _rule("UnpricedCalls", "unpriced_calls > 0", 3600, Severity.INFO, group_by=_BY_MODEL),
)

_PAGES = {"ErrorRateWarning": "ErrorRate", "ErrorRateCritical": "ErrorRate"}


def agent_rules(chosen: BuiltIn) -> tuple[Rule, ...]:
    """Those about agents, as somebody could have written them."""
    return AGENT_RULES if chosen in (BuiltIn.ALL, BuiltIn.AGENTS) else ()


def ready_rules(chosen: BuiltIn, budgets: tuple[Budget, ...], site: Site, envelope: Envelope) -> tuple[AlertRule, ...]:
    """The others: about budgets and the pipeline."""
    about_agents = budget_rules(budgets, site, envelope) if chosen in (BuiltIn.ALL, BuiltIn.AGENTS) else ()
    about_pipeline = pipeline_rules(site, envelope) if chosen in (BuiltIn.ALL, BuiltIn.PIPELINE) else ()
    return (*about_agents, *about_pipeline)


def runbook(name: str) -> str:
    """The page in docs/runbooks about the rule of that name; empty for a rule that is not ours."""
    return _PAGES.get(name, name) if any(rule.name == name for rule in AGENT_RULES) else ""
