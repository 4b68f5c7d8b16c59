/* Byte-pair encoding (Sennrich, Haddow, Birch 2016, arXiv:1508.07909): a word is cut into its
 * characters; then, as long as a neighbouring pair has a merge, the one of the lowest rank, of
 * equal ones the leftmost, becomes one symbol.
 *
 * A short word is searched through for every merge; a long one keeps its pairs in a heap, so that
 * n characters take O(n log n). Short words are remembered for the rest of the encoding. */
#include "runtime/inputs/tokenizer/bpe.h"

#include <string.h>

enum {
    SHORT = 32,           /* symbols of a word whose pairs are searched through */
    WORD_BYTES = 32,      /* a longer word is not remembered, */
    WORD_PIECES = 6,      /* nor one of more pieces */
    FEW_WORDS = 128,      /* with these a table of words is begun, and */
    MANY_WORDS = 1 << 14, /* with these it gets its full size */
    FEW_SLOTS = 1 << 10,
    MANY_SLOTS = 1 << 14,
};

/* One line of a cache. */
typedef struct word {
    uint8_t length, count; /* length 0: free */
    uint8_t end[WORD_PIECES];
    int32_t id[WORD_PIECES];
    char text[WORD_BYTES];
} word;

typedef struct symbol {
    int32_t id;
    uint32_t length;         /* bytes of the text; 0: merged into one before it */
    uint32_t previous, next; /* NOWHERE at the ends */
} symbol;

#define NOWHERE UINT32_MAX

typedef struct work_area {
    symbol *symbol;
    size_t count, room;
    uint64_t *heap; /* rank << 32 | position of the left symbol */
    size_t heap_count, heap_room;
    word *word;
    size_t slots, words; /* words: looked for so far */
} work_area;

/* One call of encode. */
typedef struct encoding {
    const attn_bpe *b;
    const attn_vocabulary *vocabulary;
    const char *text;
    size_t length, at; /* at: bytes that the pieces so far stand for */
    attn_memory *memory;
    work_area *w;
    attn_pieces *out;
    attn_error *err;
} encoding;

/* An array of `count` entries grows to hold at least one more. */
static attn_status grow(attn_memory *memory, void **array, size_t count, size_t *room, size_t size,
                        attn_error *err)
{
    size_t more = *room ? 2 * *room : 256, bytes;
    void *fresh;
    if (!attn_mul(more, size, &bytes))
        return attn_fail(err, ATTN_NO_MEMORY, "a word has more than %zu symbols", count);
    ATTN_TRY(attn_alloc(memory, bytes, "the symbols of a word", &fresh, err));
    if (count) memcpy(fresh, *array, count * size);
    attn_release(memory, *array, *room * size);
    *array = fresh;
    *room = more;
    return ATTN_OK;
}

static attn_status put_symbol(encoding *e, int32_t id, size_t length)
{
    work_area *w = e->w;
    if (w->count == w->room) {
        void *array = w->symbol;
        ATTN_TRY(grow(e->memory, &array, w->count, &w->room, sizeof *w->symbol, e->err));
        w->symbol = array;
    }
    w->symbol[w->count++] = (symbol){.id = id, .length = (uint32_t)length};
    return ATTN_OK;
}

/* A piece of `bytes` bytes more. A symbol's bytes can add up to more than the word has, if its
 * prefix or suffix fell back to bytes. */
static attn_status put_piece(encoding *e, int32_t id, size_t bytes)
{
    size_t first = e->at < e->length ? e->at : e->length, end = e->at + bytes;
    e->at = end;
    return attn_pieces_add(e->out, id, first, end < e->length ? end : e->length, e->err);
}

/* ---- characters to symbols --------------------------------------------------------------- */

