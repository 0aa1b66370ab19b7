"""Bytes to values and back: HTTP replies, events, results. No sockets, no event loop, no os."""
