/* einsum: y[output labels] = sum over all other labels of the product of the operands' elements,
 * as in NumPy: "bhqd,bhkd->bhqk", "ii->i", "...ij,...jk". Without "->" the output has the labels
 * that occur once, in alphabetical order, behind the ellipsis. A dimension of 1 is repeated.
 * Operand after operand: with what came before as a matrix [batch, m, k] and the next one as
 * [batch, k, n], where k are the labels that neither the output nor a later operand has, in the
 * order of their first place in the equation; a product per batch, of one accumulator over k. */
#include "layers/support.h"

#include <ctype.h>
#include <string.h>

enum { LETTERS = 52, LABELS = LETTERS + ATTN_MAX_RANK, MOST = 16, OPERANDS = 8 };

/* The labels of an operand, and how many of its dimensions are its ellipsis' (-1: it has none). */
typedef struct term {
    int count, ellipsis; /* where it stands among the letters, or -1 */
    unsigned char label[ATTN_MAX_RANK];
} term;

typedef struct einsum_params {
    size_t inputs;
    bool given; /* the output */
    term in[OPERANDS], out;
} einsum_params;

static attn_status read_term(attn_reader *r, const char **at, const char *end, term *t)
{
    *t = (term){.ellipsis = -1};
    for (; *at < end && **at != ','; ++*at) {
        char c = **at;
        if (c == ' ') continue;
        if (c == '.' && t->ellipsis < 0 && end - *at >= 3 && strncmp(*at, "...", 3) == 0) {
            t->ellipsis = t->count;
            *at += 2;
            continue;
        }
        bool upper = c >= 'A' && c <= 'Z';
        if (!upper && !(c >= 'a' && c <= 'z'))
            return attn_reader_fail(r, "\"equation\" has '%c'",
                                    isprint((unsigned char)c) ? c : '?');
        if (t->count == ATTN_MAX_RANK)
            return attn_reader_fail(r, "\"equation\" has more than %d labels in a row", t->count);
        t->label[t->count++] = (unsigned char)(upper ? c - 'A' : c - 'a' + 26);
    }
    return ATTN_OK;
}

static attn_status einsum_parse(attn_reader *r, void *params)
{
    einsum_params *p = params;
    const char *text, *arrow;
    ATTN_TRY(attn_need_inputs(r, 1, OPERANDS, &p->inputs));
    ATTN_TRY(attn_need_outputs(r, 1, 1, NULL));
    ATTN_TRY(attn_read_text(r, "equation", &text));
    if (!text) return attn_reader_fail(r, "the key \"equation\" is missing");
    arrow = strstr(text, "->");
    const char *end = arrow ? arrow : text + strlen(text);
    for (size_t i = 0; i < p->inputs; i++) {
        ATTN_TRY(read_term(r, &text, end, &p->in[i]));
        if ((i + 1 < p->inputs) != (text < end))
            return attn_reader_fail(r, "\"equation\" has another number of operands than %zu",
                                    p->inputs);
        text++;
    }
    p->given = arrow != NULL;
    if (!arrow) return ATTN_OK;
    text = arrow + 2;
    return read_term(r, &text, text + strlen(text), &p->out);
}

/* ---- shapes -------------------------------------------------------------------------------- */

/* A list of labels, in the order of the dimensions of an array with these steps. */
typedef struct labels {
    int count;
    unsigned char label[MOST];
    size_t step[MOST];
} labels;

typedef struct plan {
    size_t size[LABELS];
    int ellipsis;      /* the most dimensions that one stands for */
    int first[LABELS]; /* place of the first occurrence, -1: none */
    int uses[LABELS];
    labels in[OPERANDS], out;
} plan;

static void add_label(labels *l, int label, size_t step)
{
    l->label[l->count] = (unsigned char)label;
    l->step[l->count++] = step;
}