static size_t character_bytes(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The id of text[0..n), one character with what stands around it. */
static int32_t find_symbol(const encoding *e, const char *text, size_t n, bool prefix, bool suffix)
{
    const unsigned char *s = (const unsigned char *)text;
    const attn_bpe *b = e->b;
    char joined[2 * ATTN_BPE_AFFIX + 4];
    size_t length = 0;
    if (!prefix && !suffix) {
        if (n == 1) return b->plane[s[0]];
        if (n == 2) return b->plane[(s[0] & 31) << 6 | (s[1] & 63)];
        if (n == 3) return b->plane[(s[0] & 15) << 12 | (s[1] & 63) << 6 | (s[2] & 63)];
        return attn_vocabulary_id(e->vocabulary, text, n);
    }
    if (prefix) memcpy(joined, b->prefix, length = b->prefix_length);
    memcpy(joined + length, text, n);
    length += n;
    if (suffix) memcpy(joined + length, b->suffix, b->suffix_length);
    return attn_vocabulary_id(e->vocabulary, joined, length + (suffix ? b->suffix_length : 0));
}

static bool have_bytes(const attn_bpe *b, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (b->byte[(unsigned char)text[i]] < 0) return false;
    return true;
}

/* Symbols of one byte each; false in *done if there is not one for every byte. */
static attn_status put_bytes(encoding *e, const char *text, size_t n, bool prefix, bool suffix,
                             bool *done)
{
    const attn_bpe *b = e->b;
    const struct {
        const char *text;
        size_t length;
    } part[3] = {{b->prefix, prefix ? b->prefix_length : 0},
                 {text, n},
                 {b->suffix, suffix ? b->suffix_length : 0}};
    *done = true;
    for (int i = 0; i < 3; i++) *done = *done && have_bytes(b, part[i].text, part[i].length);
    for (int i = 0; i < 3 && *done; i++)
        for (size_t j = 0; j < part[i].length; j++)
            ATTN_TRY(put_symbol(e, b->byte[(unsigned char)part[i].text[j]], 1));
    return ATTN_OK;
}

/* The symbols of text[first..end). An unknown character waits, to be fused with one after it; as
 * in the reference, bytes that stand for a character go before what waits. */
static attn_status split(encoding *e, size_t first, size_t end)
{
    const attn_bpe *b = e->b;
    size_t waiting = 0, n;
    e->w->count = 0;
    for (size_t i = first; i < end; i += n) {
        const char *c = e->text + i;
        n = character_bytes((unsigned char)*c);
        bool prefix = b->prefix_length && i > 0, suffix = b->suffix_length && i + n == e->length;
        int32_t id = find_symbol(e, c, n, prefix, suffix);
        if (id >= 0) {
            if (waiting) ATTN_TRY(put_symbol(e, b->unk, waiting));
            waiting = 0;
            ATTN_TRY(put_symbol(e, id, n));
            continue;
        }
        bool done = false;
        if (b->byte_fallback) ATTN_TRY(put_bytes(e, c, n, prefix, suffix, &done));
        if (done || b->unk == ATTN_BPE_NONE) continue;
        if (b->unk == ATTN_BPE_LOST)
            return attn_fail(
                e->err, ATTN_BAD_MODEL,
                "\"%.*s\" is not in the vocabulary, nor is the unknown token \"%.80s\"", (int)n, c,
                b->unk_token);
        if (waiting && !b->fuse_unk) {
            ATTN_TRY(put_symbol(e, b->unk, waiting));
            waiting = 0;
        }
        waiting += n;
    }
    return waiting ? put_symbol(e, b->unk, waiting) : ATTN_OK;
}

/* ---- merging ----------------------------------------------------------------------------- */

static void merge_short(const attn_bpe *b, work_area *w)
{
    symbol *s = w->symbol;
    uint32_t rank[SHORT];
    int32_t result[SHORT];
    size_t n = w->count;
    for (size_t i = 0; i + 1 < n; i++) {
        const attn_bpe_merge *m = attn_bpe_slot(b, s[i].id, s[i + 1].id);
        rank[i] = m->left < 0 ? UINT32_MAX : m->rank;
        result[i] = m->result;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == UINT32_MAX) break;
        s[best].id = result[best];
        s[best].length += s[best + 1].length;
        n--;
        memmove(s + best + 1, s + best + 2, (n - best - 1) * sizeof *s);
        memmove(rank + best, rank + best + 1, (n - best - 1) * sizeof *rank);
        memmove(result + best, result + best + 1, (n - best - 1) * sizeof *result);
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const attn_bpe_merge *m = attn_bpe_slot(b, s[i].id, s[i + 1].id);
            rank[i] = m->left < 0 ? UINT32_MAX : m->rank;
            result[i] = m->result;
        }
    }
    w->count = n;
}

