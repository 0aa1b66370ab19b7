"""What makes other people's logging, tracing and metrics right when invocations overlap.

Nothing here is imported by the core: an adapter is, by runtime/adapters.py, together with the library it is for.
"""
