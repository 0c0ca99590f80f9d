"""What was counted of the inference log, each kind in a SQLite file: profiles, and answers."""
