"""Templates: drawn, taken from schemes and photographs, shown; and three that come along as examples."""
