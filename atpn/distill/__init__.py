"""Heads for points of the plane on a small network: from labels, and from the heavy teacher's answers."""
