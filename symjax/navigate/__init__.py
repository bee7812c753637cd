"""Walking the group-subgroup hierarchy by operations: which operations can be given up or added, and what that is called.

Everything is worked out from the operations of one set, in exact integers; types are read off afterwards.
"""
