"""The schema of `processors[].redact`."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_spec.backend_fields import SECRET_SOURCE
from tracekeeper_spec.redact import Action, Detector, MessageContent, OwnPattern, Redact
from tracekeeper_spec.schema import Check, Choice, Field, Finding, ListOf, Object, Text, Values
from tracekeeper_spec.texts import DNS_LABEL

MOST_PROGRAM = 20_000
"""Instructions that RE2 may make of a pattern: what repeats large things often would take the memory of many."""

KEY_PATTERNS = ("email", "password", "ssn", "credit[_. -]?card", "phone", "address", "birthday")
EXCEPT_KEYS = (
    "server.address",
    "server.socket.address",
    "destination.address",
    "network.local.address",
    "network.peer.address",
    "peer.address",
)


def _look_at_pattern(text: str) -> tuple[str, str] | None:
    # The library takes 3 MB, and few configs have a pattern.
    import re2  # noqa: PLC0415

    quiet = re2.Options()
    quiet.log_errors = False
    try:
        pattern = re2.compile(text, quiet)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return f"does not compile: {why}", "write it as RE2 has it: without look-ahead, look-behind and back references"
    if pattern.programsize > MOST_PROGRAM:
        return (
            f"compiles to {pattern.programsize} instructions, of which there may be {MOST_PROGRAM}",
            "repeat less, or less often",
        )
    if pattern.search("") is not None:
        return "matches where there is nothing", "have it match at least one character"
    return None


PATTERN = Text(512, expects="a regular expression as RE2 has it, of at most 512 characters", look=_look_at_pattern)
KEY = Text(256, expects="the key of an attribute")
NAME = Text(128, r"^\S(.*\S)?$", "words, without space at the ends", min_length=2)

OWN_PATTERN = Object(
    OwnPattern,
    (
        Field("name", DNS_LABEL, "Name of the pattern, in metrics.", required=True),
        Field(
            "pattern",
            PATTERN,
            "What is hidden, as [RE2](https://github.com/google/re2/wiki/Syntax) has it; case counts, unless it begins "
            "with `(?i)`. Look-ahead and back references do not exist there, and no text makes it slow.",
            required=True,
        ),
    ),
)


def _needs_key(values: Values) -> Iterator[Finding]:
    if values.get("action") is Action.HASH and "hash_key" in values and values["hash_key"] is None:
        yield "hashKey", "is missing, and action is Hash", "name the key of a Secret: hashes without one can be guessed"


def _key_in_vain(values: Values) -> Iterator[Finding]:
    if values.get("hash_key") is not None and values.get("action") not in (None, Action.HASH):
        yield "hashKey", "has no effect, because action is not Hash", "remove it, or write action: Hash"


REDACT = Object(
    Redact,
    (
        Field(
            "keyPatterns",
            ListOf(PATTERN, 64),
            "Values are hidden where the key holds one of these: of attributes, of lists in them, and of JSON in "
            "texts. "
            "RE2, in any case, anywhere in the key.",
            default=list(KEY_PATTERNS),
        ),
        Field(
            "exceptKeys",
            ListOf(KEY, 64),
            "Keys that hold hosts or machines and not people: their name alone hides nothing. What is in them is "
            "looked "
            "at all the same.",
            default=list(EXCEPT_KEYS),
        ),
        Field(
            "detectors",
            ListOf(Choice(Detector), 16),
            "What is looked for in every text. `CreditCard` and `IBAN` count only with a right checksum; `Secret` is "
            "keys of the known shapes, private keys, and passwords in URLs.",
            default=[str(detector) for detector in Detector],
        ),
        Field(
            "patterns", ListOf(OWN_PATTERN, 64, unique="name"), "Patterns of your own, looked for besides.", default=[]
        ),
        Field(
            "names",
            ListOf(NAME, 64),
            "Words to hide wherever they stand alone, in any case: people, customers, projects.",
            default=[],
        ),
        Field(
            "messageContent",
            Choice(MessageContent),
            "Prompts, answers, and what tools were called with and have answered, in every dialect: `Redact` blanks "
            "what "
            "was said and keeps who spoke and of what kind it was; `Drop` removes it; `Keep` treats it like other "
            "text.",
            default="Keep",
        ),
        Field(
            "action",
            Choice(Action),
            "What stands in place of what is found: `[REDACTED]` (`Mask`), a keyed hash, the same for the same value "
            "(`Hash`), or nothing: the attribute goes (`Drop`).",
            default="Mask",
        ),
        Field("hashKey", SECRET_SOURCE, "For `action: Hash`: the key, from a Secret. 32 random bytes will do."),
    ),
    checks=(
        Check(
            _needs_key,
            "!has(self.action) || self.action != 'Hash' || has(self.hashKey)",
            "action: Hash needs hashKey",
        ),
        Check(
            _key_in_vain,
            "!has(self.hashKey) || has(self.action) && self.action == 'Hash'",
            "hashKey has no effect, because action is not Hash",
        ),
    ),
)
