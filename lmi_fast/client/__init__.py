"""The Runtime API over sockets."""
