#include "runtime/text/batches.h"

enum { MAX_BATCH = 32, MAX_TOKENS = 2048, PADDED_PART = 8 };

static bool before(const attn_encoding *e, const size_t *index, size_t a, size_t b)
{
    return e[a].count != e[b].count ? e[a].count < e[b].count : index[a] > index[b];
}

static void swap(attn_encoding *e, size_t *index, size_t a, size_t b)
{
    attn_encoding encoding = e[a];
    size_t number = index[a];
    e[a] = e[b], index[a] = index[b];
    e[b] = encoding, index[b] = number;
}

static void sift(attn_encoding *e, size_t *index, size_t root, size_t end)
{
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && before(e, index, child + 1, child)) child++;
        if (!before(e, index, child, root)) return;
        swap(e, index, root, child);
    }
}

/* A heap sort: the smallest is taken to the end each time. */
void attn_batches_sort(attn_encoding *encoding, size_t *index, size_t count)
{
    for (size_t i = 0; i < count; i++) index[i] = i;
    for (size_t i = count / 2; i-- > 0;) sift(encoding, index, i, count);
    for (size_t end = count; end-- > 1;) {
        swap(encoding, index, 0, end);
        sift(encoding, index, 0, end);
    }
}

size_t attn_batches_next(const attn_encoding *encoding, size_t count)
{
    size_t width = encoding[0].count, n = 1;
    while (n < count && n < MAX_BATCH && (n + 1) * width <= MAX_TOKENS &&
           encoding[n].count + width / PADDED_PART >= width)
        n++;
    return n;
}