/* The labels of an operand's dimensions. False: their number is not its rank. */
static bool spread(const term *t, const attn_shape *x, int most, labels *l)
{
    int dims = x->rank - t->count, d = 0;
    if (dims < 0 || (t->ellipsis < 0 && dims > 0)) return false;
    for (int i = 0; i <= t->count; i++) {
        for (int k = 0; i == t->ellipsis && k < dims; k++, d++)
            add_label(l, LETTERS + most - dims + k, attn_span(x, d + 1, x->rank));
        if (i == t->count) break;
        add_label(l, t->label[i], attn_span(x, d + 1, x->rank));
        d++;
    }
    return true;
}

static bool has(const labels *l, int label)
{
    for (int i = 0; i < l->count; i++)
        if (l->label[i] == label) return true;
    return false;
}

/* What is wrong, or NULL. */
static const char *make_plan(const einsum_params *p, const attn_shape *const *x, plan *e)
{
    int place = 0;
    memset(e, 0, sizeof *e);
    for (int i = 0; i < LABELS; i++) e->first[i] = -1;
    for (size_t i = 0; i < p->inputs; i++)
        if (p->in[i].ellipsis >= 0 && x[i]->rank - p->in[i].count > e->ellipsis)
            e->ellipsis = x[i]->rank - p->in[i].count;
    for (size_t i = 0; i < p->inputs; i++) {
        labels *l = &e->in[i];
        if (!spread(&p->in[i], x[i], e->ellipsis, l)) return "labels do not fit an operand's rank";
        for (int d = 0; d < l->count; d++) {
            int label = l->label[d];
            size_t dim = x[i]->dim[d], *size = &e->size[label];
            if (*size && *size != dim && *size != 1 && dim != 1)
                return "a label has different sizes";
            if (dim > *size) *size = dim;
            if (e->first[label] < 0) e->first[label] = place;
            place++;
            e->uses[label]++;
        }
    }
    for (size_t i = 0; i < p->inputs; i++) /* a dimension of 1 is repeated */
        for (int d = 0; d < e->in[i].count; d++)
            if (x[i]->dim[d] == 1) e->in[i].step[d] = 0;
    bool dots = p->given ? p->out.ellipsis >= 0 : true;
    for (int i = 0; i <= p->out.count; i++) {
        for (int k = 0; dots && i == (p->given ? p->out.ellipsis : 0) && k < e->ellipsis; k++)
            add_label(&e->out, LETTERS + k, 0);
        if (i == p->out.count) break;
        int label = p->out.label[i];
        if (e->first[label] < 0 || has(&e->out, label)) return "the output has a wrong label";
        add_label(&e->out, label, 0);
    }
    for (int i = 0; !p->given && i < LETTERS && e->out.count < MOST; i++)
        if (e->uses[i] == 1) add_label(&e->out, i, 0);
    return e->out.count > ATTN_MAX_RANK ? "the output has too many labels" : NULL;
}

/* One product: [batch, m, k] by [batch, k, n]. */
typedef struct product {
    int count;                 /* labels in all: */
    unsigned char order[MOST]; /* batch, then m, then n, then k */
    int batch, m, n, k;        /* labels of each */
    size_t batches, rows, columns, depth;
} product;

static bool is_kept(const plan *e, size_t inputs, size_t done, int label)
{
    if (has(&e->out, label)) return true;
    for (size_t i = done; i < inputs; i++)
        if (has(&e->in[i], label)) return true;
    return false;
}

/* Of a (what came before) and b; done: operands that these make. False: too many labels. */
static bool make_product(const plan *e, size_t inputs, size_t done, const labels *a,
                         const labels *b, product *s)
{
    memset(s, 0, sizeof *s);
    s->batches = s->rows = s->columns = s->depth = 1;
    for (int kind = 0; kind < 4; kind++) {
        int list[LABELS], count = 0;
        for (int label = 0; label < LABELS; label++) {
            bool in_a = has(a, label), in_b = has(b, label);
            if (!in_a && !in_b) continue;
            int own = !is_kept(e, inputs, done, label) ? 3 : in_a && in_b ? 0 : in_a ? 1 : 2;
            if (own != kind) continue;
            int at = count++;
            for (; at && e->first[list[at - 1]] > e->first[label]; at--) list[at] = list[at - 1];
            list[at] = label;
        }
        int *number[] = {&s->batch, &s->m, &s->n, &s->k};
        size_t *sizes[] = {&s->batches, &s->rows, &s->columns, &s->depth};
        *number[kind] = count;
        for (int i = 0; i < count; i++) {
            if (s->count == MOST || !attn_mul(*sizes[kind], e->size[list[i]], sizes[kind]))
                return false;
            s->order[s->count++] = (unsigned char)list[i];
        }
    }
    return true;
}

