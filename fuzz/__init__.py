"""Coverage-guided fuzzing of the compiled HTTP reader; see README.md."""
