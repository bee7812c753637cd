"""Configurations: each file adds a model and presets to `symjax.train.config.base()`, which has the fields of training."""
