"""Gates against slow code, made to hold on a noisy machine: `python -m bench.gates`.

Counted instructions do not depend on the load of the machine, and ratios of two things measured in the same run depend
little on which machine it is. Absolute times are never compared.
"""
