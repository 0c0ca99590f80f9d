"""Pages by Evidently: rows of a window beside rows of the reference, column by column.

Evidently decides nothing here; its own limits are shown beside ours as a second opinion. It is
imported when a page is asked for, since that takes seconds, and with its telemetry off.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError
from ml_release.settings import refuse_telemetry

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 10_000
"""Of either side: the page is as large whatever the rows, its making is not."""

_MOST_WORDS = 30
_OTHER = "(other)"
_MISSING = "(missing)"
_LONGEST_WORD = 200
_LOOKALIKES = {
    ord("<"): "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    ord(">"): "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
    ord("&"): "\N{FULLWIDTH AMPERSAND}",
}
_SEED = 0
# Its charts are drawn by a script inside the page; nothing may be fetched, sent or embedded.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:;"
    " style-src 'unsafe-inline'; img-src data: blob:; font-src data:; form-action 'none';"
    " base-uri 'none'"
)


class EvidentlyPages:
    """`DriftPages` by Evidently's preset for data drift, and its summary of both sides."""

    def page(self, reference: pd.DataFrame, current: pd.DataFrame, *, title: str) -> bytes:
        """One HTML page that fetches nothing.

        Raises
        ------
        InputError
            If no column has a value on both sides.
        """
        sides = _comparable(_sample(reference), _sample(current))
        if sides is None:
            message = (
                f"{title}: expected a column with values on both sides, found"
                f" {len(reference)} rows of the reference and {len(current)} of the window"
            )
            raise InputError(message)
        known, seen = sides
        # It looks when it is imported whether it may report to its makers.
        refuse_telemetry()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently import DataDefinition, Dataset, Report
            from evidently.presets import DataDriftPreset, DataSummaryPreset

            words = [name for name in seen if seen[name].dtype == object]
            definition = DataDefinition(
                numerical_columns=[name for name in seen if name not in words],
                categorical_columns=words,
            )
            report = Report([DataDriftPreset(), DataSummaryPreset()])
            with np.errstate(all="ignore"):
                run = report.run(
                    Dataset.from_pandas(seen, data_definition=definition),
                    Dataset.from_pandas(known, data_definition=definition),
                )
            page: str = run.get_html_str(as_iframe=False)
        return _closed(page, title).encode()


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) <= MOST_ROWS:
        return frame.reset_index(drop=True)
    return frame.sample(MOST_ROWS, random_state=_SEED).sort_index().reset_index(drop=True)


def _comparable(
    reference: pd.DataFrame, current: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Both sides in a form that Evidently takes; None if no column is left.

    It raises on a column without values and on mixed types, and puts words into its page as they
    are, inside a script.
    """
    import pandas as pd

    columns: tuple[dict[str, pd.Series], dict[str, pd.Series]] = ({}, {})
    for name in reference.columns.intersection(current.columns):
        pair = (reference[name], current[name])
        if any(side.dtype == object for side in pair):
            common = pair[0].astype(object).value_counts().index[:_MOST_WORDS]
            made = [_words(side, set(common)) for side in pair]
        else:
            made = [
                side.astype(np.float64).replace([np.inf, -np.inf], np.nan).reset_index(drop=True)
                for side in pair
            ]
        if all(side.notna().any() for side in made):
            for side, column in zip(columns, made, strict=True):
                side[_harmless(str(name))] = column
    return (pd.DataFrame(columns[0]), pd.DataFrame(columns[1])) if columns[0] else None


def _words(column: pd.Series, common: set[object]) -> pd.Series:
    missing = column.isna()
    shown = column.where(missing | column.isin(common), _OTHER).where(~missing, _MISSING)
    return shown.astype(str).map(_harmless).astype(object).reset_index(drop=True)


def _harmless(text: str) -> str:
    """Text that neither ends a script nor begins an element, and reads as it did."""
    return re.sub(r"[\x00-\x1f]", " ", text.translate(_LOOKALIKES))[:_LONGEST_WORD]


def _closed(page: str, title: str) -> str:
    """The page with a policy before all content, and a head that says what it is."""
    head = (
        f'<head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy"'
        f' content="{_POLICY}"><title>{_harmless(title)}</title>'
    )
    found = page.replace("<head>", head, 1)
    found = found if head in found else f"<!doctype html><html>{head}</head>{page}</html>"
    said = (
        '<p style="font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:1rem auto;'
        f'padding:0 1rem"><b>{_harmless(title)}</b><br>A second opinion by Evidently, from at most'
        f" {MOST_ROWS:,} rows of either side, with its own limits. Nothing acts on it: the judge of"
        " drift counts all rows, see monitoring.html beside this file.</p>"
    )
    return re.sub(r"<body[^>]*>", lambda body: body[0] + said, found, count=1)
