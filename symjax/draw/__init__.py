"""Pictures: crystals, pages of them, trees of subgroups, paths, derived structures, phase diagrams. Drawn without a display."""
