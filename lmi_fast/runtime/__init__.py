"""Invocations to handlers."""
