"""How the endpoint server loads a model: exact graphs, and trusted types where installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.adapters.model_ladder import LadderLoader
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.skops_models import SkopsLoader
from ml_release.domain.artefact import MODEL_FILE, SKOPS_FILE

if TYPE_CHECKING:
    from ml_release.domain.answering import ModelLoader


def serving_loader() -> ModelLoader:
    """By the file that holds the model."""
    return LadderLoader({MODEL_FILE: OnnxLoader(), SKOPS_FILE: SkopsLoader()})
