"""Stage 2: which position each orbit takes."""
