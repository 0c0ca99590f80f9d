"""Writes the inference log; reading it is `inference_tables`, since a server has no pandas."""

from ml_release.adapters.inference_log.segments import SEGMENT_BYTES, InferenceLogFiles

__all__ = ["SEGMENT_BYTES", "InferenceLogFiles"]
