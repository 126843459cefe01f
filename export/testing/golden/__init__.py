"""Golden vectors: what `edge_runtime` gives on short sequences, for ports of it to other languages to be tested by."""
