"""Pictures: crystals, pages of them, trees of subgroups, paths."""
