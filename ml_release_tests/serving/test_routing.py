"""Routing at the endpoint: experiments and rewards, the threshold, and the kill switch."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.switch_files import SwitchFiles
from ml_release.domain.assignment import assign, takes_part
from ml_release.domain.deployment import KillSwitch
from ml_release.domain.experiment import Arm, Experiment
from ml_release_tests.serving.test_endpoint import INFER, INVOCATIONS, Client
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from pathlib import Path

REWARDS = f"/models/{LINE}/rewards"
SWITCH = f"/models/{LINE}/kill-switch"
PULL = {"engaged": True, "by": "ada", "reason": "it answers nonsense", "answer": 0.25}
RELEASE = {"engaged": False, "by": "ada", "reason": "mended"}


def an_experiment(**fields: Any) -> Experiment:
    values = {
        "name": "trees",
        "salt": "trees-1",
        "share_percent": 50.0,
        "arms": (Arm(version=1, weight_percent=50), Arm(version=2, weight_percent=50)),
        **fields,
    }
    return Experiment.model_validate(values)


@pytest.fixture
def tried(world: World) -> World:
    """Half of the units take part in an experiment over both versions."""
    world.declare(
        world.variant(1),
        world.variant(2, role="treatment", weight=0),
        experiment=an_experiment(allocation="thompson"),
    )
    return world


def test_units_of_an_experiment_meet_its_arms_as_can_be_recomputed(tried: World) -> None:
    """Everybody else meets the champion; each answer and record says by which rule."""
    parts = tried.parts()
    client = Client(parts)
    declared = parts.reconciler.table.lines[LINE].route
    assert declared is not None
    for i in range(60):
        answered = client.post(INFER, v2_body([ROW]), x_unit_id=f"u{i}", x_request_id=f"r{i}")
        expected = assign(declared.declaration.state, unit=f"u{i}", request_id=f"r{i}")
        assert answered.headers["x-model-version"] == str(expected.version)
        assert answered.headers.get("x-experiment") == expected.experiment
    logged = tried.logged().set_index("request_id")
    part = logged[logged["experiment"] == "trees"]
    assert set(part.index) == {f"r{i}" for i in range(60) if takes_part(an_experiment(), f"u{i}")}
    assert set(part["propensity"]) == {0.5}
    assert set(part["version"]) == {1, 2}
    assert set(logged.loc[logged["experiment"].isna(), "version"]) == {1}


def ask_and_reward(client: Client, number: int) -> str:
    """One unit asks; only what version 2 answered was worth something."""
    answered = client.post(INFER, v2_body([ROW]), x_unit_id=f"u{number}", x_request_id=f"r{number}")
    version = answered.headers["x-model-version"]
    worth = {"request_id": f"r{number}", "reward": 1.0 if version == "2" else 0.0}
    client.post(REWARDS, worth)
    return version


def test_rewards_move_the_split_and_outlive_a_restart(tried: World) -> None:
    """The arm that earns gets nearly all units of the experiment, also after a restart."""
    parts = tried.parts()
    client = Client(parts)
    for i in range(200):
        ask_and_reward(client, i)
    parts.reconciler.reconcile()
    experiment = an_experiment(allocation="thompson")
    shares = parts.endpoint.bandits.percent(LINE, experiment)
    assert shares is not None
    assert shares[1] == pytest.approx(5.0, abs=0.1)
    again = tried.parts()
    assert again.endpoint.bandits.percent(LINE, experiment) == pytest.approx(shares)
    number = next(i for i in range(1000, 2000) if takes_part(experiment, f"u{i}"))
    version = int(ask_and_reward(Client(again), number))
    assert tried.logged().iloc[-1]["propensity"] == pytest.approx(shares[version] / 100, abs=1e-4)


def test_the_first_reward_of_a_request_stands(tried: World) -> None:
    """Told again it is counted as repeated and changes nothing."""
    client = Client(tried.parts())
    number = next(i for i in range(99) if takes_part(an_experiment(), f"u{i}"))
    ask_and_reward(client, number)
    told = client.post(REWARDS, {"request_id": f"r{number}", "reward": 0.5})
    assert told.json == {"accepted": 0, "repeated": 1, "unmatched": []}


def test_a_reward_nobody_knows_the_arm_of_is_kept_and_named(tried: World) -> None:
    """It teaches nothing; with the version its answer came from it does."""
    parts = tried.parts()
    client = Client(parts)
    told = client.post(REWARDS, {"rewards": [{"request_id": "long-ago", "reward": 1}]})
    assert told.json == {"accepted": 1, "repeated": 0, "unmatched": ["long-ago"]}
    assert parts.endpoint.bandits.earned(LINE, "trees") == {}
    client.post(REWARDS, {"request_id": "long-ago-2", "reward": 1, "version": 2})
    assert parts.endpoint.bandits.earned(LINE, "trees")[2].n == 1


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"request_id": "r", "reward": 1.5}, id="above 1"),
        pytest.param({"request_id": "r", "reward": -1}, id="below 0"),
        pytest.param({"request_id": "", "reward": 1}, id="no request"),
        pytest.param({"request_id": "r"}, id="no reward"),
        pytest.param({"rewards": [{"request_id": "r", "reward": True}]}, id="truth value"),
        pytest.param({"request_id": "r", "reward": 1, "event_time": "noon"}, id="time"),
        pytest.param([], id="a list"),
    ],
)
def test_unusable_rewards_are_refused(tried: World, document: object) -> None:
    """400, and nothing is learned."""
    parts = tried.parts()
    assert Client(parts).post(REWARDS, document).status == 400
    assert parts.endpoint.bandits.earned(LINE, "trees") == {}


def test_a_threshold_adds_decisions_to_answers_and_records(world: World) -> None:
    """Both protocols give the decision beside the probability, on which nothing changes."""
    world.declare(1)
    plain = Client(world.parts()).post(INVOCATIONS, {"dataframe_records": [ROW, ROW]}).json
    probability = plain["predictions"][0]
    for threshold, decision in ((probability, 1), (probability + 1e-6, 0)):
        world.declare(1, threshold=threshold)
        client = Client(world.parts())
        found = client.post(INVOCATIONS, {"dataframe_records": [ROW, ROW]}).json
        assert found == {**plain, "decisions": [decision, decision]}
        outputs = client.post(INFER, v2_body([ROW])).json["outputs"]
        assert [o["name"] for o in outputs] == ["probability_late", "decision"]
        assert outputs[1]["data"] == [decision]
    assert world.logged()["decision"].dropna().tolist() == [1, 1, 1, 0, 0, 0]


def test_a_pulled_switch_answers_without_a_model_until_it_is_released(world: World) -> None:
    """At once, in both protocols, with a record that names no model; and back again."""
    client = Client(world.parts())
    before = client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json
    pulled = client.post(SWITCH, PULL)
    assert (pulled.status, pulled.json["answers"]) == (200, 0.25)
    found = client.post(INVOCATIONS, {"dataframe_records": [ROW, ROW]})
    assert found.json == {"predictions": [0.25, 0.25]}
    assert found.headers["x-variant"] == "kill_switch"
    outputs = client.post(INFER, v2_body([ROW], id="mine")).json
    assert (outputs["id"], outputs["outputs"][0]["data"]) == ("mine", [0.25])
    logged = world.logged()
    assert logged["model_digest"].tolist()[1:] == ["none"] * 3
    assert client.post(SWITCH, RELEASE).json["answers"] is None
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json == before


def test_a_pulled_switch_outlives_a_restart(world: World) -> None:
    """The next server answers without a model from its first request on."""
    Client(world.parts()).post(SWITCH, PULL)
    found = Client(world.parts()).post(INVOCATIONS, {"dataframe_records": [ROW]})
    assert found.json == {"predictions": [0.25]}


def test_a_declared_switch_answers_even_if_no_model_of_it_can_be_loaded(world: World) -> None:
    """What Git declares holds although the declared version is broken."""
    parts = world.parts()
    world.digests[7] = "sha256:" + "7" * 64
    world.declare(7, kill_switch=KillSwitch(answer=0.5, engaged=True))
    parts.reconciler.reconcile()
    client = Client(parts)
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json == {"predictions": [0.5]}
    released = client.post(SWITCH, RELEASE)
    assert released.json == {"line": LINE, "answers": 0.5, "engaged_in_git": True}


def test_the_declared_answer_is_taken_where_none_is_sent(world: World) -> None:
    """A switch that is declared and not engaged gives the answer of one that is pulled."""
    world.declare(1, kill_switch=KillSwitch(answer=0.125))
    client = Client(world.parts())
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json != {"predictions": [0.125]}
    assert client.post(SWITCH, {**PULL, "answer": None}).json["answers"] == 0.125


@pytest.mark.parametrize(
    ("document", "status", "word"),
    [
        pytest.param({**PULL, "answer": None}, 409, "none declared", id="no answer"),
        pytest.param({**PULL, "answer": 1.5}, 409, "0 to 1", id="no probability"),
        pytest.param({**PULL, "by": " "}, 400, "by", id="nobody"),
        pytest.param({**PULL, "reason": ""}, 400, "reason", id="no reason"),
        pytest.param({"engaged": True}, 400, "by", id="neither"),
        pytest.param({**PULL, "engaged": "yes"}, 400, "engaged", id="a word"),
        pytest.param({**PULL, "more": 1}, 400, "more", id="unknown field"),
    ],
)
def test_a_pull_that_says_too_little_is_refused(
    world: World, document: dict[str, Any], status: int, word: str
) -> None:
    """Refused by name, and models go on to answer."""
    parts = world.parts()
    answered = Client(parts).post(SWITCH, document)
    assert answered.status == status
    assert word in answered.json["error"]
    assert parts.endpoint.switches.pulled(LINE) is None


def test_a_switch_that_cannot_be_kept_holds_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 says that a restart would release it; until then no model answers."""

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    parts = world.parts()
    client = Client(parts)
    monkeypatch.setattr(os, "fsync", no_space)
    assert client.post(SWITCH, PULL).status == 503
    monkeypatch.undo()
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json == {"predictions": [0.25]}


