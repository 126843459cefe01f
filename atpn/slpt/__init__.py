"""SLPT and DSLPT: landmarks from sparse local patches, sized by uncertainty in DSLPT (thesis, chapters 4 and 5)."""
