from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FromSidecar(_message.Message):
    __slots__ = ("hello", "report", "kept", "dump", "standing", "tap", "test", "statement")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    DUMP_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    TAP_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    report: Report
    kept: Decisions
    dump: DumpState
    standing: Standing
    tap: TapState
    test: TestState
    statement: Statement
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., kept: _Optional[_Union[Decisions, _Mapping]] = ..., dump: _Optional[_Union[DumpState, _Mapping]] = ..., standing: _Optional[_Union[Standing, _Mapping]] = ..., tap: _Optional[_Union[TapState, _Mapping]] = ..., test: _Optional[_Union[TestState, _Mapping]] = ..., statement: _Optional[_Union[Statement, _Mapping]] = ...) -> None: ...

class ToSidecar(_message.Message):
    __slots__ = ("welcome", "share", "kept", "dump", "dump_stop", "tap", "tap_stop", "test", "statement_seen", "budgets")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    DUMP_FIELD_NUMBER: _ClassVar[int]
    DUMP_STOP_FIELD_NUMBER: _ClassVar[int]
    TAP_FIELD_NUMBER: _ClassVar[int]
    TAP_STOP_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_SEEN_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    share: Share
    kept: Decisions
    dump: DumpCommand
    dump_stop: DumpStop
    tap: TapCommand
    tap_stop: TapStop
    test: TestCommand
    statement_seen: StatementSeen
    budgets: BudgetStates
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., share: _Optional[_Union[Share, _Mapping]] = ..., kept: _Optional[_Union[Decisions, _Mapping]] = ..., dump: _Optional[_Union[DumpCommand, _Mapping]] = ..., dump_stop: _Optional[_Union[DumpStop, _Mapping]] = ..., tap: _Optional[_Union[TapCommand, _Mapping]] = ..., tap_stop: _Optional[_Union[TapStop, _Mapping]] = ..., test: _Optional[_Union[TestCommand, _Mapping]] = ..., statement_seen: _Optional[_Union[StatementSeen, _Mapping]] = ..., budgets: _Optional[_Union[BudgetStates, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "config_uid", "policy_revision", "tries_candidates")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_UID_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    TRIES_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    version: str
    config_uid: str
    policy_revision: int
    tries_candidates: bool
    def __init__(self, version: _Optional[str] = ..., config_uid: _Optional[str] = ..., policy_revision: _Optional[int] = ..., tries_candidates: _Optional[bool] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("report_every_seconds", "standing_every_seconds", "statement_every_seconds")
    REPORT_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STANDING_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    report_every_seconds: float
    standing_every_seconds: float
    statement_every_seconds: float
    def __init__(self, report_every_seconds: _Optional[float] = ..., standing_every_seconds: _Optional[float] = ..., statement_every_seconds: _Optional[float] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("keys", "policy_revision")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[KeyRate]
    policy_revision: int
    def __init__(self, keys: _Optional[_Iterable[_Union[KeyRate, _Mapping]]] = ..., policy_revision: _Optional[int] = ...) -> None: ...

class KeyRate(_message.Message):
    __slots__ = ("key", "rate", "coming")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    COMING_FIELD_NUMBER: _ClassVar[int]
    key: str
    rate: float
    coming: float
    def __init__(self, key: _Optional[str] = ..., rate: _Optional[float] = ..., coming: _Optional[float] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("policy_revision", "policy_digest", "policy_problem", "log_problem", "received", "acknowledged", "refused", "filtered", "suspended", "delivery", "backends", "tests", "unscraped", "at_floor")
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    TESTS_FIELD_NUMBER: _ClassVar[int]
    UNSCRAPED_FIELD_NUMBER: _ClassVar[int]
    AT_FLOOR_FIELD_NUMBER: _ClassVar[int]
    policy_revision: int
    policy_digest: str
    policy_problem: str
    log_problem: str
    received: int
    acknowledged: int
    refused: int
    filtered: int
    suspended: int
    delivery: _containers.RepeatedCompositeFieldContainer[EntryStanding]
    backends: _containers.RepeatedCompositeFieldContainer[BackendStanding]
    tests: int
    unscraped: bool
    at_floor: bool
    def __init__(self, policy_revision: _Optional[int] = ..., policy_digest: _Optional[str] = ..., policy_problem: _Optional[str] = ..., log_problem: _Optional[str] = ..., received: _Optional[int] = ..., acknowledged: _Optional[int] = ..., refused: _Optional[int] = ..., filtered: _Optional[int] = ..., suspended: _Optional[int] = ..., delivery: _Optional[_Iterable[_Union[EntryStanding, _Mapping]]] = ..., backends: _Optional[_Iterable[_Union[BackendStanding, _Mapping]]] = ..., tests: _Optional[int] = ..., unscraped: _Optional[bool] = ..., at_floor: _Optional[bool] = ...) -> None: ...

class EntryStanding(_message.Message):
    __slots__ = ("name", "start", "delivered", "sampled_out", "unmatched", "pending", "dropped", "redelivered", "stuck")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_OUT_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REDELIVERED_FIELD_NUMBER: _ClassVar[int]
    STUCK_FIELD_NUMBER: _ClassVar[int]
    name: str
    start: int
    delivered: int
    sampled_out: int
    unmatched: int
    pending: int
    dropped: int
    redelivered: int
    stuck: bool
    def __init__(self, name: _Optional[str] = ..., start: _Optional[int] = ..., delivered: _Optional[int] = ..., sampled_out: _Optional[int] = ..., unmatched: _Optional[int] = ..., pending: _Optional[int] = ..., dropped: _Optional[int] = ..., redelivered: _Optional[int] = ..., stuck: _Optional[bool] = ...) -> None: ...

class BackendStanding(_message.Message):
    __slots__ = ("name", "circuit", "fault")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CIRCUIT_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    circuit: str
    fault: str
    def __init__(self, name: _Optional[str] = ..., circuit: _Optional[str] = ..., fault: _Optional[str] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("traces_per_second", "sidecars", "floor")
    TRACES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SIDECARS_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    traces_per_second: float
    sidecars: int
    floor: float
    def __init__(self, traces_per_second: _Optional[float] = ..., sidecars: _Optional[int] = ..., floor: _Optional[float] = ...) -> None: ...

class Decisions(_message.Message):
    __slots__ = ("kept",)
    KEPT_FIELD_NUMBER: _ClassVar[int]
    kept: _containers.RepeatedCompositeFieldContainer[Kept]
    def __init__(self, kept: _Optional[_Iterable[_Union[Kept, _Mapping]]] = ...) -> None: ...

class Kept(_message.Message):
    __slots__ = ("rule", "threshold", "erase", "decided", "trace_ids")
    RULE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ERASE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    TRACE_IDS_FIELD_NUMBER: _ClassVar[int]
    rule: str
    threshold: int
    erase: bool
    decided: float
    trace_ids: bytes
    def __init__(self, rule: _Optional[str] = ..., threshold: _Optional[int] = ..., erase: _Optional[bool] = ..., decided: _Optional[float] = ..., trace_ids: _Optional[bytes] = ...) -> None: ...

class Statement(_message.Message):
    __slots__ = ("log_id", "number", "rows", "conversations", "missed_spans", "last", "stored")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    MISSED_SPANS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    log_id: str
    number: int
    rows: _containers.RepeatedCompositeFieldContainer[SpendRow]
    conversations: _containers.RepeatedCompositeFieldContainer[ConversationSpend]
    missed_spans: int
    last: bool
    stored: int
    def __init__(self, log_id: _Optional[str] = ..., number: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[SpendRow, _Mapping]]] = ..., conversations: _Optional[_Iterable[_Union[ConversationSpend, _Mapping]]] = ..., missed_spans: _Optional[int] = ..., last: _Optional[bool] = ..., stored: _Optional[int] = ...) -> None: ...

class SpendRow(_message.Message):
    __slots__ = ("quarter_hour", "agent", "model", "user", "project", "nano_dollars", "tokens", "unpriced_calls", "environment")
    QUARTER_HOUR_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NANO_DOLLARS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_CALLS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    quarter_hour: int
    agent: str
    model: str
    user: str
    project: str
    nano_dollars: int
    tokens: int
    unpriced_calls: int
    environment: str
    def __init__(self, quarter_hour: _Optional[int] = ..., agent: _Optional[str] = ..., model: _Optional[str] = ..., user: _Optional[str] = ..., project: _Optional[str] = ..., nano_dollars: _Optional[int] = ..., tokens: _Optional[int] = ..., unpriced_calls: _Optional[int] = ..., environment: _Optional[str] = ...) -> None: ...

class ConversationSpend(_message.Message):
    __slots__ = ("id", "agent", "nano_dollars", "tokens")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NANO_DOLLARS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    id: str
    agent: str
    nano_dollars: int
    tokens: int
    def __init__(self, id: _Optional[str] = ..., agent: _Optional[str] = ..., nano_dollars: _Optional[int] = ..., tokens: _Optional[int] = ...) -> None: ...

class StatementSeen(_message.Message):
    __slots__ = ("log_id", "number", "stored")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    log_id: str
    number: int
    stored: bool
    def __init__(self, log_id: _Optional[str] = ..., number: _Optional[int] = ..., stored: _Optional[bool] = ...) -> None: ...

class BudgetStates(_message.Message):
    __slots__ = ("budgets",)
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[BudgetState]
    def __init__(self, budgets: _Optional[_Iterable[_Union[BudgetState, _Mapping]]] = ...) -> None: ...

class BudgetState(_message.Message):
    __slots__ = ("name", "limit_nano_dollars", "spent_nano_dollars", "state", "allowed", "complete", "period_ends", "group_by", "keys")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANO_DOLLARS_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANO_DOLLARS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_ENDS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit_nano_dollars: int
    spent_nano_dollars: int
    state: str
    allowed: bool
    complete: bool
    period_ends: float
    group_by: _containers.RepeatedScalarFieldContainer[str]
    keys: _containers.RepeatedCompositeFieldContainer[BudgetKey]
    def __init__(self, name: _Optional[str] = ..., limit_nano_dollars: _Optional[int] = ..., spent_nano_dollars: _Optional[int] = ..., state: _Optional[str] = ..., allowed: _Optional[bool] = ..., complete: _Optional[bool] = ..., period_ends: _Optional[float] = ..., group_by: _Optional[_Iterable[str]] = ..., keys: _Optional[_Iterable[_Union[BudgetKey, _Mapping]]] = ...) -> None: ...

class BudgetKey(_message.Message):
    __slots__ = ("values", "spent_nano_dollars", "state", "allowed")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANO_DOLLARS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    spent_nano_dollars: int
    state: str
    allowed: bool
    def __init__(self, values: _Optional[_Iterable[str]] = ..., spent_nano_dollars: _Optional[int] = ..., state: _Optional[str] = ..., allowed: _Optional[bool] = ...) -> None: ...

class DumpCommand(_message.Message):
    __slots__ = ("id", "since_seconds", "where", "backend", "forgotten", "timeout_seconds", "report_every_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REPORT_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    since_seconds: float
    where: str
    backend: str
    forgotten: bool
    timeout_seconds: float
    report_every_seconds: float
    def __init__(self, id: _Optional[str] = ..., since_seconds: _Optional[float] = ..., where: _Optional[str] = ..., backend: _Optional[str] = ..., forgotten: _Optional[bool] = ..., timeout_seconds: _Optional[float] = ..., report_every_seconds: _Optional[float] = ...) -> None: ...

class DumpStop(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DumpState(_message.Message):
    __slots__ = ("id", "running", "problem", "looked_at", "matched", "sent", "sent_before", "not_known", "not_taken", "left")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    SENT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_KNOWN_FIELD_NUMBER: _ClassVar[int]
    NOT_TAKEN_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    id: str
    running: bool
    problem: str
    looked_at: int
    matched: int
    sent: int
    sent_before: int
    not_known: int
    not_taken: int
    left: int
    def __init__(self, id: _Optional[str] = ..., running: _Optional[bool] = ..., problem: _Optional[str] = ..., looked_at: _Optional[int] = ..., matched: _Optional[int] = ..., sent: _Optional[int] = ..., sent_before: _Optional[int] = ..., not_known: _Optional[int] = ..., not_taken: _Optional[int] = ..., left: _Optional[int] = ...) -> None: ...

class DumpRequest(_message.Message):
    __slots__ = ("namespace", "config", "since_seconds", "where", "backend", "forgotten", "timeout_seconds")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SINCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    config: str
    since_seconds: float
    where: str
    backend: str
    forgotten: bool
    timeout_seconds: float
    def __init__(self, namespace: _Optional[str] = ..., config: _Optional[str] = ..., since_seconds: _Optional[float] = ..., where: _Optional[str] = ..., backend: _Optional[str] = ..., forgotten: _Optional[bool] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class DumpProgress(_message.Message):
    __slots__ = ("pod", "state", "sidecars", "pod_uid")
    POD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIDECARS_FIELD_NUMBER: _ClassVar[int]
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    pod: str
    state: DumpState
    sidecars: int
    pod_uid: str
    def __init__(self, pod: _Optional[str] = ..., state: _Optional[_Union[DumpState, _Mapping]] = ..., sidecars: _Optional[int] = ..., pod_uid: _Optional[str] = ...) -> None: ...

class TapCommand(_message.Message):
    __slots__ = ("id", "spans", "seconds", "where")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    id: str
    spans: int
    seconds: float
    where: str
    def __init__(self, id: _Optional[str] = ..., spans: _Optional[int] = ..., seconds: _Optional[float] = ..., where: _Optional[str] = ...) -> None: ...

class TapStop(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class TapState(_message.Message):
    __slots__ = ("id", "running", "problem", "request", "spans", "looked_at", "matched", "passed_over", "too_large")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    PASSED_OVER_FIELD_NUMBER: _ClassVar[int]
    TOO_LARGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    running: bool
    problem: str
    request: bytes
    spans: int
    looked_at: int
    matched: int
    passed_over: int
    too_large: int
    def __init__(self, id: _Optional[str] = ..., running: _Optional[bool] = ..., problem: _Optional[str] = ..., request: _Optional[bytes] = ..., spans: _Optional[int] = ..., looked_at: _Optional[int] = ..., matched: _Optional[int] = ..., passed_over: _Optional[int] = ..., too_large: _Optional[int] = ...) -> None: ...

class TestCommand(_message.Message):
    __slots__ = ("id", "timeout_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    timeout_seconds: float
    def __init__(self, id: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class TestState(_message.Message):
    __slots__ = ("id", "running", "problem", "trace_id", "stored_seconds", "sampled", "delivery")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    STORED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    id: str
    running: bool
    problem: str
    trace_id: bytes
    stored_seconds: float
    sampled: bool
    delivery: _containers.RepeatedCompositeFieldContainer[TestEntry]
    def __init__(self, id: _Optional[str] = ..., running: _Optional[bool] = ..., problem: _Optional[str] = ..., trace_id: _Optional[bytes] = ..., stored_seconds: _Optional[float] = ..., sampled: _Optional[bool] = ..., delivery: _Optional[_Iterable[_Union[TestEntry, _Mapping]]] = ...) -> None: ...

class TestEntry(_message.Message):
    __slots__ = ("name", "outcome", "backend", "seconds", "words")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: str
    backend: str
    seconds: float
    words: str
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[str] = ..., backend: _Optional[str] = ..., seconds: _Optional[float] = ..., words: _Optional[str] = ...) -> None: ...

class TapRequest(_message.Message):
    __slots__ = ("namespace", "config", "pod", "spans", "seconds", "where")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    config: str
    pod: str
    spans: int
    seconds: float
    where: str
    def __init__(self, namespace: _Optional[str] = ..., config: _Optional[str] = ..., pod: _Optional[str] = ..., spans: _Optional[int] = ..., seconds: _Optional[float] = ..., where: _Optional[str] = ...) -> None: ...

class TapProgress(_message.Message):
    __slots__ = ("pod", "pod_uid", "state", "sidecars", "attached")
    POD_FIELD_NUMBER: _ClassVar[int]
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIDECARS_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    pod: str
    pod_uid: str
    state: TapState
    sidecars: int
    attached: int
    def __init__(self, pod: _Optional[str] = ..., pod_uid: _Optional[str] = ..., state: _Optional[_Union[TapState, _Mapping]] = ..., sidecars: _Optional[int] = ..., attached: _Optional[int] = ...) -> None: ...

class TestRequest(_message.Message):
    __slots__ = ("namespace", "config", "pod", "timeout_seconds")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    config: str
    pod: str
    timeout_seconds: float
    def __init__(self, namespace: _Optional[str] = ..., config: _Optional[str] = ..., pod: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class TestProgress(_message.Message):
    __slots__ = ("pod", "pod_uid", "state")
    POD_FIELD_NUMBER: _ClassVar[int]
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    pod: str
    pod_uid: str
    state: TestState
    def __init__(self, pod: _Optional[str] = ..., pod_uid: _Optional[str] = ..., state: _Optional[_Union[TestState, _Mapping]] = ...) -> None: ...