def test_a_switch_on_its_way_into_git_holds_in_every_pass(world: World) -> None:
    """Declared first and cleared after, no pass finds it released."""
    parts = world.parts()
    client = Client(parts)
    client.post(SWITCH, PULL)
    files = SwitchFiles(world.settings.switches)
    pulled = files.read(LINE, "production")
    assert pulled is not None
    world.declare(1, kill_switch=KillSwitch(answer=0.25, engaged=True))
    seen = parts.endpoint.switches.seen()
    assert files.clear(LINE, "production", pulled)
    parts.reconciler.reconcile()
    parts.endpoint.switches.take_over(*seen)
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json == {"predictions": [0.25]}
    parts.reconciler.reconcile()
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json == {"predictions": [0.25]}


def test_a_switch_file_that_cannot_be_read_releases_nothing(world: World) -> None:
    """The pull that holds goes on to hold."""
    parts = world.parts()
    client = Client(parts)
    client.post(SWITCH, PULL)
    path: Path = world.settings.switches / "production" / f"{LINE}.json"
    path.write_text(json.dumps({"engaged": "?"}), encoding="utf-8")
    parts.reconciler.reconcile()
    assert client.post(INVOCATIONS, {"dataframe_records": [ROW]}).json == {"predictions": [0.25]}


