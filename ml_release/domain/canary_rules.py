"""The rules of the canary judge, by the names that findings and checks carry."""

from __future__ import annotations

SOURCE = "inference_log_answers"
CLOCK = "clock_goes_forward"
COUNTS = "counts_make_sense"
AGE = "canary_is_in_its_time"
ASKED = "arms_are_asked"
SPLIT = "split_is_as_declared"
YARDSTICK = "control_is_a_yardstick"
HARM = "canary_is_not_harmful"
NO_WORSE = "canary_is_shown_no_worse"
SLICES = "slices_are_not_harmed"
REQUESTS = "step_has_enough_requests"
MINUTES = "step_has_lasted"
DESCRIPTIONS = {
    SOURCE: "The counts come from a source that answers.",
    CLOCK: "Neither the step nor its requests begin in the future.",
    COUNTS: "No count is negative, and none counts more events than requests.",
    AGE: "The step has not lasted longer than it may without a decision.",
    ASKED: "Both arms had a request not long ago.",
    SPLIT: "Requests meet canary and control in the declared shares.",
    YARDSTICK: "The control answers well enough to be compared with.",
    HARM: "No metric is shown to be worse than the control's.",
    NO_WORSE: "Every critical metric is shown to be no worse than its tolerance.",
    SLICES: "No slice is shown to be harmed.",
    REQUESTS: "The canary was assigned enough requests in this step.",
    MINUTES: "The step has lasted long enough.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)
