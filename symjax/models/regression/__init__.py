"""Properties of crystals predicted from graphs of orbits; see `task`."""
