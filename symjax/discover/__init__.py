"""From a question to a ranked table: crystals drawn by any system, relaxed, set against a hull, and shown.

`symjax.discover.run.discover` is what the command `symjax discover` calls. `drawing` draws in pieces that a kill leaves behind,
`energies` makes and fills the hull, `ranking` makes the rows, `gallery` the page, `folder` owns what lies on disk.
"""
