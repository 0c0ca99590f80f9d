"""Dashboard and alert rules name what a real server exposes, and what the runbook explains."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ml_release.adapters.gauge_files import GaugeFiles
from ml_release.domain import drift, history_health, skew
from ml_release.domain.monitoring_gauges import gauges_of
from ml_release.workflows.monitoring_pages import VERDICTS
from ml_release_tests.monitoring_pages import full_page
from ml_release_tests.serving.world import LINE, ROW, World, make_files, v2_body

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "deploy" / "monitoring"
RULES = yaml.safe_load((FOLDER / "prometheus-rules.yaml").read_text(encoding="utf-8"))
ALERTS = {r["alert"]: r for g in RULES["groups"] for r in g["rules"] if "alert" in r}
RECORDED = {r["record"]: r for g in RULES["groups"] for r in g["rules"] if "record" in r}
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
TESTS = [
    test
    for path in sorted(FOLDER.glob("prometheus-rules-tests*.yaml"))
    for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
]
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (Debian's package prometheus): rules were NOT checked",
)


def dashboard_expressions() -> list[str]:
    """Of every panel, and of the annotations."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return [*found, *(one["expr"] for one in DASHBOARD["annotations"]["list"])]


def expressions() -> list[str]:
    return [*(r["expr"] for r in (*ALERTS.values(), *RECORDED.values())), *dashboard_expressions()]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Name of every sample of a real /metrics to its labels; monitored, and asked once."""
    world = World.at(tmp_path_factory.mktemp("exposed"))
    world.publish(1, make_files(seed=1))
    world.publish_history()
    world.declare(1)
    page = full_page(line=LINE)
    GaugeFiles(world.settings.gauges).show(gauges_of(page, written_at=datetime.now(tz=UTC)))
    parts = world.parts()
    body = json.dumps(v2_body([ROW])).encode()
    assert parts.endpoint.handle("POST", f"/v2/models/{LINE}/infer", {}, body).status == 200
    # Counted where the connection is, which is not here.
    parts.endpoint.vitals.responses[LINE, "infer", 400] += 1
    text = parts.endpoint.handle("GET", "/metrics", {}, b"").body.decode()
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found


def metrics_in(expression: str) -> list[tuple[str, str]]:
    """Names of metrics with what stands in the braces behind them."""
    return re.findall(r"(?<![\w:\"])(ml_release_\w+|ml_release:[\w:]+)(?:\{([^}]*)\})?", expression)


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_is_exposed_by_a_real_server(
    expression: str, exposed: dict[str, set[str]]
) -> None:
    """And has the labels that it is chosen by."""
    found = metrics_in(expression)
    assert found or "up{" in expression or expression == "vector(1)"
    for name, selector in found:
        if name in RECORDED:
            continue
        base = name if name in exposed else f"{name}_total"
        assert base == name, f"{name} is not exposed"
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        # One quantile function needs it, and histograms have it on their buckets.
        assert labels <= exposed[name], f"{name} has no label {labels - exposed[name]}"


def test_labels_that_values_are_grouped_by_exist(exposed: dict[str, set[str]]) -> None:
    """Whichever metric of the expression has them; job and instance come from the scrape."""
    for expression in expressions():
        known = {"job", "instance"}
        for name, _ in metrics_in(expression):
            known |= exposed.get(name, {"line"})
        for group in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", expression):
            asked = {one.strip() for one in group.split(",") if one.strip()}
            assert asked <= known, expression


def test_the_dashboard_shows_every_gauge_of_monitoring() -> None:
    """What nobody sees needs not be told."""
    from ml_release.domain.gauges import AGE, GAUGES, PROBLEMS

    shown = {name for expression in dashboard_expressions() for name, _ in metrics_in(expression)}
    assert {*GAUGES, AGE, PROBLEMS} <= shown


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It asks for its data source, panels do not overlap, and every query is of the chosen line."""
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "line"}
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & mine, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= mine
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
    of_all_lines = re.compile(r"reconciler|notes|vector")
    for expression in dashboard_expressions():
        assert 'line="$line"' in expression or of_all_lines.search(expression), expression
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """By path and heading."""
    text = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (MlRelease\w+)$", text, flags=re.MULTILINE)
    assert headings == list(dict.fromkeys(headings))
    assert set(headings) == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{name.lower()}"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"page", "ticket", "{{ $labels.level }}"}
        assert rule["for"]


def test_every_alert_fires_in_a_test_and_stays_quiet_in_another() -> None:
    """A rule that never fires looks like a healthy world."""
    fired: set[str] = set()
    quiet: set[str] = set()
    for test in TESTS:
        for case in test["alert_rule_test"]:
            (fired if case["exp_alerts"] else quiet).add(case["alertname"])
    assert fired == quiet == set(ALERTS)
    healthy = next(test for test in TESTS if test["name"].startswith("a healthy line"))
    assert {case["alertname"] for case in healthy["alert_rule_test"]} == set(ALERTS)
    assert not any(case["exp_alerts"] for case in healthy["alert_rule_test"])


def test_verdicts_that_rules_name_are_those_of_the_page() -> None:
    """A verdict called otherwise would never alert."""
    for expression in expressions():
        for verdict in re.findall(r'verdict!?="(\w+)"', expression):
            assert verdict in VERDICTS


def test_rules_of_judges_that_an_alert_names_are_explained() -> None:
    """The runbook says what each of them means."""
    text = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    named = {
        rule
        for expression in expressions()
        for words in re.findall(r'rule=~"([^"]+)"', expression)
        for rule in words.split("|")
    }
    known = {*drift.RULES, *skew.RULES, *history_health.RULES}
    assert {"missing_rate_is_stable", "no_worse_than_at_release"} <= named
    for rule in named | known:
        assert f"`{rule}`" in text, rule


@needs_promtool
def test_rules_and_configuration_are_valid() -> None:
    """As Prometheus would load them."""
    for what, file in (("rules", "prometheus-rules.yaml"), ("config", "prometheus.yaml")):
        _promtool("check", what, str(FOLDER / file))


@needs_promtool
def test_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    """As rules, since promtool parses those."""
    rules = [
        {
            "record": f"dashboard:{place}",
            "expr": one.replace("$line", "x").replace("$__rate_interval", "5m"),
        }
        for place, one in enumerate(dashboard_expressions())
    ]
    document = {"groups": [{"name": "dashboard", "rules": rules}]}
    path = tmp_path / "dashboard.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    _promtool("check", "rules", str(path))


def test_what_is_recorded_is_recorded_before_it_is_read() -> None:
    """Groups without an order are evaluated in any: a test would say now this, now that."""
    order = [group["name"] for group in RULES["groups"]]
    for path in FOLDER.glob("prometheus-rules-tests*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["group_eval_order"] == order


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    """The unit tests that stand beside the rules."""
    _promtool("test", "rules", *map(str, sorted(FOLDER.glob("prometheus-rules-tests*.yaml"))))


def _promtool(*arguments: str) -> None:
    done: Any = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