/* The labels of the result, contiguous. */
static void result_labels(const plan *e, const product *s, labels *l)
{
    size_t step = 1;
    *l = (labels){.count = s->batch + s->m + s->n};
    for (int i = l->count - 1; i >= 0; i--) {
        l->label[i] = s->order[i];
        l->step[i] = step;
        step *= e->size[s->order[i]];
    }
}

static bool product_sizes(const product *s, size_t *a, size_t *b, size_t *y)
{
    return attn_mul(s->batches, s->rows, a) && attn_mul(*a, s->depth, a) &&
           attn_mul(s->batches, s->columns, b) && attn_mul(*b, s->depth, b) &&
           attn_mul(s->batches, s->rows, y) && attn_mul(*y, s->columns, y);
}

static attn_status einsum_infer(attn_infer *c, const void *params)
{
    const einsum_params *p = params;
    const attn_shape *x[OPERANDS];
    plan e;
    labels a, none = {0};
    size_t most[3] = {0}, sizes[3], block = 0;
    for (size_t i = 0; i < p->inputs; i++) {
        ATTN_TRY(attn_want_filled(c, i, ATTN_F32, 0, ATTN_MAX_RANK));
        x[i] = &c->in[i];
    }
    const char *problem = make_plan(p, x, &e);
    if (problem) return attn_infer_fail(c, "\"equation\": %s", problem);
    c->out[0] = (attn_shape){.dtype = ATTN_F32, .rank = e.out.count};
    for (int i = 0; i < e.out.count; i++) c->out[0].dim[i] = e.size[e.out.label[i]];
    ATTN_TRY(attn_want_count(c, &c->out[0], &sizes[0]));
    a = e.in[0];
    for (size_t i = 1; i < p->inputs || i == 1; i++) {
        product s;
        const labels *b = i < p->inputs ? &e.in[i] : &none;
        if (!make_product(&e, p->inputs, i + 1, &a, b, &s) ||
            !product_sizes(&s, &sizes[0], &sizes[1], &sizes[2]) || sizes[0] > SIZE_MAX / 64 ||
            sizes[1] > SIZE_MAX / 64)
            return attn_infer_fail(c, "\"equation\" has too many labels or elements");
        for (int k = 0; k < 3; k++)
            if (sizes[k] > most[k]) most[k] = sizes[k];
        size_t panels = attn_block_panels(c->kernels, s.depth, s.columns, 1, 1);
        if (panels * c->kernels->panel * s.depth > block)
            block = panels * c->kernels->panel * s.depth;
        c->flops += (double)sizes[0] * (double)s.columns;
        result_labels(&e, &s, &a);
    }
    ATTN_TRY(attn_add_scratch(c, most[0], sizeof(float), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, most[1], sizeof(float), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, most[2], sizeof(float), &c->scratch));
    ATTN_TRY(attn_add_scratch(c, most[2], sizeof(float), &c->scratch));
    return attn_add_scratch(c, block, sizeof(float), &c->worker_scratch);
}

/* ---- run ----------------------------------------------------------------------------------- */

/* x's elements, in the order of labels [0, skip) and [skip, ...) of `order`. */
static void gather(const attn_run_context *c, const plan *e, const labels *l,
                   const unsigned char *order, int count, const float *x, float *y)
{
    attn_gather g = {.rank = count, .x = x, .y = y};
    for (int i = 0; i < count; i++) {
        g.dim[i] = e->size[order[i]];
        for (int d = 0; d < l->count; d++)
            if (l->label[d] == order[i]) g.step[i] += l->step[d];
    }
    attn_run_gather(c, &g);
}

