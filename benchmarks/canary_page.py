"""The page of operating characteristics, from what canary.py measured."""

from __future__ import annotations

import json
from typing import Any

_HEAD = """# Operating characteristics of the canary judge

How often it is wrong, and how soon it is right. Written by `python benchmarks/canary.py --write`;
do not edit it by hand. {releases} simulated releases stand behind each figure. Both arms are looked
at every 30 seconds. The canary gets 5 % of the traffic, 100, 300 or 1000 requests in five minutes.
A request fails with a probability of 1 %; latency is log-normal (sigma 0.5), its 95th percentile
frozen from 1000 requests of the control, without what a policy allows for the canary's own process
(`allowance_ms`), which hides whatever is smaller. Requests are independent of one another: clients
that repeat themselves make every figure worse, for every rule.

The judge looks at errors and latency together here, which share its false rollbacks; every other
rule looks at errors alone. Rules of thumb are as teams state them: z-tests at 5 %, two-sided;
Mann-Whitney on 60 minutes at 98 %, and 1.25 times as many errors; mSPRT with a normal mixture of
0.003 at 1 %.
"""
_TAIL = """
## What it does not say

- The interval of a share is Wilson's, 95 %.
- *never*: in more than half (or a tenth) of the releases it was not found in the time watched.
- Harm that begins late is found later than harm from the start: what was seen before speaks for the
  canary.
- A rule that is fast because it fires on everything has found nothing: read both tables together.

The same figures for programs:

```json
{figures}
```
"""
_JUDGE = "**judge**"


def page(measured: dict[str, Any], *, releases: int) -> str:
    """The whole page; ``measured`` is policy to table to traffic to figures."""
    parts = [_HEAD.format(releases=releases)]
    for policy, tables in measured.items():
        parts.append(f"\n## Policy: {policy}\n")
        parts.extend(_policy(tables))
    if "flight_delay" not in measured:
        parts.append("\nflight_delay is judged by the default policy.\n")
    parts.append(_TAIL.format(figures=json.dumps(measured)))
    return "".join(parts)


def figures(text: str) -> dict[str, Any]:
    """The figures of a page, read back."""
    found: dict[str, Any] = json.loads(text.split("```json\n")[1].split("\n```", maxsplit=1)[0])
    return found


def _policy(tables: dict[str, Any]) -> list[str]:
    traffic = list(tables["equal"])
    head = ["", *(f"{n} per 5 min" for n in traffic)]
    equal = tables["equal"]
    parts = [
        "\n### A canary like its control, rolled back within 24 hours\n\n",
        _table(
            head,
            [[_name(rule), *(_share(equal[n][rule]) for n in traffic)] for rule in equal["100"]],
        ),
        "\nAt 300 per five minutes:\n\n",
    ]
    others = [name for name in tables if name.startswith("equal, ")]
    rules = list(equal["100"])
    parts.append(
        _table(
            ["", *(name.removeprefix("equal, ") for name in others)],
            [[_name(rule), *(_share(tables[n]["300"][rule]) for n in others)] for rule in rules],
        )
    )
    parts.append("\n### Minutes until harm is found: median (90th percentile)\n")
    for name, table in tables.items():
        if "judge" in table["300"] and "median" in table["300"]["judge"]:
            columns = list(table)
            parts.append(f"\n{name[0].upper()}{name[1:]}:\n\n")
            rows = [
                [_name(rule), *(_minutes(table[n][rule]) for n in columns)] for rule in table["300"]
            ]
            parts.append(_table(["", *(f"{n} per 5 min" for n in columns)], rows))
    parts.append("\n### Shown to be no worse, within 24 hours, at a look each five minutes\n\n")
    rows = []
    for name in ("shown no worse", "worse by the tolerance"):
        title = "canary like its control" if name == "shown no worse" else "errors " + name
        table = tables[name]
        rows.append([f"{title}: releases", *(_share(table[n]["shown"]) for n in traffic)])
        rows.append([f"{title}: minutes", *(_minutes(table[n]["minutes"]) for n in traffic)])
    parts.append(_table(head, rows))
    return parts


def _name(rule: str) -> str:
    return _JUDGE if rule == "judge" else rule


def _share(found: dict[str, float]) -> str:
    return f"{100 * found['share']:.2f} % ({100 * found['low']:.2f} to {100 * found['high']:.2f})"


def _minutes(found: dict[str, Any]) -> str:
    median, most = (
        "never" if found[name] is None else f"{found[name]:g}" for name in ("median", "p90")
    )
    early = f", too early in {100 * found['early']:.2f} %" if found["early"] else ""
    return f"{median} ({most}){early}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n".join(lines) + "\n"
