#include "runtime/session.h"

#include <string.h>

attn_status attn_cache_check(const attn_cache *cache, const attn_plan *plan, attn_error *err)
{
    size_t context = plan->context;
    if (!context || (cache->past <= context && plan->appended <= context - cache->past))
        return ATTN_OK;
    return attn_fail(err, ATTN_LIMIT, "%zu rows after %zu do not fit into a context of %zu",
                     plan->appended, cache->past, context);
}

void attn_cache_free(attn_cache *cache, attn_memory *memory)
{
    attn_release(memory, cache->data, cache->bytes);
    attn_release(memory, cache->part, cache->part_bytes);
    *cache = (attn_cache){.past = cache->past};
}

/* Memory for `items` items whose parts are `part`, without what is in it. *fresh is filled or stays
 * as it was. */
static attn_status allocate(attn_cache *fresh, const attn_plan_cache *part, size_t parts,
                            size_t item_bytes, size_t items, attn_memory *memory, attn_error *err)
{
    attn_cache made = {.parts = parts, .item_bytes = item_bytes, .items = items, .room = items};
    void *list, *data;
    size_t counts, part_bytes = parts * sizeof *part;
    if (!attn_mul(items, item_bytes, &made.bytes) || !attn_mul(items, sizeof(size_t), &counts) ||
        !attn_add(part_bytes, counts, &made.part_bytes))
        return attn_fail(err, ATTN_LIMIT, "the caches of %zu items of %zu bytes are too large",
                         items, item_bytes);
    ATTN_TRY(attn_alloc(memory, made.part_bytes, "the list of the caches", &list, err));
    attn_status status = attn_alloc(memory, made.bytes, "the caches", &data, err);
    if (status) {
        attn_release(memory, list, made.part_bytes);
        return status;
    }
    memcpy(list, part, part_bytes);
    made.part = list;
    made.data = data;
    *fresh = made;
    return ATTN_OK;
}

static bool same_parts(const attn_cache *cache, const attn_plan *plan)
{
    if (cache->parts != plan->caches || cache->item_bytes != plan->cache_bytes) return false;
    for (size_t i = 0; i < cache->parts; i++) {
        const attn_plan_cache *a = &cache->part[i], *b = &plan->cache[i];
        if (a->offset != b->offset || a->part.lanes != b->part.lanes ||
            a->part.lane_bytes != b->part.lane_bytes || a->part.rows != b->part.rows ||
            a->part.bytes != b->part.bytes)
            return false;
    }
    return true;
}

attn_status attn_cache_prepare(attn_cache *cache, const attn_plan *plan, attn_memory *memory,
                               attn_error *err)
{
    ATTN_TRY(attn_cache_check(cache, plan, err));
    if (!plan->context || plan->caches == 0) return ATTN_OK;
    bool same = cache->data && same_parts(cache, plan);
    if (same && (cache->items == plan->batch || (!cache->past && plan->batch <= cache->room))) {
        cache->items = plan->batch;
        return ATTN_OK;
    }
    if (cache->past && same)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "a batch of %zu after %zu rows of a batch of %zu: attn_reorder or "
                         "attn_reset is due",
                         plan->batch, cache->past, cache->items);
    if (cache->past)
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "what is kept of %zu rows is not of these shapes: attn_reset is due",
                         cache->past);
    attn_cache_free(cache, memory);
    return allocate(cache, plan->cache, plan->caches, plan->cache_bytes, plan->batch, memory, err);
}

/* ---- the caller's hand on it --------------------------------------------------------------- */

size_t attn_past(const attn_session *s)
{
    return s->cache.past;
}

attn_status attn_rewind(attn_session *s, size_t past, attn_error *err)
{
    if (past > s->cache.past)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%zu rows cannot stay, there are %zu", past,
                         s->cache.past);
    s->cache.past = past;
    s->text = 0;
    return ATTN_OK;
}

/* Bytes of a lane that rows in use take. */
static size_t used_bytes(const attn_cache_part *part, size_t rows)
{
    return (rows / part->rows + (rows % part->rows != 0)) * part->bytes;
}

/* Calls f(to, from, bytes) for what is in use of every lane of an item. */
static void each_lane(const attn_cache *cache, char *to, char *from,
                      void (*f)(char *to, char *from, size_t bytes))
{
    for (size_t i = 0; i < cache->parts; i++) {
        const attn_plan_cache *p = &cache->part[i];
        size_t bytes = used_bytes(&p->part, cache->past);
        for (size_t lane = 0; lane < p->part.lanes; lane++) {
            size_t at = p->offset + lane * p->part.lane_bytes;
            f(to + at, from + at, bytes);
        }
    }
}

static void copy_bytes(char *to, char *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static void swap_bytes(char *to, char *from, size_t bytes)
{
    char hold[1024];
    for (size_t i = 0; i < bytes; i += sizeof hold) {
        size_t n = bytes - i < sizeof hold ? bytes - i : sizeof hold;
        memcpy(hold, to + i, n);
        memcpy(to + i, from + i, n);
        memcpy(from + i, hold, n);
    }
}

/* Items 0 ... count - 1 become those that `parent` names, where they lie. readers[i]: how many
 * still want what item i was; DONE: it is written. What nobody wants is written, which may free the
 * item that it is copied from; what remains then are cycles, which are turned by swapping. */
static void reorder_in_place(attn_cache *cache, const size_t *parent, size_t count)
{
    const size_t done = SIZE_MAX, size = cache->item_bytes;
    size_t *readers = (size_t *)(void *)(cache->part + cache->parts);
    memset(readers, 0, cache->room * sizeof *readers);
    for (size_t i = 0; i < count; i++) readers[parent[i]] += parent[i] != i;
    for (size_t i = 0; i < count; i++)
        for (size_t at = i; at < count && parent[at] != at && readers[at] == 0; at = parent[at]) {
            each_lane(cache, cache->data + at * size, cache->data + parent[at] * size, copy_bytes);
            readers[at] = done;
            readers[parent[at]]--;
        }
    for (size_t i = 0; i < count; i++) {
        if (parent[i] == i || readers[i] == done) continue;
        size_t at = i;
        for (; parent[at] != i; at = parent[at]) {
            each_lane(cache, cache->data + at * size, cache->data + parent[at] * size, swap_bytes);
            readers[at] = done;
        }
        readers[at] = done;
    }
}

attn_status attn_reorder(attn_session *s, const size_t *parent, size_t count, attn_error *err)
{
    attn_cache *cache = &s->cache;
    size_t items = cache->data ? cache->items : 0;
    if (!cache->data)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "there is no cache to reorder before a run");
    if (count == 0) return attn_fail(err, ATTN_BAD_ARGUMENT, "no items are named");
    for (size_t i = 0; i < count; i++)
        if (parent[i] >= items)
            return attn_fail(err, ATTN_BAD_ARGUMENT, "item %zu is to be item %zu of %zu", i,
                             parent[i], items);
    if (count <= cache->room) {
        reorder_in_place(cache, parent, count);
    } else {
        attn_cache fresh;
        ATTN_TRY(
            allocate(&fresh, cache->part, cache->parts, cache->item_bytes, count, &s->memory, err));
        fresh.past = cache->past;
        for (size_t i = 0; i < count; i++)
            each_lane(&fresh, fresh.data + i * fresh.item_bytes,
                      cache->data + parent[i] * cache->item_bytes, copy_bytes);
        attn_cache_free(cache, &s->memory);
        *cache = fresh;
    }
    if (count != items) s->plan = NULL; /* it is for another batch */
    cache->items = count;
    return ATTN_OK;
}
