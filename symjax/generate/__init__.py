"""From a request to crystals: what can be asked, drawing, realising, and what every system offers."""
