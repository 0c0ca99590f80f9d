"""The real endpoint server for one version on trial, and the load it is put under."""

from ml_release.adapters.trial_server.server import Parts, TrialServerProcess

__all__ = ["Parts", "TrialServerProcess"]
