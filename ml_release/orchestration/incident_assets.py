"""The incident of a rollback: written after the commit, again when more is known, or by hand."""

from typing import Any

import dagster as dg
from pydantic import Field

from ml_release.domain.incident import QUESTIONS, UNKNOWN, Incident, Verification
from ml_release.domain.incident_timeline import in_words
from ml_release.domain.incident_upkeep import looks_due
from ml_release.domain.incident_words import Words
from ml_release.domain.taken_back import taken_back
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.orchestration.endpoint_assets import release_group
from ml_release.orchestration.jobs import LINE_TAG, REASON_TAG, op_job
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.tables import findings_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.incidents import WrittenIncident, find_rollback, write_incident
from ml_release.workflows.promotion import Moved
from ml_release.workflows.rollback_verification import ROLLBACK_VERIFICATION

INCIDENT = "incident"
_SECONDS_BETWEEN_TICKS = 120


class IncidentForm(dg.Config):
    """Which incident is written again, the newest if empty; what somebody adds to it."""

    incident: str | None = Field(
        default=None, description="Its name, or the beginning of its commit; empty: the newest."
    )
    by: str | None = Field(default=None, description="Who adds what follows.")
    answers: dict[str, str] = Field(
        default_factory=dict, description=f"Texts, under {', '.join(QUESTIONS)}."
    )
    owners: dict[str, str] = Field(
        default_factory=dict, description="Who takes a follow-up, under its key."
    )
    closes: bool = Field(default=False, description="Whether it is over with this.")

    @property
    def words(self) -> Words | None:
        """None if nobody adds anything."""
        if self.by is None and not (self.answers or self.owners or self.closes):
            return None
        return Words(by=self.by or "", answers=self.answers, owners=self.owners, closes=self.closes)


def incident_spec(line: ReleaseLine) -> dg.AssetSpec:
    """The asset ``<line>/incident``: made by every job that takes a version back."""
    return dg.AssetSpec(
        key=[line.name, INCIDENT],
        deps=[dg.AssetKey([line.name, "production_endpoint"])],
        group_name=release_group(line),
        description=(
            "The newest rollback: what took the version back, whom it met, what would have been"
            f" answered otherwise, what is left to do. Made by the job {line.name}_write_incident."
        ),
    )


def tell_incident(
    context: dg.OpExecutionContext, line: ReleaseLine, wiring: Wiring, moved: Moved
) -> None:
    """Write the incident of a move that took a version back; nothing else is told of.

    The move is done and stays done: whatever goes wrong here is a warning.
    """
    commit = moved.declaration.commit
    try:
        history = wiring.deployments.history(line.name, wiring.environment)
        for taken in taken_back(history):
            if taken.after.commit == commit:
                _show(context, line, _write(line, wiring, taken.incident_id))
    except Exception as error:  # noqa: BLE001 (the rollback is done and must not fail for its report)
        context.log.warning(
            "the incident of commit %s was not written: %s. The job %s_write_incident writes it.",
            commit[:12],
            error,
            line.name,
        )


def write_incident_job(line: ReleaseLine, wiring: Wiring) -> dg.JobDefinition:
    """The job ``<line>_write_incident``."""

    @dg.op(
        name=f"{line.name}_write_incident_of",
        description="Write it from what is known now, with what somebody adds.",
    )
    def write(context: dg.OpExecutionContext, config: IncidentForm) -> None:
        with reported():
            written = _write(line, wiring, config.incident, words=config.words)
        _show(context, line, written)

    return op_job(
        line,
        "write_incident",
        write,
        description="Write the incident of a rollback again, from what is known now.",
    )


