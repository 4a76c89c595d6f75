"""The declaration of `spec.sampling`; see `fields`, of which it is a part."""

from __future__ import annotations

from tracekeeper_spec import sampling_checks as checks
from tracekeeper_spec.sampling import Adaptive, Day, DefaultType, Per, SamplingRule
from tracekeeper_spec.schema import Check, Choice, Condition, Duration, Field, Fraction, Integer, ListOf, Object, Text
from tracekeeper_spec.texts import DNS_LABEL, TIME_ZONE

_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
FROM = Text(5, f"^{_CLOCK}$", 'a time of day such as "08:00"')
TO = Text(5, f"^({_CLOCK}|24:00)$", 'a time of day such as "18:30", 24:00 at most')
GROUP = Text(128, r"^[!-~]([ -~]*[!-~])?$", "the name of an attribute, or operation")

RULE = Object(
    SamplingRule,
    (
        Field("name", DNS_LABEL, "Name of the rule, in metrics and in the ledger.", required=True),
        Field(
            "match",
            Condition(whole_trace=True),
            'Which traces the rule is for, for example `trace.status == "error"`. See the reference of the condition '
            "language.",
            required=True,
        ),
        Field(
            "probability", Fraction(0.0), "Share of these traces that is kept; `1` keeps all of them.", required=True
        ),
    ),
    checks=(
        Check(
            checks.name_is_free,
            "!has(self.name) || !(self.name in ['default', 'overload', 'max-spans', 'unknown'])",
            "default, overload, max-spans and unknown are no names for rules",
        ),
    ),
)

ENTRY = Object(
    checks.make_schedule_entry,
    (
        Field(
            "days",
            ListOf(Choice(Day), 7, min_items=1),
            "Weekdays on which the hours begin.",
            default_note="every day",
        ),
        Field("from", FROM, "When it begins, by the clock of `timeZone`.", default="00:00"),
        Field(
            "to",
            TO,
            "When it ends; a time that is not after `from` is on the next day.",
            default="24:00",
        ),
        Field("timeZone", TIME_ZONE, "Name in the IANA database, such as `Europe/Berlin`.", default="Etc/UTC"),
        Field("probability", Fraction(0.0), "Share of traces that is kept then.", required=True),
    ),
    checks=(
        Check(
            checks.days_differ,
            "!has(self.days) || self.days.all(d, self.days.exists_one(x, x == d))",
            "a day may be named only once",
        ),
    ),
)

PROBABILISTIC = Object(
    checks.make_probabilistic,
    (
        Field(
            "probability",
            Fraction(0.0),
            "Share of traces that is kept, the same ones in every pod.",
            default=1,
        ),
        Field(
            "schedule",
            ListOf(ENTRY, 16),
            "Other probabilities at some hours and weekdays; the first entry that applies counts.",
            default_note="none",
        ),
    ),
)

ADAPTIVE = Object(
    Adaptive,
    (
        Field(
            "targetTracesPerSecond",
            Fraction(0.01, 1_000_000),
            "How many traces are kept in a second, about. Rare kinds of traces keep their place: the loud ones pay.",
            default=1000,
        ),
        Field(
            "per",
            Choice(Per),
            "Whose traces share the target: those of this config's pods in each `Namespace`, or of all its pods.",
            default="Namespace",
        ),
        Field(
            "minProbability",
            Fraction(0.0),
            "No kind of traces is kept with a lower probability, whatever that makes of the target.",
            default=0.01,
        ),
        Field("maxProbability", Fraction(0.0), "No kind of traces is kept with a higher probability.", default=1),
        Field(
            "groupBy",
            ListOf(GROUP, 8),
            "What makes a kind: attributes of a trace's root or of its resource, by name, and `operation`, the root's "
            "name. At a time 500 kinds are told apart; the others are one.",
            default=["service.name"],
            default_note="`[service.name]`",
        ),
    ),
    checks=(
        Check(
            checks.probabilities_in_order,
            "(has(self.minProbability) ? self.minProbability : 0.01)"
            " <= (has(self.maxProbability) ? self.maxProbability : 1.0)",
            "minProbability must not be more than maxProbability",
        ),
        Check(
            checks.groups_differ,
            "!has(self.groupBy) || self.groupBy.all(g, self.groupBy.exists_one(x, x == g))",
            "a name may be in groupBy only once",
        ),
    ),
)

DEFAULT = Object(
    checks.make_default,
    (
        Field(
            "type",
            Choice(DefaultType),
            "`Probabilistic` keeps a fixed share of traces, `Adaptive` a fixed number in a second.",
            required=True,
        ),
        Field("probabilistic", PROBABILISTIC, "For `type: Probabilistic`: the share.", default_note="its defaults"),
        Field("adaptive", ADAPTIVE, "For `type: Adaptive`: the number, and its bounds.", default_note="its defaults"),
    ),
    checks=(
        Check(
            checks.member_suits_type,
            "(!has(self.probabilistic) || self.type == 'Probabilistic')"
            " && (!has(self.adaptive) || self.type == 'Adaptive')",
            "probabilistic goes with type Probabilistic, adaptive with type Adaptive",
        ),
    ),
)

SAMPLING = Object(
    checks.make_sampling,
    (
        Field(
            "decisionWait",
            Duration("100ms", "1h"),
            "A trace is decided when its root has ended and nothing more comes, and at the latest so long after its "
            "first span. Its spans wait on disk, not in memory. Without rules and with a fixed probability, which goes "
            "by its id alone, it is decided with its first span.",
            default="30s",
        ),
        Field(
            "rules",
            ListOf(RULE, 16, unique="name", ordered=True),
            "Which traces are kept with which probability; the first rule that matches counts.",
            default_note="none",
        ),
        Field(
            "default",
            DEFAULT,
            "What happens to traces that no rule matches.",
            default_note="they are all kept",
        ),
        Field(
            "maxSpansPerTrace",
            Integer(100, 10_000_000),
            "A trace that has so many spans is kept without waiting any longer.",
            default=100_000,
        ),
    ),
    checks=(Check(checks.tests_fit),),
)
