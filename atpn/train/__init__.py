"""The training stages: recipes, batches, losses and the loop (thesis, section 3.2.4)."""
