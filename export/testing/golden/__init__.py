"""Golden vectors: results of `edge_runtime` on short sequences, to test its ports to other languages."""
