"""The steps of the hot path one by one, on both twins: `python -m bench.micro`."""
