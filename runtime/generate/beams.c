#include "runtime/generate/beams.h"

#include <math.h>
#include <string.h>

static const float never = -1e9f; /* the score of what must not be chosen, as in transformers */

/* ---- memory -------------------------------------------------------------------------------- */

typedef struct layout {
    size_t at;
    bool fits;
} layout;

/* The place of count things of this size, on a multiple of 16. */
static size_t place(layout *l, size_t count, size_t size)
{
    size_t at = l->at, bytes;
    l->fits = l->fits && attn_mul(count, size, &bytes) && attn_add(bytes, 15, &bytes) &&
              attn_add(l->at, bytes & ~(size_t)15, &l->at);
    return at;
}

/* Candidates of a step: enough for `beams` to go on if every stop id is among the best. */
static size_t kept_candidates(const attn_beams_options *o)
{
    size_t each = o->stops > 0 ? o->stops + 1 : 2;
    return each > SIZE_MAX / o->beams ? SIZE_MAX : each * o->beams;
}

static bool lay_out(attn_beams *b, const attn_beams_options *o, char *memory, size_t *bytes)
{
    layout l = {0, true};
    size_t nodes = 0, keep = kept_candidates(o);
    bool penalty = o->repetition_penalty != 0 && o->repetition_penalty != 1;
    l.fits = attn_mul(o->max_tokens, o->beams, &nodes) && keep < UINT32_MAX;
    size_t parent = place(&l, o->beams, sizeof *b->parent);
    size_t token = place(&l, o->beams, sizeof *b->token);
    size_t score = place(&l, o->beams, sizeof *b->score);
    size_t next_score = place(&l, o->beams, sizeof *b->next_score);
    size_t node = place(&l, nodes, sizeof *b->node);
    size_t end = place(&l, o->beams, 2 * sizeof *b->end);
    size_t candidate = place(&l, keep, sizeof *b->candidate);
    size_t row = place(&l, o->vocabulary, 2 * sizeof *b->row);
    size_t prompt = place(&l, penalty ? o->vocabulary : 0, sizeof *b->prompt);
    size_t mark = place(&l, penalty ? o->vocabulary : 0, sizeof *b->mark);
    *bytes = l.at;
    if (!l.fits || !memory) return l.fits;
    b->parent = (uint32_t *)(memory + parent);
    b->token = (int32_t *)(memory + token);
    b->score = (float *)(memory + score);
    b->next_score = (float *)(memory + next_score);
    b->node = (attn_beam_node *)(memory + node);
    b->end = (attn_beam_end *)(memory + end);
    b->candidate = (attn_beam_candidate *)(memory + candidate);
    b->row = (float *)(memory + row);
    b->prompt = penalty ? (int32_t *)(memory + prompt) : NULL;
    b->mark = (uint32_t *)(memory + mark);
    b->keep = keep;
    return true;
}

bool attn_beams_bytes(const attn_beams_options *o, size_t *bytes)
{
    return lay_out(NULL, o, NULL, bytes);
}

static void note_prompt(attn_beams *b, const int32_t *prompt, size_t count)
{
    memset(b->mark, 0, b->o.vocabulary * sizeof *b->mark);
    b->marked = 1;
    for (size_t i = 0; i < count; i++) {
        if (b->mark[prompt[i]]) continue;
        b->mark[prompt[i]] = 1;
        b->prompt[b->prompt_ids++] = prompt[i];
    }
}

attn_status attn_beams_open(attn_beams *b, const attn_beams_options *o, const int32_t *prompt,
                            size_t count, const attn_kernels *kernels, attn_memory *memory,
                            attn_error *err)
{
    size_t bytes;
    *b = (attn_beams){.o = *o, .kernels = kernels, .can_improve = true};
    if (!(o->length_penalty >= -1e3f && o->length_penalty <= 1e3f))
        return attn_fail(err, ATTN_BAD_ARGUMENT,
                         "the length penalty is %g, expected a number from -1000 to 1000",
                         (double)o->length_penalty);
    if (!attn_beams_bytes(o, &bytes))
        return attn_fail(err, ATTN_LIMIT, "%zu beams of %zu tokens", o->beams, o->max_tokens);
    ATTN_TRY(attn_alloc(memory, bytes, "the beams", &b->memory, err));
    b->own = memory;
    b->bytes = bytes;
    lay_out(b, o, b->memory, &bytes);
    for (size_t i = 0; i < o->beams; i++) {
        b->score[i] = i == 0 ? 0 : never; /* of equal beams only the first counts */
        b->end[i] = (attn_beam_end){.score = never};
    }
    if (b->prompt) note_prompt(b, prompt, count);
    return ATTN_OK;
}

