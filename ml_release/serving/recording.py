"""Inference records on their way into the log: masked first, and counted where they cannot go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.masking import Masking
from ml_release.errors import LogFullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.domain.inference import InferenceRecord
    from ml_release.domain.masking import Mask
    from ml_release.serving.line_counts import LineCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Writes records of live answers and of shadows.

    Attributes
    ----------
    mask_key
        Gives the key that personal values are hashed with; asked for lines that have any.
    """

    log: InferenceLogFiles
    counts: MutableMapping[str, LineCounts]
    mask_key: Callable[[], bytes]

    def record(
        self,
        line: str,
        records: Sequence[InferenceRecord],
        masks: Mapping[str, Mask],
        *,
        requests: int = 1,
    ) -> int | None:
        """Position of the records in the log; None if they may be answered without.

        Parameters
        ----------
        masks
            What of them holds personal values, by column or feature name.
        requests
            How many they are of; counted where they cannot go.

        Raises
        ------
        UnavailableError
            If they could not be written, and are not to be answered without.
        """
        try:
            if masks:
                masking = Masking(line=line, masks=masks, key=self.mask_key())
                records = [masking.of_record(record) for record in records]
            return self.log.append_records(line, records)
        except UnavailableError as error:
            self.counts[line].unlogged += requests
            if isinstance(error, LogFullError) and self.log.bounds.when_full == "answer_unlogged":
                return None
            raise
