from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DecideRequest(_message.Message):
    __slots__ = ("namespace", "config", "budget", "agent", "model", "user", "project", "environment")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    config: str
    budget: str
    agent: str
    model: str
    user: str
    project: str
    environment: str
    def __init__(self, namespace: _Optional[str] = ..., config: _Optional[str] = ..., budget: _Optional[str] = ..., agent: _Optional[str] = ..., model: _Optional[str] = ..., user: _Optional[str] = ..., project: _Optional[str] = ..., environment: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("spent", "limit", "currency", "state", "allowed", "complete", "as_of", "period_ends", "reason")
    SPENT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PERIOD_ENDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    spent: str
    limit: str
    currency: str
    state: str
    allowed: bool
    complete: bool
    as_of: float
    period_ends: float
    reason: str
    def __init__(self, spent: _Optional[str] = ..., limit: _Optional[str] = ..., currency: _Optional[str] = ..., state: _Optional[str] = ..., allowed: _Optional[bool] = ..., complete: _Optional[bool] = ..., as_of: _Optional[float] = ..., period_ends: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("namespace", "config")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    config: str
    def __init__(self, namespace: _Optional[str] = ..., config: _Optional[str] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("budgets",)
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[Budget]
    def __init__(self, budgets: _Optional[_Iterable[_Union[Budget, _Mapping]]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("name", "config", "namespace", "period", "period_begins", "period_ends", "spent", "limit", "currency", "forecast", "state", "allowed", "incomplete", "group_by", "keys", "burn", "tokens", "unpriced_calls")
    class BurnEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    PERIOD_BEGINS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_ENDS_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    BURN_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_CALLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    config: str
    namespace: str
    period: str
    period_begins: float
    period_ends: float
    spent: str
    limit: str
    currency: str
    forecast: str
    state: str
    allowed: bool
    incomplete: str
    group_by: _containers.RepeatedScalarFieldContainer[str]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    burn: _containers.ScalarMap[str, float]
    tokens: int
    unpriced_calls: int
    def __init__(self, name: _Optional[str] = ..., config: _Optional[str] = ..., namespace: _Optional[str] = ..., period: _Optional[str] = ..., period_begins: _Optional[float] = ..., period_ends: _Optional[float] = ..., spent: _Optional[str] = ..., limit: _Optional[str] = ..., currency: _Optional[str] = ..., forecast: _Optional[str] = ..., state: _Optional[str] = ..., allowed: _Optional[bool] = ..., incomplete: _Optional[str] = ..., group_by: _Optional[_Iterable[str]] = ..., keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., burn: _Optional[_Mapping[str, float]] = ..., tokens: _Optional[int] = ..., unpriced_calls: _Optional[int] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("values", "spent", "state", "allowed", "error")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    spent: str
    state: str
    allowed: bool
    error: str
    def __init__(self, values: _Optional[_Iterable[str]] = ..., spent: _Optional[str] = ..., state: _Optional[str] = ..., allowed: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class TopRequest(_message.Message):
    __slots__ = ("namespace", "config", "budget", "by", "count")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    config: str
    budget: str
    by: str
    count: int
    def __init__(self, namespace: _Optional[str] = ..., config: _Optional[str] = ..., budget: _Optional[str] = ..., by: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class TopReply(_message.Message):
    __slots__ = ("keys", "currency", "total", "period_begins")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PERIOD_BEGINS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    currency: str
    total: str
    period_begins: float
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., currency: _Optional[str] = ..., total: _Optional[str] = ..., period_begins: _Optional[float] = ...) -> None: ...
