"""What the chart allows for budgets: ConfigMaps by name, and a right that `edit` has and `view` has not."""

from __future__ import annotations

import pytest

from chart_render import DEFAULT, Helm, Object, named, render, rules
from tracekeeper_operator.budgets.calls import RIGHT
from tracekeeper_operator.budgets.checkpoint import name_of
from tracekeeper_operator.budgets.shard import SHARDS

pytestmark = pytest.mark.cluster  # Helm is one of the programs that `make setup` builds as root.


def writing(objects: list[Object]) -> list[Object]:
    return [rule for rule in rules(objects) if name_of(0) in rule.get("resourceNames", ())]


def test_the_controller_may_keep_the_book_and_no_other_config_map(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, release="prod")
    (rule,) = writing(objects)
    assert rule["resourceNames"] == [name_of(index) for index in range(SHARDS)]
    assert (rule["resources"], sorted(rule["verbs"])) == (["configmaps"], ["create", "get", "patch"])
    assert rule in named(objects, "Role", "prod-tracekeeper-controller")["rules"]
    assert not writing(render(helm, "-f", DEFAULT, "--set", "control.enabled=false"))


def test_whoever_may_edit_sees_what_was_spent(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT)
    resource = f"tracingconfigs/{RIGHT}"
    asked = [
        rule for rule in named(objects, "ClusterRole", "tracekeeper-edit")["rules"] if resource in rule["resources"]
    ]
    assert [rule["verbs"] for rule in asked] == [["create"]]
    assert not [
        rule for rule in named(objects, "ClusterRole", "tracekeeper-view")["rules"] if resource in rule["resources"]
    ]
