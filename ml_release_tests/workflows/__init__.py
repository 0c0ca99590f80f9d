"""Use cases from landing to rollback, with every port in memory."""
