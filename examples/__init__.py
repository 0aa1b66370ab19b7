"""Handlers to copy from, and the demo that runs them."""
