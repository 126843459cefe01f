"""What each ingredient of a recipe is worth, in equally long short runs."""
