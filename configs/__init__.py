"""Configurations: `base.py` has every field of training with its meaning; the others add a model and presets."""
