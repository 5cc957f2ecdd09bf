"""Core's own recipes, one file for each family of them, and how a recipe is switched on."""