typedef struct product_job {
    const attn_run_context *c;
    const product *s;
    const float *a, *b;
    float *y;
    size_t block, blocks;
} product_job;

static void product_task(void *arg, size_t task, size_t worker)
{
    const product_job *j = arg;
    const product *s = j->s;
    size_t first = task % j->blocks * j->block, batch = task / j->blocks;
    size_t n = s->columns - first < j->block ? s->columns - first : j->block;
    float *packed = attn_worker_scratch(j->c, worker);
    j->c->kernels->pack(ATTN_PANEL_F32, packed,
                        j->b + batch * s->depth * s->columns + first * s->depth, s->depth, n, 1,
                        s->depth);
    attn_gemm g = {.m = s->rows,
                   .n = n,
                   .k = s->depth,
                   .x = j->a + batch * s->rows * s->depth,
                   .ldx = s->depth,
                   .w = packed,
                   .y = j->y + batch * s->rows * s->columns + first,
                   .ldy = s->columns,
                   .scale = 1};
    j->c->kernels->gemm(&g);
}

static void einsum_item(const attn_run_context *c, const einsum_params *p, const plan *e,
                        size_t item, float *const buffer[4])
{
    const float one = 1, *from = attn_item(&c->in[0], item);
    labels a = e->in[0], none = {0};
    for (size_t i = 1; i < p->inputs || i == 1; i++) {
        product s;
        bool two = i < p->inputs;
        unsigned char order[MOST];
        float *y = buffer[2 + i % 2];
        make_product(e, p->inputs, i + 1, &a, two ? &e->in[i] : &none, &s);
        memcpy(order, s.order, (size_t)(s.batch + s.m));
        memcpy(order + s.batch + s.m, s.order + s.batch + s.m + s.n, (size_t)s.k);
        gather(c, e, &a, order, s.batch + s.m + s.k, from, buffer[0]);
        memcpy(order, s.order, (size_t)s.batch);
        memcpy(order + s.batch, s.order + s.batch + s.m, (size_t)(s.n + s.k));
        gather(c, e, two ? &e->in[i] : &none, order, s.batch + s.n + s.k,
               two ? attn_item(&c->in[i], item) : &one, buffer[1]);
        product_job j = {.c = c, .s = &s, .a = buffer[0], .b = buffer[1], .y = y};
        j.block = attn_block_panels(c->kernels, s.depth, s.columns, 1, 1) * c->kernels->panel;
        j.blocks = (s.columns + j.block - 1) / j.block;
        c->parallel(c->pool, s.batches * j.blocks, product_task, &j);
        result_labels(e, &s, &a);
        from = y;
    }
    gather(c, e, &a, e->out.label, e->out.count, from, attn_item(&c->out[0], item));
}

static void einsum_run(const attn_run_context *c, const void *params)
{
    const einsum_params *p = params;
    const attn_shape *x[OPERANDS];
    plan e;
    labels a, none = {0};
    size_t most[3] = {0}, sizes[3];
    for (size_t i = 0; i < p->inputs; i++) x[i] = &c->in[i].shape;
    make_plan(p, x, &e);
    a = e.in[0];
    for (size_t i = 1; i < p->inputs || i == 1; i++) {
        product s;
        make_product(&e, p->inputs, i + 1, &a, i < p->inputs ? &e.in[i] : &none, &s);
        product_sizes(&s, &sizes[0], &sizes[1], &sizes[2]);
        for (int k = 0; k < 3; k++)
            if (sizes[k] > most[k]) most[k] = sizes[k];
        result_labels(&e, &s, &a);
    }
    float *buffer[4] = {c->scratch}; /* as in infer: each part is rounded up to 64 bytes */
    for (int k = 0; k < 3; k++) buffer[k + 1] = buffer[k] + (most[k] + 15) / 16 * 16;
    for (size_t item = 0; item < c->batch; item++) einsum_item(c, p, &e, item, buffer);
}

const attn_layer attn_layer_einsum = {
    "einsum", ATTN_STEP_SHARED, 0, sizeof(einsum_params), einsum_parse, einsum_infer, einsum_run};
