"""Reads the inference log into pandas, and archives what is finished; servers only write it."""

from ml_release.adapters.inference_tables.archive import InferenceArchiveFiles
from ml_release.adapters.inference_tables.tables import InferenceTables

__all__ = ["InferenceArchiveFiles", "InferenceTables"]
