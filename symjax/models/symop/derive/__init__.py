"""Crystals below and above a parent crystal."""
