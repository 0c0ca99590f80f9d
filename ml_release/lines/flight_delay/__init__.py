"""Probability that a flight out of New York arrives more than 30 minutes late."""
