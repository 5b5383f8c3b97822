"""Who depends on ``__GFP_BITS_SHIFT``: small models of the words that the gfp bits share with others.

Models: init/main.c, mm/page_alloc.c, mm/slub.c, include/linux/radix-tree.h, include/linux/xarray.h (v5.8).  They
compute; nothing here knows what the answer should be.  Give them ``with_shift(layout, n)`` to see a forgotten shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import GFP_T_BITS, RADIX_TREE_MAX_TAGS, Layout
from gfpmodel.gfp.names import GFP_T_MAX, check_mask, decode

XA_FLAGS_TRACK_FREE = 4  #: and ROOT_IS_IDR, the same bit
TAGS = ("XA_MARK_0 (DIRTY, IDR_FREE)", "XA_MARK_1 (WRITEBACK)", "XA_MARK_2 (TOWRITE)")
SLEEPING = ("__GFP_DIRECT_RECLAIM", "__GFP_KSWAPD_RECLAIM", "__GFP_WAIT")  #: the last one before v4.4


def with_shift(layout: Layout, shift: int) -> Layout:
    """Return the layout with another ``__GFP_BITS_SHIFT`` (0 to 32) and its flags where they were.

    The masks of mm/internal.h that are made of ``__GFP_BITS_MASK`` follow; raises InputError outside 0 to 32.
    """
    if not 0 <= shift <= GFP_T_BITS:
        raise InputError(f"__GFP_BITS_SHIFT {shift} is outside a gfp_t; expected 0 to {GFP_T_BITS}")
    mask = (1 << shift) - 1
    moved = {
        "GFP_BOOT_MASK": mask & ~_flags(layout, *SLEEPING, "__GFP_IO", "__GFP_FS"),
        "GFP_SLAB_BUG_MASK": (_flags(layout, "__GFP_DMA32", "__GFP_HIGHMEM") | ~mask) & GFP_T_MAX,
    }
    return replace(layout, shift=shift, composites={**layout.composites, **moved})


def _flags(layout: Layout, *names: str) -> int:
    value = 0
    for name in names:
        value |= layout.bits.get(name, 0)
    return value


def gfp_allowed_mask(layout: Layout, *, booted: bool = True) -> int:
    """Return ``gfp_allowed_mask``: GFP_BOOT_MASK until kernel_init_freeable() sets ``__GFP_BITS_MASK``."""
    return layout.bits_mask if booted else layout.composites["GFP_BOOT_MASK"]


def alloc_pages_mask(gfp: int, layout: Layout, *, booted: bool = True) -> int:
    """Return the mask the page allocator goes on with after ``gfp_mask &= gfp_allowed_mask``.

    Models: mm/page_alloc.c:__alloc_pages_nodemask (v5.8).
    """
    return check_mask(gfp) & gfp_allowed_mask(layout, booted=booted)


@dataclass(frozen=True)
class SlabRequest:
    """What SLUB does with the mask of a kmalloc() that needs a new slab: the mask it asks with, and what it prints."""

    mask: int
    warning: str | None


def new_slab_mask(gfp: int, layout: Layout) -> SlabRequest:
    """Return the mask with which SLUB asks for a new slab, and its complaint about bits it does not allow.

    Models: mm/slub.c:new_slab (v5.8).  Leaves out the cache's own allocflags.
    """
    bug = check_mask(gfp) & layout.composites["GFP_SLAB_BUG_MASK"]
    warning = None
    if bug:
        fixed = gfp & ~bug
        warning = (
            f"Unexpected gfp: {bug:#x} ({decode(bug, layout).printk}). "
            f"Fixing up to gfp: {fixed:#x} ({decode(fixed, layout).printk}). Fix your code!"
        )
        gfp = fixed
    keep = layout.composites["GFP_RECLAIM_MASK"] | layout.composites["GFP_CONSTRAINT_MASK"]
    return SlabRequest(gfp & keep, warning)


@dataclass(frozen=True)
class RadixTreeRoot:
    """The ``xa_flags`` word of a radix tree root: gfp bits below ``__GFP_BITS_SHIFT``, three tags above it."""

    xa_flags: int
    layout: Layout

    @classmethod
    def init(cls, gfp: int, layout: Layout) -> RadixTreeRoot:
        """Return ``RADIX_TREE_INIT(gfp)``: the mask is stored as it is.  Models: include/linux/radix-tree.h (v5.8)."""
        return cls(check_mask(gfp), layout)

    def root_gfp_mask(self) -> int:
        """Return the mask its nodes are allocated with.  Models: lib/radix-tree.c:root_gfp_mask (v5.8)."""
        return self.xa_flags & (self.layout.bits_mask & ~self.layout.composites["GFP_ZONEMASK"])

    def root_tag_get(self, tag: int) -> bool:
        """Return whether a tag (0 to 2) is set.  Models: lib/radix-tree.c:root_tag_get (v5.8)."""
        return bool(self.xa_flags & tag_bit(tag, self.layout))

    def root_tag_set(self, tag: int) -> RadixTreeRoot:
        """Return the root with a tag (0 to 2) set.  Models: lib/radix-tree.c:root_tag_set (v5.8)."""
        return replace(self, xa_flags=self.xa_flags | tag_bit(tag, self.layout))

    def root_tag_clear_all(self) -> RadixTreeRoot:
        """Return the root with its tags cleared.  Models: lib/radix-tree.c:root_tag_clear_all (v5.8)."""
        return replace(self, xa_flags=self.xa_flags & self.layout.bits_mask)


def tag_bit(tag: int, layout: Layout) -> int:
    """Return the bit of a root tag or xarray mark (0 to 2); raises InputError when it is outside the 32-bit word.

    Models: include/linux/xarray.h:XA_FLAGS_MARK and the BUILD_BUG_ON of lib/radix-tree.c:radix_tree_init (v5.8).
    """
    if not 0 <= tag < RADIX_TREE_MAX_TAGS:
        raise InputError(f"tag {tag} does not exist; expected 0 to {RADIX_TREE_MAX_TAGS - 1}")
    if layout.shift + tag >= GFP_T_BITS:
        raise InputError(f"__GFP_BITS_SHIFT {layout.shift} leaves no room for tag {tag}: BUILD_BUG_ON")
    return 1 << layout.shift + tag


def xa_flags_alloc(layout: Layout) -> int:
    """Return ``XA_FLAGS_ALLOC``, and with it ``IDR_RT_MARKER``: track free entries, mark 0 marks them.

    It is compiled into every object file that defines an IDR, so a module built with another shift disagrees.
    Models: include/linux/xarray.h:XA_FLAGS_ALLOC and include/linux/idr.h:IDR_RT_MARKER (v5.8).
    """
    return XA_FLAGS_TRACK_FREE | tag_bit(0, layout)


#: Who depends on the shift or on the mask made of it: who, what for, what a shift that is too small does.
DEPENDENTS = (
    ("page allocator", "gfp_allowed_mask, ANDed to every request", "the new flag is a silent no-op"),
    ("SLUB", "GFP_SLAB_BUG_MASK, the complement of the mask", "warns, prints a stack and clears the flag"),
    ("SLAB, SLOB", "gfp_allowed_mask at entry", "the flag is gone before anything could warn"),
    ("radix tree root", "three tags above the gfp bits of its own mask", "the flag presets a tag on an empty tree"),
    ("radix tree nodes", "root_gfp_mask(): the root's mask below the shift", "nodes are allocated without the flag"),
    ("xarray", "three marks at the same places, no gfp bits", "nothing: it stores no mask"),
    ("IDR, IDA", "a marker in mark 0, compiled into each user", "modules built with another shift disagree"),
    ("suspend", "pm_restrict_gfp_mask(): IO and FS out of gfp_allowed_mask", "as the page allocator"),
    ("lib/test_printf.c", "expects the bits above the mask as one number", "the self-test fails"),
)


def tags_above(layout: Layout) -> dict[int, str]:
    """Return the tags that still fit above the gfp bits, by bit number."""
    return {layout.shift + tag: name for tag, name in enumerate(TAGS) if layout.shift + tag < GFP_T_BITS}


@dataclass(frozen=True)
class ShiftReport:
    """What one flag goes through when the shift is ``shift``: kept by the allocator, taken for a tag, SLUB's words.

    ``builds`` is None for a kernel that does not check the shift when it is built.
    """

    shift: int
    flag: str
    value: int
    reaches_allocator: bool
    presets_tag: int | None
    slab_warning: str | None
    builds: bool | None


def shift_report(flag: str, layout: Layout) -> ShiftReport:
    """Run a request with one flag through every user of the shift; raises InputError for a flag it lacks."""
    if flag not in layout.bits:
        raise InputError(f"{layout} has no {flag}")
    value = layout.bits[flag]
    root = RadixTreeRoot.init(value, layout)
    tags = range(min(RADIX_TREE_MAX_TAGS, GFP_T_BITS - layout.shift))
    return ShiftReport(
        shift=layout.shift,
        flag=flag,
        value=value,
        reaches_allocator=bool(alloc_pages_mask(value, layout) & value),
        presets_tag=next((tag for tag in tags if root.root_tag_get(tag)), None),
        slab_warning=new_slab_mask(value, layout).warning,
        builds=layout.bits_left >= 0 if layout.checks_shift else None,
    )
