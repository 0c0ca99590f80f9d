"""The status document as one HTML page for a person; it loads nothing from anywhere."""

from __future__ import annotations

from html import escape
from typing import Any

from ml_release.serving.routes import ADDRESSES

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .25rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; vertical-align: top; }
th { font-weight: 600; } tr + tr { border-top: 1px solid #8884; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.problem { border-left: .3rem solid #c33; padding: .25rem .75rem; margin: .5rem 0; }
.muted { opacity: .7; }
"""
_SHOWN_DIGITS = 12


def status_page(status: dict[str, Any], *, now: str) -> str:
    """The page for a document of `ml_release.serving.status.status_document`.

    Parameters
    ----------
    now
        When the page is made, ISO 8601.
    """
    lines = status["lines"]
    parts = [_line(name, line) for name, line in lines.items()]
    if not parts:
        parts = ["<p>No line is declared in this environment yet.</p>"]
    routes = "".join(
        f"<tr><td><code>{address.method} {escape(address.path)}</code></td>"
        f"<td>{escape(address.description)}</td></tr>"
        for address in ADDRESSES
    )
    ready = "every declared line is answered" if status["ready"] else "not ready"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ml_release: {escape(status["environment"])}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>What serves what in {escape(status["environment"])}</h1>
<p>{ready}; as of {_moment(now)}, running since {_moment(status["started_at"])}, declared state at
commit {_short(status["commit"])}</p>
{_problems(status["problems"])}
{"".join(parts)}
<h2>Routes</h2>
<table>{routes}</table>
</body>
</html>
"""


def _line(name: str, line: dict[str, Any]) -> str:
    serving = line["serving"]
    shown = [f"<h2>{escape(name)}</h2>", _problems(line["problems"])]
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
    rows = "".join(
        f"<tr><td>{escape(variant['role'])}</td><td>{variant['version']}</td>"
        f"<td>{variant['weight_percent']:g} %</td><td>{variant['answered']}</td>"
        f"<td>{'yes' if variant['loaded'] else 'no: the champion answers instead'}</td>"
        f"<td>{_short(variant['model_digest'])}</td></tr>"
        for variant in serving["variants"]
    )
    target, history = serving["rollback_target"], serving["history"]
    warm = (
        "none"
        if target is None
        else f"version {target['version']}, {'warm' if target['loaded'] else 'not loaded'}"
    )
    return (
        "<table><tr><th>variant</th><th>version</th><th>traffic</th><th>answered</th>"
        f"<th>loaded</th><th>model digest</th></tr>{rows}</table>"
        + _definitions(
            ("since", _moment(serving["since"])),
            ("why", escape(serving["reason"])),
            ("declared by", f"{escape(serving['actor'])}, {_moment(serving['committed_at'])}"),
            ("release", escape(serving["release"])),
            ("commit", _short(serving["commit"])),
            ("rollback target", warm),
            ("withdrawn", escape(", ".join(map(str, serving["withdrawn"])) or "none")),
            ("history features", _history(history)),
        )
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
