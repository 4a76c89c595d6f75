import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ledger(_message.Message):
    __slots__ = ("time", "received", "acknowledged", "refused", "suspended", "delivery", "filtered", "adopted")
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class FilteredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    received: int
    acknowledged: int
    refused: _containers.ScalarMap[str, int]
    suspended: int
    delivery: _containers.RepeatedCompositeFieldContainer[DeliveryEntry]
    filtered: _containers.ScalarMap[str, int]
    adopted: _containers.RepeatedCompositeFieldContainer[AdoptedFolder]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received: _Optional[int] = ..., acknowledged: _Optional[int] = ..., refused: _Optional[_Mapping[str, int]] = ..., suspended: _Optional[int] = ..., delivery: _Optional[_Iterable[_Union[DeliveryEntry, _Mapping]]] = ..., filtered: _Optional[_Mapping[str, int]] = ..., adopted: _Optional[_Iterable[_Union[AdoptedFolder, _Mapping]]] = ...) -> None: ...

class AdoptedFolder(_message.Message):
    __slots__ = ("folder", "acknowledged", "delivery")
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    folder: str
    acknowledged: int
    delivery: _containers.RepeatedCompositeFieldContainer[DeliveryEntry]
    def __init__(self, folder: _Optional[str] = ..., acknowledged: _Optional[int] = ..., delivery: _Optional[_Iterable[_Union[DeliveryEntry, _Mapping]]] = ...) -> None: ...

class DeliveryEntry(_message.Message):
    __slots__ = ("name", "start", "delivered", "dropped", "pending", "sampled_out", "unmatched", "redelivered")
    class DeliveredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SampledOutEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class RedeliveredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_OUT_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    REDELIVERED_FIELD_NUMBER: _ClassVar[int]
    name: str
    start: int
    delivered: _containers.ScalarMap[str, int]
    dropped: _containers.ScalarMap[str, int]
    pending: int
    sampled_out: _containers.ScalarMap[str, int]
    unmatched: int
    redelivered: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., start: _Optional[int] = ..., delivered: _Optional[_Mapping[str, int]] = ..., dropped: _Optional[_Mapping[str, int]] = ..., pending: _Optional[int] = ..., sampled_out: _Optional[_Mapping[str, int]] = ..., unmatched: _Optional[int] = ..., redelivered: _Optional[_Mapping[str, int]] = ...) -> None: ...
