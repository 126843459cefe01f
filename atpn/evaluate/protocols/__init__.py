"""The published evaluations, from the datasets' original files: what is measured, how, and what was published."""
