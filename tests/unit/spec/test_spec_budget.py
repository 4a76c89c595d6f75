"""Budgets as types, and periods by the calendars of all time zones."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_spec.budget import THRESHOLDS, Budget, Decision, GroupBy, Limit, Severity, Threshold
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.period import Period, span_at

ZONES = sorted(available_timezones())


def test_a_budget_is_read_with_its_defaults_and_with_all_it_may_say() -> None:
    spec, faults = parse_spec(
        {
            "budgets": [
                {"name": "daily", "limit": {"amount": "100"}},
                {
                    "name": "monthly",
                    "period": "Month",
                    "timeZone": "Asia/Kathmandu",
                    "limit": {"amount": "12.5", "currency": "USD"},
                    "groupBy": ["Namespace", "User"],
                    "thresholds": [
                        {"percent": 100, "severity": "critical", "decision": "Deny"},
                        {"percent": 50, "severity": "info"},
                    ],
                    "unknown": "Deny",
                },
            ]
        }
    )
    assert faults == []
    daily = Budget("daily", Period.DAY, "Etc/UTC", Limit("100"), (), THRESHOLDS, Decision.ALLOW, False)
    thresholds = (Threshold(50, Severity.INFO), Threshold(100, Severity.CRITICAL, Decision.DENY))
    groups = (GroupBy.NAMESPACE, GroupBy.USER)
    monthly = Budget("monthly", Period.MONTH, "Asia/Kathmandu", Limit("12.5"), groups, thresholds, Decision.DENY, False)
    assert spec.budgets == (daily, monthly)
    assert monthly.groups == (GroupBy.USER,)


@pytest.mark.parametrize(
    ("amount", "nano"),
    [("1", 10**9), ("0.000000001", 1), ("12.50", 12_500_000_000), ("9999999999", 9999999999 * 10**9)],
)
def test_amounts_are_exact(amount: str, nano: int) -> None:
    assert Limit(amount).nano == nano


@pytest.mark.parametrize(
    ("period", "zone", "at", "begins", "hours"),
    [
        (Period.DAY, "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", 23),
        (Period.DAY, "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", 25),
        (Period.DAY, "Asia/Kathmandu", "2026-06-01T18:14", "2026-05-31T18:15", 24),
        (Period.DAY, "Asia/Kathmandu", "2026-06-01T18:15", "2026-06-01T18:15", 24),
        (Period.WEEK, "Etc/UTC", "2026-11-22T23:59", "2026-11-16T00:00", 168),
        (Period.MONTH, "America/New_York", "2026-03-01T04:59", "2026-02-01T05:00", 28 * 24),
        (Period.MONTH, "Etc/UTC", "2028-02-29T00:00", "2028-02-01T00:00", 29 * 24),
        (Period.DAY, "Nowhere/AtAll", "2026-06-01T18:15", "2026-06-01T00:00", 24),
        (Period.DAY, "Africa/Cairo", "2014-08-01T12:00", "2014-07-31T22:00", 23),
    ],
)
def test_periods_are_the_calendars(period: Period, zone: str, at: str, begins: str, hours: int) -> None:
    def seconds(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    span = span_at(period, zone, seconds(at))
    assert datetime.fromtimestamp(span.begins, UTC) == datetime.fromtimestamp(seconds(begins), UTC)
    assert span.ends - span.begins == hours * 3600


@given(st.sampled_from(ZONES), st.sampled_from(Period), st.integers(0, 2**31))
def test_every_moment_is_in_one_period_and_they_follow_each_other(zone: str, period: Period, at: int) -> None:
    span = span_at(period, zone, at)
    assert span.begins <= at < span.ends
    assert span_at(period, zone, span.begins) == span_at(period, zone, span.ends - 1) == span
    assert span_at(period, zone, span.ends).begins == span.ends
    middle = datetime.fromtimestamp((span.begins + span.ends) / 2, ZoneInfo(zone))
    if period is Period.MONTH:
        assert datetime.fromtimestamp(at, ZoneInfo(zone)).month == middle.month
