"""``ml-release token``: shown once, kept as a hash, refused with one message."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ml_release.cli import app
from ml_release.cli.access_tokens import make_token
from ml_release.errors import InputError
from ml_release.serving.tokens import holder_of, parse_tokens
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_command_prints_a_token_and_keeps_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the file of the settings, with what it allows and until when."""
    file = tmp_path / "tokens.jsonl"
    monkeypatch.setenv("ML_RELEASE_TOKENS", str(file))
    arguments = ["token", "shop", "--scope", "predict", "--scope", "label", "--line", "a_line"]
    done = CliRunner().invoke(app, [*arguments, "--days", "2", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    tokens, problems = parse_tokens(file.read_bytes())
    assert problems == ()
    holder = holder_of(told["token"], tokens)
    assert holder is not None
    assert (holder.name, holder.lines) == ("shop", ("a_line",))
    assert holder.scopes == ("predict", "label")
    now = datetime.now(tz=UTC)
    assert holder.is_expired(now + timedelta(days=2))
    assert not holder.is_expired(now + timedelta(days=1.9))
    text = CliRunner().invoke(app, ["token", "till", "--scope", "operate"]).stdout
    tokens, _ = parse_tokens(file.read_bytes())
    till = holder_of(text.splitlines()[0], tokens)
    assert till is not None
    assert till.name == "till"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": None}, "neither --file nor ML_RELEASE_TOKENS"),
        ({"scopes": ["admin"]}, "expected predict, label, operate, found admin"),
        ({"scopes": []}, "expected one or more"),
        ({"days": 0.0}, "expected more than 0"),
        ({"days": float("nan")}, "expected more than 0"),
        ({"name": ""}, "expected 1 to 128"),
        ({"lines": ["../x"]}, "../x"),
    ],
)
def test_what_cannot_be_used_makes_no_token(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """One message, and no file."""
    given: dict[str, Any] = {"name": "shop", "scopes": ["predict"], "lines": [], "days": None}
    given |= {"file": tmp_path / "tokens.jsonl", **change}
    with pytest.raises(InputError) as refused:
        make_token(**given, settings=read_settings({"ML_RELEASE_HOME": str(tmp_path)}))
    assert message in str(refused.value)
    assert list(tmp_path.iterdir()) == []