void attn_beams_close(attn_beams *b)
{
    if (b->own) attn_release(b->own, b->memory, b->bytes);
    *b = (attn_beams){0};
}

/* ---- a step -------------------------------------------------------------------------------- */

/* ln x of x >= 1, with the same bits everywhere: x = m 2^e, ln m = 2 atanh((m - 1) / (m + 1)). */
static double natural_log(double x)
{
    int e = 0;
    for (; x > 1.4142135623730951; e++) x /= 2;
    double s = (x - 1) / (x + 1), square = s * s, sum = 0;
    for (int i = 41; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
    return 2 * s * sum + e * 0.69314718055994530942;
}

static void penalise(attn_beams *b, int32_t id)
{
    float *x = &b->row[id];
    if (b->mark[id] == b->marked) return;
    b->mark[id] = b->marked;
    *x = *x < 0 ? *x * b->o.repetition_penalty : *x / b->o.repetition_penalty;
}

/* Logarithms of the probabilities of beam i, plus its score, into b->row. */
static attn_status weigh(attn_beams *b, const float *logits, size_t i, attn_error *err)
{
    size_t n = b->o.vocabulary;
    float *row = b->row, *e = b->row + n;
    float best = b->kernels->max(logits, n);
    if (!(best < INFINITY && best > -INFINITY))
        return attn_fail(err, ATTN_BAD_INPUT, "the largest logit of beam %zu is %g", i,
                         (double)best);
    for (size_t t = 0; t < n; t++) row[t] = logits[t] - best;
    b->kernels->unary(ATTN_EXP, e, row, n);
    double sum = 0;
    for (size_t t = 0; t < n; t++) sum += (double)e[t];
    float log_sum = (float)natural_log(sum);
    for (size_t t = 0; t < n; t++) row[t] -= log_sum;
    if (b->prompt) {
        if (++b->marked == 0) {
            memset(b->mark, 0, n * sizeof *b->mark);
            b->marked = 1;
        }
        for (size_t k = 0; k < b->prompt_ids; k++) penalise(b, b->prompt[k]);
        for (size_t t = b->length, beam = i; t-- > 0;) {
            const attn_beam_node *node = &b->node[t * b->o.beams + beam];
            penalise(b, node->token);
            beam = node->parent;
        }
    }
    for (size_t t = 0; t < n; t++) row[t] += b->score[i];
    return ATTN_OK;
}

/* Higher; of equals the first. */
static bool better(attn_beam_candidate a, attn_beam_candidate b)
{
    return a.score > b.score || (a.score == b.score && a.index < b.index);
}

/* The worst of candidate[0..size) is on top. */
static void sift(attn_beam_candidate *heap, size_t size, attn_beam_candidate x)
{
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && better(heap[child], heap[child + 1])) child++;
        if (!better(x, heap[child])) break;
        heap[at] = heap[child];
    }
    heap[at] = x;
}

static void offer(attn_beams *b, size_t *size, attn_beam_candidate x)
{
    if (*size == b->keep) {
        if (better(x, b->candidate[0])) sift(b->candidate, *size, x);
        return;
    }
    size_t at = (*size)++;
    for (; at > 0 && better(b->candidate[(at - 1) / 2], x); at = (at - 1) / 2)
        b->candidate[at] = b->candidate[(at - 1) / 2];
    b->candidate[at] = x;
}

/* The best continuations of all beams, best first, into b->candidate; returns their number. */
static attn_status rank(attn_beams *b, const float *logits, size_t stride, size_t *found,
                        attn_error *err)
{
    size_t size = 0, n = b->o.vocabulary;
    for (size_t i = 0; i < b->o.beams; i++) {
        ATTN_TRY(weigh(b, logits + i * stride, i, err));
        for (size_t t = 0; t < n; t++)
            if (size < b->keep || b->row[t] > b->candidate[0].score)
                offer(b, &size, (attn_beam_candidate){b->row[t], i * n + t});
    }
    *found = size;
    while (size > 1) {
        attn_beam_candidate worst = b->candidate[0];
        sift(b->candidate, size - 1, b->candidate[size - 1]);
        b->candidate[--size] = worst;
    }
    return ATTN_OK;
}

static bool stops(const attn_beams *b, int32_t token)
{
    for (size_t i = 0; i < b->o.stops; i++)
        if (b->o.stop[i] == token) return true;
    return b->length + 1 >= b->o.max_tokens;
}

