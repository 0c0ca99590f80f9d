"""Dagster, wiring only."""
