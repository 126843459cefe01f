"""Whether other machines and engines compute the same, and what they cost: Raspberry Pis, real and emulated."""
