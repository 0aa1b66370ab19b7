"""What lmi_fast costs beside its rivals: `python -m bench` measures, bench/report.py writes bench/README.md."""
