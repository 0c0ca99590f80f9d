"""Adapters: one module per vendor, none of which knows another."""
