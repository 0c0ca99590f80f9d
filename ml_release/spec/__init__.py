"""What an author declares: a release line and its policies."""