def test_a_decision_can_be_asked_for_by_name_where_there_is_one(world: World) -> None:
    """Named outputs are those that come back; without a threshold there is no such output."""
    body = v2_body([ROW], outputs=[{"name": "probability_late"}])
    both = v2_body([ROW], outputs=[{"name": "probability_late"}, {"name": "decision"}])
    world.declare(1, threshold=0.5)
    client = Client(world.parts())
    assert [o["name"] for o in client.post(INFER, body).json["outputs"]] == ["probability_late"]
    assert len(client.post(INFER, both).json["outputs"]) == 2
    world.declare(1)
    refused = Client(world.parts()).post(INFER, both)
    assert (refused.status, "decision" in refused.json["error"]) == (400, True)


def test_a_binary_request_is_answered_without_a_model_too(world: World) -> None:
    """Its rows are told by the shape; their values are nobody's concern then."""
    client = Client(world.parts())
    client.post(SWITCH, PULL)
    values = b"\0" * 24
    head = {
        "inputs": [
            {
                "name": "distance",
                "shape": [3],
                "datatype": "FP64",
                "parameters": {"binary_data_size": len(values)},
            }
        ]
    }
    encoded = json.dumps(head).encode()
    found = client.send(
        "POST", INFER, encoded + values, {"inference-header-content-length": str(len(encoded))}
    )
    assert found.json["outputs"] == [
        {"name": "probability_late", "datatype": "FP64", "shape": [3], "data": [0.25] * 3}
    ]


def test_who_names_the_champion_is_pinned_and_takes_no_part(tried: World) -> None:
    """No experiment, no propensity, no bucket: it was met by no chance."""
    client = Client(tried.parts())
    unit = next(f"u{i}" for i in range(99) if takes_part(an_experiment(), f"u{i}"))
    answered = client.post(
        f"/v2/models/{LINE}/versions/1/infer", v2_body([ROW]), x_unit_id=unit, x_request_id="r"
    )
    assert answered.headers.get("x-experiment") is None
    record = tried.logged().iloc[0]
    assert (record["variant"], record["version"]) == ("pinned", 1)
    assert record[["experiment", "bucket"]].isna().all()
    assert record["propensity"] != record["propensity"]


def test_the_status_page_says_first_that_no_model_answers(tried: World) -> None:
    """The pulled switch is a problem; experiment, threshold and fallbacks stand with the line."""
    client = Client(tried.parts())
    client.post(SWITCH, PULL)
    client.post(INFER, v2_body([ROW]))
    line = client.get("/status").json["lines"][LINE]
    assert (line["static_answer"], line["requests"]["static"]) == (0.25, 1)
    assert line["serving"]["experiment"]["arms"] == {"1": 50.0, "2": 50.0}
    page = client.parts.endpoint.handle("GET", "/", {}, b"").body.decode()
    assert "the kill switch is pulled: every row is answered 0.25" in page
    assert "trees: 50 % of the units, version 1 50 %, version 2 50 % (thompson)" in page
    metrics = client.parts.endpoint.handle("GET", "/metrics", {}, b"").body.decode()
    assert f'ml_release_static_answers_total{{line="{LINE}"}} 1.0' in metrics