static bool all_finished(const attn_beams *b)
{
    for (size_t i = 0; i < b->o.beams; i++)
        if (!b->end[i].finished) return false;
    return true;
}

static float length_factor(const attn_beams *b, size_t length)
{
    return (float)pow((double)length, (double)b->o.length_penalty);
}

/* Puts x where it belongs among the ends; those before it stay before it if they are equal. */
static void insert_end(attn_beams *b, attn_beam_end x)
{
    size_t at = b->o.beams;
    for (; at > 0 && x.score > b->end[at - 1].score; at--)
        if (at < b->o.beams) b->end[at] = b->end[at - 1];
    if (at < b->o.beams) b->end[at] = x;
}

/* The sequences that have come to an end; only those among the best `beams` count. */
static void collect_ends(attn_beams *b, size_t found)
{
    size_t n = b->o.vocabulary;
    float factor = length_factor(b, b->length + 1);
    bool full = b->o.early_stopping == ATTN_STOP_WHEN_FULL && all_finished(b);
    for (size_t i = 0; i < found; i++) {
        attn_beam_candidate c = b->candidate[i];
        attn_beam_end end = {.length = b->length + 1,
                             .last = {(int32_t)(c.index % n), (uint32_t)(c.index / n)}};
        end.finished = i < b->o.beams && stops(b, end.last.token);
        end.score = c.score / factor;
        if (full) end.score += never;
        if (!b->can_improve) end.score += never;
        if (!end.finished) end.score += never;
        insert_end(b, end);
    }
}

/* The best `beams` that have not come to an end go on; if there are not so many, ended ones fill
 * the places, with a score that loses. Returns whether any goes on in truth. */
static bool go_on(attn_beams *b, size_t found)
{
    size_t n = b->o.vocabulary, beams = b->o.beams, taken = 0;
    bool any = false;
    for (int ended = 0; ended < 2; ended++)
        for (size_t i = 0; i < found && taken < beams; i++) {
            attn_beam_candidate c = b->candidate[i];
            int32_t token = (int32_t)(c.index % n);
            if (stops(b, token) != (ended == 1)) continue;
            any = any || !ended;
            b->parent[taken] = (uint32_t)(c.index / n);
            b->token[taken] = token;
            b->next_score[taken++] = ended ? c.score + never : c.score;
        }
    for (; taken < beams; taken++) { /* a vocabulary smaller than the beams */
        b->parent[taken] = b->parent[0];
        b->token[taken] = b->token[0];
        b->next_score[taken] = never;
    }
    for (size_t i = 0; i < beams; i++)
        b->node[b->length * beams + i] = (attn_beam_node){b->token[i], b->parent[i]};
    memcpy(b->score, b->next_score, beams * sizeof *b->score);
    return any;
}

/* Whether the best running beam may still beat the worst finished one. */
static bool may_improve(const attn_beams *b)
{
    size_t length = b->length;
    if (b->o.early_stopping == ATTN_STOP_NEVER_EARLY && b->o.length_penalty > 0)
        length = b->o.max_tokens;
    float possible = b->score[0] / length_factor(b, length);
    return possible > (all_finished(b) ? b->end[b->o.beams - 1].score : never);
}

attn_status attn_beams_step(attn_beams *b, const float *logits, size_t stride, bool *done,
                            attn_error *err)
{
    size_t found = 0;
    *done = true;
    ATTN_TRY(rank(b, logits, stride, &found, err));
    collect_ends(b, found);
    bool any = go_on(b, found);
    b->length++;
    b->can_improve = b->can_improve && may_improve(b);
    bool closed = b->o.early_stopping == ATTN_STOP_WHEN_FULL && all_finished(b);
    *done = !b->can_improve || closed || !any;
    return ATTN_OK;
}

void attn_beams_text(const attn_beams *b, size_t i, int32_t *tokens)
{
    for (size_t t = b->length, beam = i; t > 0; t--) {
        const attn_beam_node *node = &b->node[(t - 1) * b->o.beams + beam];
        tokens[t - 1] = node->token;
        beam = node->parent;
    }
}

size_t attn_beams_best(const attn_beams *b, int32_t *tokens, float *score)
{
    attn_beam_node node = b->end[0].last;
    size_t length = b->end[0].length;
    *score = b->end[0].score;
    for (size_t t = length; t > 0; t--) {
        tokens[t - 1] = node.token;
        if (t > 1) node = b->node[(t - 2) * b->o.beams + node.parent];
    }
    return length;
}
