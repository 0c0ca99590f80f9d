"""The job ``<line>_waive``: a named person lets a finding go, with a form in the UI."""

from datetime import timedelta

import dagster as dg

from ml_release.orchestration.evaluation_page import report_metadata
from ml_release.orchestration.jobs import op_job
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.tables import waived_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.release_reports import write_report
from ml_release.workflows.waiving import WaiverRequest, waive


class WaiverForm(dg.Config):
    """Which finding of which candidate is let go, by whom, why, and for how many days.

    ``subject`` empty means all findings of the rule, ``candidate`` empty the newest one.
    """

    rule: str
    subject: str | None = None
    candidate: str | None = None
    by: str
    reason: str
    days: float


def waiver_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_waive``."""

    @dg.op(name=f"{line.name}_waive_finding", description="Record a waiver; nothing is released.")
    def waive_finding(context: dg.OpExecutionContext, config: WaiverForm) -> None:
        with reported():
            found = waive(
                line,
                WaiverRequest(
                    rule=config.rule,
                    subject=config.subject,
                    by=config.by,
                    reason=config.reason,
                    lasts=timedelta(days=config.days),
                ),
                model_digest=config.candidate,
                environment=wiring.environment,
                evidence=wiring.evidence,
                clock=wiring.clock,
            )
            report = write_report(
                line,
                model_digest=found[0].waiver.candidate,
                tables=wiring.tables,
                evidence=wiring.evidence,
                experiments=wiring.experiments,
                reports=wiring.reports,
                now=wiring.clock.now(),
            )
        for one in found:
            context.log.warning("%s", one.sentence())
        context.add_output_metadata({"waived": waived_table(found), **report_metadata(report)})

    return op_job(
        line,
        "waive",
        waive_finding,
        description="Let a finding of a candidate go for a time; it never becomes a pass.",
    )
