"""One function over many items, on workers of this machine or of a cluster: what every command uses that judges or makes crystals.

Owns `imap_items`, `map_items` and `Workers`. The processes are pebble's (`symjax.parallel.local`) or those of a running Dask
scheduler (`symjax.parallel.cluster`); what an item is worth is decided in one place (`symjax.parallel.items`) for both.
"""

from symjax.parallel.items import Processes, Workers, imap_items, imap_unordered, map_items, workers_of

__all__ = ["Processes", "Workers", "imap_items", "imap_unordered", "map_items", "workers_of"]
