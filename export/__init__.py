"""From a checkpoint to files that run on a device, each checked against the network it came from."""
