/*
 * What one more test of the mask costs an ordinary request: the way of a hit and of a free through the lists of one
 * CPU, in C, with the test of the RFC (-DFAST_TRY) and without.
 *
 * Models: mm/page_alloc.c:__alloc_pages_nodemask, get_page_from_freelist, zone_watermark_fast, rmqueue_pcplist and
 * free_unref_page_commit (v5.8), as far as a request of order 0 goes that finds its list filled.  Leaves out interrupts,
 * statistics, debugging, poisoning, cgroups and cpusets, so a kernel executes more on the same way and the share of
 * the test is smaller there.  Written for this book; no line is the kernel's.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline))
enum { TYPES = 3, PAGES = 64, GFP_FAST_TRY = 0x800000, MOVABLE_SHIFT = 3, ZONES = 2 };

struct list { struct list *next, *prev; };
struct page { uint64_t flags; struct list lru; uint64_t index; char rest[32]; };
struct pcp { int count, high, batch; struct list lists[TYPES]; };
struct zone { uint64_t mark[3], boost, reserve[ZONES]; int64_t free; struct pcp *pcp; };

static struct pcp this_cpu;
static struct zone zones[ZONES];
static volatile uint32_t allowed = 0x1ffffff; /* gfp_allowed_mask: a variable, and read each time */

static void add(struct list *entry, struct list *head)
{
	head->next->prev = entry, entry->next = head->next;
	entry->prev = head, head->next = entry;
}

static struct page *take(struct pcp *pcp, struct list *list)
{
	struct list *first = list->next;

	if (first == list)
		return NULL; /* a refill would come here; this program never empties its lists */
	first->next->prev = list, list->next = first->next;
	pcp->count--;
	return (struct page *)((char *)first - offsetof(struct page, lru));
}

static NOINLINE struct page *rmqueue_pcplist(struct zone *zone, uint32_t gfp, int type)
{
	struct pcp *pcp = zone->pcp;
#ifdef FAST_TRY
	if (__builtin_expect(gfp & GFP_FAST_TRY, 0)) {
		struct page *page = NULL;

		for (int i = type; i < TYPES && !page; i++)
			page = take(pcp, &pcp->lists[i]);
		return page;
	}
#endif
	return take(pcp, &pcp->lists[type]);
}

NOINLINE struct page *alloc_pages(uint32_t gfp)
{
	gfp &= allowed;
	int type = gfp >> MOVABLE_SHIFT & 3;

	for (int i = ZONES - 1; i >= 0; i--) {
		struct zone *zone = &zones[i];
		int64_t mark = zone->mark[1] + zone->boost + zone->reserve[i];

		if (zone->free <= mark)
			continue;
		struct page *page = rmqueue_pcplist(zone, gfp, type);
		if (page)
			return page;
	}
	return NULL;
}

NOINLINE void free_page(struct page *page)
{
	struct pcp *pcp = zones[page->flags & 1].pcp;

	add(&page->lru, &pcp->lists[page->index]);
	if (++pcp->count >= pcp->high)
		abort(); /* would drain to the buddy lists */
}

int main(int argc, char **argv)
{
	long pairs = argc > 1 ? atol(argv[1]) : 1000;
	uint32_t gfp = 0xcc0;
	static struct page pages[PAGES];

	this_cpu = (struct pcp){ .high = 2 * PAGES, .batch = PAGES };
	for (int i = 0; i < TYPES; i++)
		this_cpu.lists[i].next = this_cpu.lists[i].prev = &this_cpu.lists[i];
	for (int i = 0; i < ZONES; i++)
		zones[i] = (struct zone){ .mark = { 10, 12, 15 }, .free = 1000, .pcp = &this_cpu };
	for (int i = 0; i < PAGES; i++)
		pages[i].flags = 1, free_page(&pages[i]);
	for (long i = 0; i < pairs; i++)
		free_page(alloc_pages(gfp));
	printf("%d\n", this_cpu.count);
	return 0;
}
