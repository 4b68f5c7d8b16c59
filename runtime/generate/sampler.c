#include "runtime/generate/sampler.h"

#include <math.h>
#include <string.h>

static attn_status check_number(const char *name, float value, float low, float high,
                                attn_error *err)
{
    if (value >= low && value <= high) return ATTN_OK; /* NaN is neither */
    return attn_fail(err, ATTN_BAD_ARGUMENT, "%s is %g, expected a number from %g to %g", name,
                     (double)value, (double)low, (double)high);
}

attn_status attn_sampling_check(const attn_sampling *how, attn_error *err)
{
    ATTN_TRY(check_number("the temperature", how->temperature, 0, 1e6f, err));
    ATTN_TRY(check_number("top-p", how->top_p, 0, 1, err));
    ATTN_TRY(check_number("min-p", how->min_p, 0, 1, err));
    ATTN_TRY(check_number("the repetition penalty", how->repetition_penalty, 0, 1e6f, err));
    ATTN_TRY(check_number("the frequency penalty", how->frequency_penalty, -1e6f, 1e6f, err));
    return check_number("the presence penalty", how->presence_penalty, -1e6f, 1e6f, err);
}

/* Five arrays of 4 bytes an entry. */
bool attn_sampler_bytes(size_t vocabulary, size_t *bytes)
{
    return attn_mul(vocabulary, 5 * 4, bytes);
}

attn_status attn_sampler_open(attn_sampler *s, const attn_sampling *how, size_t vocabulary,
                              const attn_kernels *kernels, attn_memory *memory, attn_error *err)
{
    size_t bytes;
    *s = (attn_sampler){.how = *how, .kernels = kernels, .vocabulary = vocabulary};
    ATTN_TRY(attn_sampling_check(how, err));
    if (vocabulary == 0 || vocabulary > INT32_MAX || !attn_sampler_bytes(vocabulary, &bytes))
        return attn_fail(err, ATTN_LIMIT, "a vocabulary of %zu", vocabulary);
    ATTN_TRY(attn_alloc(memory, bytes, "sampling", &s->memory, err));
    s->own = memory;
    s->bytes = bytes;
    s->count = s->memory;
    s->seen = (int32_t *)(s->count + vocabulary);
    s->id = s->seen + vocabulary;
    s->weight = (float *)(s->id + vocabulary);
    s->score = s->weight + vocabulary;
    memset(s->count, 0, vocabulary * sizeof *s->count);
    s->random.state = how->seed;
    return ATTN_OK;
}

void attn_sampler_close(attn_sampler *s)
{
    if (s->own) attn_release(s->own, s->memory, s->bytes);
    *s = (attn_sampler){0};
}

void attn_sampler_note(attn_sampler *s, int32_t id, bool generated)
{
    if (s->count[id] == 0) {
        s->count[id] = 1;
        s->seen[s->seen_count++] = id;
    }
    if (generated && s->count[id] < UINT32_MAX) s->count[id]++;
}

/* The largest, which must be a number; a message otherwise. */
static attn_status find_best(const attn_sampler *s, const float *x, float *best, attn_error *err)
{
    *best = s->kernels->max(x, s->vocabulary);
    if (*best<INFINITY && * best> - INFINITY) return ATTN_OK;
    size_t at = 0;
    while (at + 1 < s->vocabulary && x[at] < INFINITY) at++;
    if (x[at] < INFINITY)
        return attn_fail(err, ATTN_BAD_INPUT, "all %zu logits are -infinity", s->vocabulary);
    return attn_fail(err, ATTN_BAD_INPUT, "the logit of token %zu is %g", at, (double)x[at]);
}

static bool penalised(const attn_sampling *how)
{
    return (how->repetition_penalty != 0 && how->repetition_penalty != 1) ||
           how->frequency_penalty != 0 || how->presence_penalty != 0;
}

static void penalise(attn_sampler *s)
{
    const attn_sampling *how = &s->how;
    float repetition = how->repetition_penalty != 0 ? how->repetition_penalty : 1;
    for (size_t i = 0; i < s->seen_count; i++) {
        float *x = &s->score[s->seen[i]];
        uint32_t generated = s->count[s->seen[i]] - 1;
        *x = *x < 0 ? *x * repetition : *x / repetition;
        if (generated) *x -= (float)generated * how->frequency_penalty + how->presence_penalty;
    }
}

float attn_largest(const float *x, size_t n, size_t k, float *heap)
{
    /* The k largest so far, the smallest of them on top. */
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at;
        if (size < k) {
            for (at = size++; at > 0 && heap[(at - 1) / 2] > x[i]; at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
        } else if (x[i] > heap[0]) {
            for (at = 0;;) {
                size_t child = 2 * at + 1;
                if (child + 1 < size && heap[child + 1] < heap[child]) child++;
                if (child >= size || heap[child] >= x[i]) break;
                heap[at] = heap[child];
                at = child;
            }
        } else {
            continue;
        }
        heap[at] = x[i];
    }
    return heap[0];
}

