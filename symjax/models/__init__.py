"""Assembled models; `symjax.models.registry` names those the training loop can build."""
