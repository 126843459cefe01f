"""Tools of tests and ports: an interpreter of CoreML programs, golden vectors of the runtime."""
