"""Many invocations with faults of every kind, each of which has to be answered exactly once, and rightly."""
