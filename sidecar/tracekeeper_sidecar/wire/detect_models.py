# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Detectors of what calls of models show: too many calls and tokens, inputs that grow, other models, answers cut off;
compiled with the types in detect_models.pxd.
"""

from __future__ import annotations

from collections import OrderedDict

from tracekeeper_sidecar.wire import detect_known, detect_span, labels, native
from tracekeeper_sidecar.wire.detect_calls import Calls
from tracekeeper_sidecar.wire.detect_found import CONTEXT, CUT_OFF, FAN_OUT, MODEL, MOST_FOUND, TOKENS, Found
from tracekeeper_sidecar.wire.detect_known import MOST_MARKS, MOST_TALKS, MOST_TRACES, mixed
from tracekeeper_sidecar.wire.models import is_other_deployment, is_own_name, same_model

MOST_NAMES = 500
"""Models whose answers are known."""

_CONTEXT, _TOKENS, _FAN_OUT, _CUT_OFF = CONTEXT, TOKENS, FAN_OUT, CUT_OFF
_AGENT, _CONVERSATION, _INPUT, _OUTPUT, _ASKED, _ANSWERED, _REASONS, _PROVIDER, _REPEATED = (
    detect_span.AGENT, detect_span.CONVERSATION, detect_span.INPUT, detect_span.OUTPUT, detect_span.ASKED,
    detect_span.ANSWERED, detect_span.REASONS, detect_span.PROVIDER, detect_span.REPEATED,
)  # fmt: skip
_STARTED, _ENDED, _SPENT, _CALLS_WORD = (
    detect_known.STARTED, detect_known.ENDED, detect_known.SPENT, detect_known.CALLS
)  # fmt: skip
_RATE = detect_known.RATE
_MOST_FOUND = MOST_FOUND
_MINUTE = 60_000_000_000
_LOW_20, _LOW_24, _LOW_26, _LOW_48 = (1 << 20) - 1, (1 << 24) - 1, (1 << 26) - 1, (1 << 48) - 1
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_MOST_LEVEL = 15
_LONGEST_NAME = 256
_OF_CONTEXT, _OF_MODELS = 12, 13
_TRUE = b"\x10\x01"


class Models(Calls):
    """For one thread at a time."""

    def __init__(self, seed: int, traces: int = MOST_TRACES, talks: int = MOST_TALKS, marks: int = MOST_MARKS) -> None:
        Calls.__init__(self, seed, traces, talks, marks)
        self.found: list[Found] = []
        """By the last `take`."""
        self.left = 0
        """Findings and links that were not written, because a request had too many."""
        self._limits = [0] * 20
        self._nth = 0
        self._answers: OrderedDict[int, str] = OrderedDict()
        self._pair = self._service = 0

    def _note(
        self,
        data: bytes,
        begin: int,
        end: int,
        detector: int,
        seen: int,
        limit: int,
        subject: str,
        other: str,
        form: int,
    ) -> None:
        if len(self.found) >= _MOST_FOUND:
            self.left += 1
            return
        agent = self._decoded(data, _AGENT)
        found = Found(begin, end, self._end, detector, seen, limit, agent, subject, other, form, self._nth)
        self.found.append(found)

    def _call(self, data: bytes, begin: int, end: int, slot: int) -> None:
        if self._value[_REPEATED] >= 0 and self._value_end[_REPEATED] - self._value[_REPEATED] == 2:
            if native.same(data, self._value[_REPEATED], _TRUE, 2):
                return  # What it says, another span says as well.
        limits = self._limits
        words = self._traces._get(slot, _CALLS_WORD)
        if words & _LOW_24 < _LOW_24:
            words += 1
            self._traces._set(slot, _CALLS_WORD, words)
        self._fanned_out(data, begin, end, slot, words)
        if self._value[_ANSWERED] >= 0:
            self._answered(data, begin, end)
        asked = self._tokens(data, _INPUT)
        answered = self._tokens(data, _OUTPUT)
        if self._value[_REASONS] >= 0 and self._is_cut_off(data):
            if answered < 0 or answered >= limits[15]:
                self._cut_off(data, begin, end, slot)
        if asked < 0 and answered < 0:
            return
        word = self._traces._get(slot, _SPENT)
        spent = word & _LOW_48
        if asked > 0:
            spent += asked
        if answered > 0:
            spent += answered
        spent = min(spent, _LOW_48)
        self._traces._set(slot, _SPENT, word & (_ALL_64 ^ _LOW_48) | spent)
        if spent >= limits[5] and self._due(slot, _TOKENS, spent, limits[5]):
            self._note(data, begin, end, _TOKENS, spent, limits[5], "", "", 0)
        elif spent >= limits[6]:
            took = self._traces._get(slot, _ENDED) - self._traces._get(slot, _STARTED)
            if self._traces._get(slot, _ENDED) <= self._traces._get(slot, _STARTED) or took < _MINUTE:
                took = _MINUTE
            rate = int(float(spent) * 60e9 / float(took))
            if self._due(slot, _RATE, rate, limits[6]):
                self._note(data, begin, end, _TOKENS, rate, limits[6], "minute", "", 0)
        if asked > 0 and asked * 16 >= limits[2]:
            self._grown(data, begin, end, asked)

    def _fanned_out(self, data: bytes, begin: int, end: int, slot: int, words: int) -> None:
        calls = words >> 24 & _LOW_20
        if words >> 44 > calls:
            calls = words >> 44
        calls += words & _LOW_24
        if calls >= self._limits[12] and self._due(slot, _FAN_OUT, calls, self._limits[12]):
            self._note(data, begin, end, _FAN_OUT, calls, self._limits[12], "", "", 0)

    def _grown(self, data: bytes, begin: int, end: int, asked: int) -> None:
        """A number has where growth began, the last input, how often it has grown since, and how often that was told:
        26, 26, 8 and 4 bits."""
        limits = self._limits
        whose = self._hashed(data, _CONVERSATION, 1)
        if whose == 0:
            whose = self._mark
        key = mixed(mixed(whose, self._hashed(data, _AGENT, 2) ^ self._service), _OF_CONTEXT) | 1
        value = self._marks._get(key)
        first = value & _LOW_26
        last = value >> 26 & _LOW_26
        times = value >> 52 & 255
        level = value >> 60
        if last == 0 or asked * 10 < last * 11:
            first = min(asked, _LOW_26)
            times = 0
        elif times < 250:
            times += 1
        if times >= limits[4] and asked >= limits[2] and asked * 1000 >= first * limits[3]:
            if level < _MOST_LEVEL and asked >= limits[2] << level:
                while level < _MOST_LEVEL and asked >= limits[2] << level:
                    level += 1
                self._note(data, begin, end, _CONTEXT, asked, limits[2], str(first), str(times), 0)
        self._marks._put(key, first | min(asked, _LOW_26) << 26 | times << 52 | level << 60)

    # Answers.

    def _is_cut_off(self, data: bytes) -> int:
        """Whether one of the reasons says that the answer had become too long."""
        pos = self._value[_REASONS]
        end = self._value_end[_REASONS]
        if self._string(data, pos, end):
            return self._is_too_long(data)
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 5 and self.wire == 2:
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        return 0
                    if self.number == 1 and self.wire == 2 and self._string(data, self.value, after):
                        if self._is_too_long(data):
                            return 1
                    at = after
            pos = stop
        return 0

    def _is_too_long(self, data: bytes) -> int:
        return (
            self._is(data, b"length", 6)
            or self._is(data, b"max_tokens", 10)
            or self._is(data, b"MAX_TOKENS", 10)
            or self._is(data, b"max_output_tokens", 17)
        )

    def _cut_off(self, data: bytes, begin: int, end: int, slot: int) -> None:
        spent = self._traces._get(slot, _SPENT)
        count = (spent >> 48) + 1
        if count <= 60_000:
            self._traces._set(slot, _SPENT, spent & _LOW_48 | count << 48)
        if self._due(slot, _CUT_OFF, count, self._limits[14]):
            self._note(data, begin, end, _CUT_OFF, count, self._limits[14], self._decoded(data, _ANSWERED), "", 0)

    def _answered(self, data: bytes, begin: int, end: int) -> None:
        """A number has a hash of the model that has answered, and how often it has changed: 48 and 16 bits."""
        if self._limits[13] != 1 or not self._text(data, _ANSWERED):
            return
        answered = hashed(data, self._said, self._until)
        at = self._said
        size = self._until - at
        if not self._text(data, _ASKED) or size > _LONGEST_NAME or self._until - self._said > _LONGEST_NAME:
            return
        asked = hashed(data, self._said, self._until)
        pair = asked ^ answered >> 1
        if pair == self._pair:
            return  # As the call before.
        self._pair = pair
        key = mixed(asked ^ self._seed, self._service ^ _OF_MODELS) | 1
        value = self._marks._get(key)
        if value & _LOW_48 == answered & _LOW_48 and value != 0:
            self._marks._put(key, value)  # What is used is not forgotten.
            return
        if value == 0 and asked == answered and size == self._until - self._said:
            self._marks._put(key, answered & _LOW_48 | 1 << 48)
            self._remember_answer(key, bytes(data[at : at + size]))
            return
        self._other_model(data, begin, end, key, value, answered & _LOW_48)

    def _remember_answer(self, key: int, name: bytes) -> None:
        self._answers[key] = name.decode(errors="replace")
        self._answers.move_to_end(key)
        if len(self._answers) > MOST_NAMES:
            self._answers.popitem(last=False)

    def _other_model(self, data: bytes, begin: int, end: int, key: int, value: int, answered: int) -> None:
        """Another model has answered than the one before, or than the one that was asked."""
        asked_name, name = self._decoded(data, _ASKED), self._decoded(data, _ANSWERED)
        before = self._answers.get(key, "")
        count = value >> 48
        if value == 0:
            before = asked_name
            # What is asked for at Azure is the name of a deployment, and gateways have names of their own.
            if self._decoded(data, _PROVIDER).startswith("azure"):
                changed = is_other_deployment(asked_name, name)
            else:
                changed = not is_own_name(asked_name) and not same_model(asked_name, name)
            count = 1
        else:
            changed = before != "" and before != name
            if asked_name in (before, name) and same_model(before, name):
                changed = False  # Some answers say which version it is, and some do not.
                if name == asked_name:
                    return
        if changed:
            count = min(count + 1, 60_000)
        self._marks._put(key, answered | count << 48)
        self._remember_answer(key, name.encode())
        changes = count - 1
        if changed and changes & (changes - 1) == 0:
            self._note(data, begin, end, MODEL, changes, 1, before, name, 0)


def hashed(data: bytes, pos: int, end: int) -> int:
    """64 bits for what is at [pos, end); 0 where there is nothing."""
    if pos >= end:
        return 0
    return labels.hashed(data, pos, end, 10)
