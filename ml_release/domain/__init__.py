"""Decisions: frozen data in, frozen data out. No clock, file, network, randomness or vendor."""
