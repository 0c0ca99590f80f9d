"""Release lines: user code. A line imports the spec, the domain and its own ML library only."""
