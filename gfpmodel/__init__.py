"""Run the argument about ``__GFP_FAST_TRY``: a model of gfp bits, the page allocator and kfree_rcu."""

__version__ = "0.1.0"

#: Version of the JSON that the command line prints; it changes when a key changes its name or meaning.
JSON_SCHEMA = 1
