"""Other people's landmark networks beside ours, on the same faces in the same run."""
