"""Pictures drawn with matplotlib, without a display and without its global state."""

from ml_release.adapters.plots import (
    budgets,
    data,
    evaluation,
    experiments,
    rollout,
    shifts,
    windows,
)


class Plots:
    """`Plotter` on matplotlib's Agg canvas."""

    spread = staticmethod(data.spread)
    scores = staticmethod(data.scores)
    maturity = staticmethod(data.maturity)
    reliability = staticmethod(evaluation.reliability)
    roc = staticmethod(evaluation.roc)
    slices = staticmethod(evaluation.slices)
    costs = staticmethod(evaluation.costs)
    importances = staticmethod(evaluation.importances)
    search_history = staticmethod(evaluation.search_history)
    traffic = staticmethod(rollout.traffic)
    latencies = staticmethod(rollout.latencies)
    findings = staticmethod(rollout.findings)
    paired_scores = staticmethod(rollout.paired_scores)
    agreement = staticmethod(rollout.agreement)
    arm_differences = staticmethod(experiments.arm_differences)
    regret = staticmethod(experiments.regret)
    drift = staticmethod(shifts.drift)
    drift_history = staticmethod(shifts.drift_history)
    performance = staticmethod(windows.performance)
    gaps_over_time = staticmethod(windows.gaps_over_time)
    error_budgets = staticmethod(budgets.error_budgets)
