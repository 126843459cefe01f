"""Time of a network relative to this core's peak, by block, and by operator."""
