"""ml_release: a self-hosted release system for ML models, built on Dagster."""
