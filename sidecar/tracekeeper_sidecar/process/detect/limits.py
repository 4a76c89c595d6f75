"""From which numbers on detectors report, as the pass over spans wants them."""

from __future__ import annotations

from tracekeeper_sidecar.wire.detect_found import NEVER, Limits
from tracekeeper_spec.detect import Detect, Detector


def limits_of(spec: Detect) -> Limits:
    """Those of `spec`; NEVER for what is off."""

    def on(detector: Detector, limit: int | None) -> int:
        return NEVER if limit is None or detector in spec.disabled else limit

    return Limits(
        repeats=on(Detector.LOOP, spec.loop.repeats),
        repeats_unknown=on(Detector.LOOP, spec.loop.without_arguments),
        context=on(Detector.CONTEXT_EXPLOSION, spec.context.tokens),
        context_thousandths=round(spec.context.times * 1000),
        context_calls=spec.context.calls,
        tokens=on(Detector.TOKEN_RUNAWAY, spec.tokens.per_trace),
        tokens_per_minute=on(Detector.TOKEN_RUNAWAY, spec.tokens.per_minute),
        failures=on(Detector.TOOL_FAILURES, spec.tool_failures.consecutive),
        failed_share=round(spec.tool_failures.share * 1000),
        failed_calls=on(Detector.TOOL_FAILURES, spec.tool_failures.calls),
        ping_pong=on(Detector.HANDOFF_PING_PONG, spec.ping_pong.handoffs),
        undeclared=on(Detector.UNDECLARED_HANDOFF, 1),
        fan_out=on(Detector.FAN_OUT, spec.fan_out.calls),
        model=on(Detector.RESPONSE_MODEL_CHANGED, 1),
        cut_off=on(Detector.ANSWER_CUT_OFF, spec.cut_off.answers),
        short_answer=spec.cut_off.output_tokens,
        failures_at_end=on(Detector.TOOL_FAILURES, max(2, -(-4 * spec.tool_failures.consecutive // 5))),
    )
