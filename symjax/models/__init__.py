"""Assembled models; `symjax.systems` names those the training loop can build."""