static attn_status push(encoding *e, size_t at)
{
    work_area *w = e->w;
    const attn_bpe_merge *m =
        attn_bpe_slot(e->b, w->symbol[at].id, w->symbol[w->symbol[at].next].id);
    if (m->left < 0) return ATTN_OK;
    if (w->heap_count == w->heap_room) {
        void *array = w->heap;
        ATTN_TRY(grow(e->memory, &array, w->heap_count, &w->heap_room, sizeof *w->heap, e->err));
        w->heap = array;
    }
    uint64_t entry = (uint64_t)m->rank << 32 | at, *heap = w->heap;
    size_t i = w->heap_count++;
    for (; i && heap[(i - 1) / 2] > entry; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = entry;
    return ATTN_OK;
}

static uint64_t pop(work_area *w)
{
    uint64_t top = w->heap[0], last = w->heap[--w->heap_count], *heap = w->heap;
    size_t i = 0, n = w->heap_count;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* Each merge takes one entry and puts in two: at most 3n are ever put in. Entries whose pair is
 * gone are told by their rank. */
static attn_status merge_long(encoding *e)
{
    work_area *w = e->w;
    symbol *s = w->symbol;
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++) {
        s[i].previous = i ? (uint32_t)i - 1 : NOWHERE;
        s[i].next = i + 1 < w->count ? (uint32_t)i + 1 : NOWHERE;
    }
    w->heap_count = 0;
    for (size_t i = 0; i + 1 < w->count; i++) ATTN_TRY(push(e, i));
    while (w->heap_count) {
        uint64_t entry = pop(w);
        size_t at = (uint32_t)entry, next = s[at].next;
        if (s[at].length == 0 || next == NOWHERE) continue;
        const attn_bpe_merge *m = attn_bpe_slot(e->b, s[at].id, s[next].id);
        if (m->left < 0 || m->rank != entry >> 32) continue;
        s[at].id = m->result;
        s[at].length += s[next].length;
        s[at].next = s[next].next;
        s[next].length = 0;
        if (s[at].next != NOWHERE) s[s[at].next].previous = (uint32_t)at;
        if (s[at].previous != NOWHERE) ATTN_TRY(push(e, s[at].previous));
        if (s[at].next != NOWHERE) ATTN_TRY(push(e, at));
    }
    for (size_t i = 0; i < w->count; i++)
        if (s[i].length) s[kept++] = s[i];
    w->count = kept;
    return ATTN_OK;
}

/* ---- words ------------------------------------------------------------------------------- */

static attn_status encode_new(encoding *e, size_t first, size_t end)
{
    work_area *w = e->w;
    ATTN_TRY(split(e, first, end));
    if (w->count <= SHORT)
        merge_short(e->b, w);
    else
        ATTN_TRY(merge_long(e));
    for (size_t i = 0; i < w->count; i++)
        ATTN_TRY(put_piece(e, w->symbol[i].id, w->symbol[i].length));
    return ATTN_OK;
}

/* A text of few words is done before a table would be worth its clearing. */
static attn_status make_table(encoding *e)
{
    work_area *w = e->w;
    size_t slots = w->words < MANY_WORDS ? FEW_SLOTS : MANY_SLOTS;
    void *table;
    ATTN_TRY(attn_alloc(e->memory, slots * sizeof *w->word, "a table of words", &table, e->err));
    memset(table, 0, slots * sizeof *w->word);
    attn_release(e->memory, w->word, w->slots * sizeof *w->word);
    w->word = table;
    w->slots = slots;
    return ATTN_OK;
}

static size_t hash_word(const char *text, size_t length)
{
    uint64_t h = length, part;
    for (; length > 8; text += 8, length -= 8) {
        memcpy(&part, text, 8);
        h = (h ^ part) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    part = 0;
    memcpy(&part, text, length);
    h = (h ^ part) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 29);
}

static void remember(encoding *e, word *slot, const char *text, size_t length, size_t piece,
                     size_t start)
{
    const attn_pieces *out = e->out;
    size_t count = out->count - piece;
    if (count > WORD_PIECES || e->at - start > length) return;
    slot->length = (uint8_t)length;
    slot->count = (uint8_t)count;
    memcpy(slot->text, text, length);
    for (size_t i = 0; i < count; i++) {
        slot->id[i] = out->piece[piece + i].id;
        slot->end[i] = (uint8_t)(out->piece[piece + i].end - start);
    }
}

/* text[first..end): a word, or the part of one that no merge joins with its neighbours. */
static attn_status encode_word(encoding *e, size_t first, size_t end)
{
    work_area *w = e->w;
    const char *text = e->text + first;
    size_t length = end - first, start = e->at, piece = e->out->count;
    if (length > WORD_BYTES) return encode_new(e, first, end);
    if (++w->words == FEW_WORDS || w->words == MANY_WORDS) ATTN_TRY(make_table(e));
    if (!w->slots) return encode_new(e, first, end);
    word *slot = &w->word[hash_word(text, length) & (w->slots - 1)];
    if (slot->length != length || memcmp(slot->text, text, length) != 0) {
        ATTN_TRY(encode_new(e, first, end));
        remember(e, slot, text, length, piece, start);
        return ATTN_OK;
    }
    for (size_t i = 0, done = 0; i < slot->count; done = slot->end[i++])
        ATTN_TRY(put_piece(e, slot->id[i], slot->end[i] - done));
    return ATTN_OK;
}

static bool is_mark(const char *c)
{
    return memcmp(c, "\xe2\x96\x81", 3) == 0;
}

static attn_status encode(const void *self, const attn_vocabulary *vocabulary, const char *text,
                          size_t length, attn_tokenizer_work *work, attn_pieces *out,
                          attn_error *err)
{
    const attn_bpe *b = self;
    if (b->ignore_merges) {
        int32_t id = attn_vocabulary_id(vocabulary, text, length);
        if (id >= 0) return attn_pieces_add(out, id, 0, length, err);
    }
    if (!work->data) {
        ATTN_TRY(attn_alloc(work->memory, sizeof(work_area), "a word", &work->data, err));
        memset(work->data, 0, sizeof(work_area));
        work->bytes = sizeof(work_area);
    }
    encoding e = {b, vocabulary, text, length, 0, work->memory, work->data, out, err};
    if (!b->splits) return encode_word(&e, 0, length);
    size_t first = 0, i = character_bytes((unsigned char)*text);
    bool after_mark = length >= 3 && is_mark(text);
    while (i < length) {
        bool mark = length - i >= 3 && is_mark(text + i);
        if (mark && !after_mark) {
            ATTN_TRY(encode_word(&e, first, i));
            first = i;
        }
        after_mark = mark;
        i += mark ? 3 : 1;
    }
    return encode_word(&e, first, length);
}

static void close_work(attn_tokenizer_work *work)
{
    work_area *w = work->data;
    if (!w) return;
    attn_release(work->memory, w->symbol, w->room * sizeof *w->symbol);
    attn_release(work->memory, w->heap, w->heap_room * sizeof *w->heap);
    attn_release(work->memory, w->word, w->slots * sizeof *w->word);
    attn_release(work->memory, w, work->bytes);
    *work = (attn_tokenizer_work){.memory = work->memory};
}

const attn_algorithm attn_algorithm_bpe = {.name = "BPE",
                                           .size = sizeof(attn_bpe),
                                           .build = attn_bpe_build,
                                           .encode = encode,
                                           .close_work = close_work};
