"""What exported files cost on this machine: time by stage, start, size, memory, energy."""