/* ---- top-p --------------------------------------------------------------------------------- */

/* More probable; of equals the lower id. */
static bool before(const attn_sampler *s, size_t a, size_t b)
{
    return s->weight[a] > s->weight[b] || (s->weight[a] == s->weight[b] && s->id[a] < s->id[b]);
}

static void swap(attn_sampler *s, size_t a, size_t b)
{
    float weight = s->weight[a];
    int32_t id = s->id[a];
    s->weight[a] = s->weight[b], s->id[a] = s->id[b];
    s->weight[b] = weight, s->id[b] = id;
}

/* A heap whose first lies at the array's end, n - 1, so that what is taken off collects in order at
 * its front: node i is place n - 1 - i. */
static void sift(attn_sampler *s, size_t n, size_t nodes, size_t node)
{
    for (size_t child; (child = 2 * node + 1) < nodes; node = child) {
        if (child + 1 < nodes && before(s, n - 2 - child, n - 1 - child)) child++;
        if (!before(s, n - 1 - child, n - 1 - node)) return;
        swap(s, n - 1 - child, n - 1 - node);
    }
}

/* Leaves the most probable ones whose weights reach top_p of the sum: one stays if those before it
 * do not reach it. Most probable first. */
static void cut_top_p(attn_sampler *s, double total)
{
    /* All that are less probable than this together are no more than what is cut. */
    double least = (1 - (double)s->how.top_p) * total / (double)s->candidates;
    size_t n = 0;
    for (size_t i = 0; i < s->candidates; i++)
        if ((double)s->weight[i] >= least) swap(s, n++, i);
    for (size_t node = n / 2; node-- > 0;) sift(s, n, n, node);
    double sum = 0;
    size_t kept = 0;
    while (kept < n && (kept == 0 || sum < (double)s->how.top_p * total)) {
        sum += (double)s->weight[n - 1];
        /* The last node takes the place of the first, which goes to the front. */
        swap(s, n - 1, kept++);
        sift(s, n, n - kept, 0);
    }
    s->candidates = kept;
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* Ids and weights of all whose score is at least `floor`; returns the sum of the weights. */
static double gather(attn_sampler *s, float floor)
{
    double total = 0;
    s->candidates = 0;
    for (size_t i = 0; i < s->vocabulary; i++)
        if (s->score[i] >= floor) {
            s->id[s->candidates] = (int32_t)i;
            s->weight[s->candidates++] = s->score[i];
        }
    s->kernels->unary(ATTN_EXP, s->weight, s->weight, s->candidates);
    for (size_t i = 0; i < s->candidates; i++) total += (double)s->weight[i];
    return total;
}

attn_status attn_sampler_weigh(attn_sampler *s, const float *logits, attn_error *err)
{
    const attn_sampling *how = &s->how;
    float best, temperature = how->temperature;
    size_t n = s->vocabulary;
    ATTN_TRY(find_best(s, logits, &best, err)); /* of NaN no penalty must make a number */
    memcpy(s->score, logits, n * sizeof *logits);
    if (penalised(how)) {
        penalise(s);
        ATTN_TRY(find_best(s, s->score, &best, err));
    }
    for (size_t i = 0; i < n; i++) s->score[i] = (s->score[i] - best) / temperature;
    float floor = -INFINITY;
    if (how->top_k && how->top_k < n) floor = attn_largest(s->score, n, how->top_k, s->weight);
    double total = gather(s, floor);
    if (how->top_p > 0 && how->top_p < 1) cut_top_p(s, total);
    size_t kept = 0;
    for (size_t i = 0; i < s->candidates; i++)
        if (s->weight[i] >= how->min_p) {
            s->id[kept] = s->id[i];
            s->weight[kept++] = s->weight[i];
        }
    s->candidates = kept;
    return ATTN_OK;
}

static attn_status choose_best(attn_sampler *s, const float *logits, int32_t *id, attn_error *err)
{
    float best;
    size_t at = 0;
    ATTN_TRY(find_best(s, logits, &best, err));
    if (penalised(&s->how)) {
        memcpy(s->score, logits, s->vocabulary * sizeof *logits);
        penalise(s);
        logits = s->score;
        ATTN_TRY(find_best(s, logits, &best, err));
    }
    while (logits[at] != best) at++;
    *id = (int32_t)at;
    return ATTN_OK;
}

attn_status attn_sampler_choose(attn_sampler *s, const float *logits, int32_t *id, attn_error *err)
{
    if (attn_sampling_greedy(&s->how)) return choose_best(s, logits, id, err);
    ATTN_TRY(attn_sampler_weigh(s, logits, err));
    double total = 0, sum = 0;
    for (size_t i = 0; i < s->candidates; i++) total += (double)s->weight[i];
    double at = attn_random_unit(&s->random) * total;
    size_t last = 0;
    for (size_t i = 0; i < s->candidates; i++) {
        if (s->weight[i] == 0) continue;
        last = i;
        sum += (double)s->weight[i];
        if (at < sum) break;
    }
    *id = s->id[last];
    return ATTN_OK;
}