def incident_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for the job when more is known of a rollback, or nothing was written of it."""

    @dg.sensor(
        name=f"{line.name}_incident",
        job_name=f"{line.name}_write_incident",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes incidents again as traffic and labels come in.",
    )
    def incident(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = wiring.clock.now()
        with reported():
            taken = taken_back(wiring.deployments.history(line.name, wiring.environment))
        looks = {
            one.incident_id: looks_due(
                one.after.committed_at, label_delay=line.label_delay, now=now
            )
            for one in taken
        }
        due = {f"incident:{name}:{count}": name for name, count in looks.items() if count}
        asked = (context.cursor or "").split()
        requests = [
            dg.RunRequest(
                run_key=key,
                run_config=incident_config(line, name),
                tags={LINE_TAG: line.name, REASON_TAG: f"look {looks[name]} at {name}"},
            )
            for key, name in due.items()
            if key not in asked
        ]
        if not requests:
            return dg.SkipReason("nothing was taken back, or nothing more is known yet")
        return dg.SensorResult(run_requests=requests, cursor=" ".join(due))

    return incident


def incident_config(line: ReleaseLine, incident_id: str) -> dict[str, object]:
    """Run configuration of the job that writes an incident."""
    return {"ops": {f"{line.name}_write_incident_of": {"config": {"incident": incident_id}}}}


def _write(
    line: ReleaseLine, wiring: Wiring, named: str | None, *, words: Words | None = None
) -> WrittenIncident:
    return write_incident(
        line,
        named,
        words=words,
        verification=_verification(line, wiring, named),
        environment=wiring.environment,
        inference_log=wiring.inference_log,
        tables=wiring.tables,
        evidence=wiring.evidence,
        models=wiring.models,
        loader=wiring.loader,
        experiments=wiring.experiments,
        deployments=wiring.deployments,
        reports=wiring.reports,
        now=wiring.clock.now(),
    )


def _verification(line: ReleaseLine, wiring: Wiring, named: str | None) -> Verification | None:
    """What was found of the rollback since, as it was recorded; None while nothing was decided."""
    taken = find_rollback(
        line, named, environment=wiring.environment, deployments=wiring.deployments
    )
    content = wiring.evidence.find(line.name, ROLLBACK_VERIFICATION, taken.after.commit)
    verdict = None if content is None else verdict_from_json(content)
    if verdict is None or verdict.outcome is Outcome.INCONCLUSIVE:
        return None
    return Verification(
        outcome=verdict.outcome,
        findings=verdict.findings,
        verified_at=wiring.clock.now().isoformat(),
    )


def _show(context: dg.OpExecutionContext, line: ReleaseLine, written: WrittenIncident) -> None:
    context.log_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey([line.name, INCIDENT]), metadata=incident_metadata(written)
        )
    )


def incident_metadata(written: WrittenIncident) -> dict[str, Any]:
    """What the page of the asset shows: the summary, and where the whole is."""
    incident = written.incident
    return {
        "incident": incident.incident_id,
        "status": incident.status,
        "revision": incident.revision,
        "changed": written.changed,
        "page": dg.MetadataValue.path(written.place),
        "page digest": written.page_digest,
        "record digest": incident.digest,
        "summary": dg.MetadataValue.table(
            [dg.TableRecord({"what": what, "value": value}) for what, value in summary(incident)]
        ),
        "findings": findings_table(incident.trigger.findings)
        if incident.trigger.findings
        else "none on record",
        "left to do": dg.MetadataValue.table(
            [
                dg.TableRecord({"what": one.what, "owner": one.owner, "why": one.why})
                for one in incident.follow_ups
            ]
        ),
        "could not be had": "\n".join(incident.missing) or "nothing",
    }


def summary(incident: Incident) -> tuple[tuple[str, str], ...]:
    """The incident in a dozen lines, name and value."""
    served, blast = incident.impact.served, incident.blast_radius
    compared = blast is not None and blast.total.decided
    costs = None if blast is None else blast.costs
    how = "by itself, " if incident.trigger.is_automatic else "by hand, "
    return (
        ("bad version", f"{incident.bad.version} ({', then '.join(incident.legs)})"),
        ("restored version", str(incident.restored.version)),
        ("method", incident.method),
        ("taken back", f"{how}{incident.trigger.by}: {incident.trigger.reason}"),
        (
            "requests",
            f"{served.requests} served, {incident.impact.shadowed.requests} in secret",
        ),
        ("failed", f"{served.errors} failed, {served.fallbacks} answered by another version"),
        (
            "decided otherwise",
            f"{blast.total.differing} of {blast.total.decided} rows"
            if blast is not None and compared
            else UNKNOWN,
        ),
        ("more cost", UNKNOWN if costs is None else f"{costs.excess:.4g}"),
        *(
            (one.what, UNKNOWN if one.seconds is None else in_words(one.seconds))
            for one in incident.spans
        ),
        (
            "verification",
            UNKNOWN if incident.verification is None else incident.verification.outcome.value,
        ),
    )
