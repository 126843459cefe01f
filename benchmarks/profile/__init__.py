"""Where a network's time goes: against this core's peak, block by block, operator by operator."""
