"""Use cases: gather, decide, act. No Dagster here: runnable from a test, a shell or a job."""
