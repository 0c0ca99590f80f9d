"""The status document as one HTML page for a person; it loads nothing from anywhere."""

from __future__ import annotations

from html import escape
from typing import Any

from ml_release.serving.routes import ADDRESSES

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .25rem; padding-top: .5rem; border-top: 2px solid #8886; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; vertical-align: top; }
th { font-weight: 600; } tr + tr { border-top: 1px solid #8884; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.state { font-weight: 600; } .good::before { content: "\\25CF  "; color: #2a8a3e; }
.bad::before { content: "\\25CF  "; color: #c33; }
.note { border-left: .3rem solid #999; padding: .25rem .75rem; margin: .5rem 0; }
.problem { border-left: .3rem solid #c33; padding: .25rem .75rem; margin: .5rem 0;
  overflow-wrap: anywhere; }
.muted { opacity: .7; }
@media (max-width: 44rem) {
  table.variants, .variants tbody, .variants tr, .variants td { display: block; }
  .variants tr:first-child { display: none; }
  .variants tr { padding: .4rem 0; }
  .variants td, td.number { display: flex; justify-content: space-between; text-align: right;
    padding: .1rem 0; white-space: normal; gap: 1rem; }
  .variants td::before { content: attr(data-name); font-weight: 600; text-align: left; }
  .routes td { display: block; padding: .1rem 0; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
}
"""
REFRESH_SECONDS = 10
_SHOWN_DIGITS = 12
_NUMBER = ' class="number"'
_COLUMNS = (
    ("variant", False),
    ("version", False),
    ("share", True),
    ("answered", True),
    ("per second, 1 / 5 min", True),
    ("errors, 1 / 5 min", True),
    ("p50 / p99", True),
)
"""Head and whether its cells are numbers."""


def status_page(status: dict[str, Any], *, now: str) -> str:
    """The page for a document of `ml_release.serving.status.status_document`.

    Parameters
    ----------
    now
        When the page is made, ISO 8601.
    """
    lines = status["lines"]
    # What needs somebody to look comes first.
    ordered = sorted(lines.items(), key=lambda item: (not _needs_a_look(item[1]), item[0]))
    parts = [_line(name, line) for name, line in ordered]
    if not parts:
        parts = ["<p>No line is declared in this environment yet.</p>"]
    problems = [
        *status["problems"],
        *(
            f"{name}: the kill switch is pulled: every row is answered {line['static_answer']:g}"
            for name, line in ordered
            if line["static_answer"] is not None
        ),
        *(f"{name}: {problem}" for name, line in ordered for problem in line["problems"]),
    ]
    routes = "".join(
        f"<tr><td><code>{address.method} {escape(address.path)}</code></td>"
        f"<td>{escape(address.description)}</td></tr>"
        for address in ADDRESSES
    )
    kind = "good" if status["ready"] and not problems else "bad"
    ready = "every declared line is answered" if status["ready"] else "not ready"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}">
<title>ml_release: {escape(status["environment"])}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>What serves what in {escape(status["environment"])}</h1>
{_problems(problems)}
{_notes(status["notes"])}
<p><span class="state {kind}">{ready}</span>; as of {_moment(now)}, running since
{_moment(status["started_at"])}, declared state at commit {_short(status["commit"])}</p>
{"".join(parts)}
<h2>Routes</h2>
<table class="routes">{routes}</table>
</body>
</html>
"""


def _needs_a_look(line: dict[str, Any]) -> bool:
    return bool(line["problems"]) or line["serving"] is None or line["static_answer"] is not None


def _line(name: str, line: dict[str, Any]) -> str:
    serving = line["serving"]
    shown = [f"<h2>{escape(name)}</h2>"]
    if serving is None:
        shown.append("<p>Declared, but no version is loaded: requests are answered with 503.</p>")
    else:
        shown.append(_serving(serving))
    requests, latency = line["requests"], line["latency_ms"]
    shown.append(
        _definitions(
            (
                "requests",
                (
                    f"{requests['answered']} answered, {requests['rejected']} rejected,"
                    f" {requests['failed']} failed, {requests['unlogged']} unlogged;"
                    f" {requests['rows']} rows, {requests['labels']} labels"
                ),
            ),
            (
                "latency",
                (
                    f"p50 {_milliseconds(latency['p50'])}, p99 {_milliseconds(latency['p99'])} over"
                    f" the last {latency['of_last_requests']} requests"
                ),
            ),
        )
    )
    return "\n".join(shown)


def _serving(serving: dict[str, Any]) -> str:
    rows = "".join(_variant(variant) for variant in serving["variants"])
    target, history = serving["rollback_target"], serving["history"]
    warm = (
        "none"
        if target is None
        else f"version {target['version']}, {'warm' if target['loaded'] else 'not loaded'}"
    )
    heads = "".join(
        f'<th class="number">{name}</th>' if is_number else f"<th>{name}</th>"
        for name, is_number in _COLUMNS
    )
    return f'<table class="variants"><tr>{heads}</tr>{rows}</table>' + _definitions(
        ("since", _moment(serving["since"])),
        ("why", escape(serving["reason"])),
        ("declared by", f"{escape(serving['actor'])}, {_moment(serving['committed_at'])}"),
        ("release", escape(serving["release"])),
        ("under way", _under_way(serving["rollout"])),
        ("commit", _short(serving["commit"])),
        ("rollback target", warm),
        ("withdrawn", escape(", ".join(map(str, serving["withdrawn"])) or "none")),
        *_beside(serving),
        ("history features", _history(history)),
    )


def _under_way(rollout: dict[str, Any] | None) -> str:
    if rollout is None:
        return "none"
    step = f" step {rollout['step'] + 1}" if rollout["leg"] == "canary" else ""
    where = escape(f"version {rollout['version']}, {rollout['leg']}{step}")
    return f"{where}, since {_moment(rollout['since'])}"


def _beside(serving: dict[str, Any]) -> list[tuple[str, str]]:
    """What is in use beside the variants."""
    found = []
    experiment, asked = serving["experiment"], serving["shadow_questions"]
    if experiment is not None:
        arms = ", ".join(f"version {v} {w:g} %" for v, w in experiment["arms"].items())
        text = f"{experiment['name']}: {experiment['share_percent']:g} % of the units, {arms}"
        found.append(("experiment", escape(f"{text} ({experiment['allocation']})")))
    if serving["shadows"]:
        shadows = ", ".join(
            f"version {shadow['version']} {shadow['sample_percent']:g} %"
            + ("" if shadow["loaded"] else " not loaded")
            for shadow in serving["shadows"]
        )
        counted = ", ".join(f"{n} {name}" for name, n in asked.items())
        found.append(("shadows", escape(f"{shadows}: {counted}")))
    if serving["fallbacks"]:
        text = ", ".join(f"{n} for version {v}" for v, n in serving["fallbacks"].items())
        found.append(("fallbacks", escape(f"the champion answered {text}")))
    if serving["threshold"] is not None:
        found.append(("decision", f"yes from {serving['threshold']:g} on"))
    return found


def _variant(variant: dict[str, Any]) -> str:
    answers = "" if variant["loaded"] else " (not loaded: the champion answers)"
    cells = (
        escape(variant["role"]) + answers,
        f"{variant['version']} {_short(variant['model_digest'])}",
        f"{variant['weight_percent']:g} %",
        str(variant["answered"]),
        f"{variant['per_second_1m']:.1f} / {variant['per_second_5m']:.1f}",
        f"{_percent(variant['error_share_1m'])} / {_percent(variant['error_share_5m'])}",
        f"{_number(variant['p50_ms'])} / {_number(variant['p99_ms'])} ms",
    )
    return (
        "<tr>"
        + "".join(
            f'<td data-name="{name}"{_NUMBER if is_number else ""}><span>{cell}</span></td>'
            for (name, is_number), cell in zip(_COLUMNS, cells, strict=True)
        )
        + "</tr>"
    )


def _history(history: dict[str, Any]) -> str:
    if history["as_of"] is None:
        table = "no table"
    elif history["age_days"] is None:
        table = f"as of {escape(history['as_of'])}"
    else:
        table = (
            f"as of {escape(history['as_of'])}, {history['age_days']} days old at the last event,"
            f" at most {history['age_largest_days']}"
        )
    return f"{table}; {history['misses']} of {history['look_ups']} look-ups met no key"


def _definitions(*pairs: tuple[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in pairs) + "</dl>"


def _notes(notes: list[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _problems(problems: list[str]) -> str:
    return "".join(f'<p class="problem">{escape(problem)}</p>' for problem in problems)


def _short(digest: str | None) -> str:
    if digest is None:
        return '<span class="muted">none</span>'
    bare = digest.removeprefix("sha256:")
    return f'<code title="{escape(digest)}">{escape(bare[:_SHOWN_DIGITS])}</code>'


def _moment(moment: str) -> str:
    return f"<time>{escape(moment[:19].replace('T', ' '))} UTC</time>"


def _milliseconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} ms"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"  # noqa: RUF001 (no value)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"  # noqa: RUF001 (no requests)
