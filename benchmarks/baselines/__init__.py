"""Other landmark networks compared with ours, on the same faces in the same run."""
