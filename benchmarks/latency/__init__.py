"""Cost of exported files on this machine: time by stage, start, size, memory, energy."""
