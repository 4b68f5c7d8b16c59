/* One query row of every head after the keys of the cache: a decoding step. The query heads that
 * share a key head are the rows of one product, so each key and value is read once.
 *
 * A task is a key head. Where these do not divide among the workers and the keys are many, three
 * regions follow each other: pieces of the keys, the weights of each head, panels of the values.
 * Every element is the same sum either way.
 *
 * The shared scratch: [ scores | weights as rows of products | queries as rows ], of all heads. */
#include "layers/attention_run.h"

enum {
    ALONE_BELOW = 1 << 15, /* multiply-adds that are not worth waking a worker for */
    PIECES_FROM = 1 << 19, /* multiply-adds from which an even cut is worth two more regions */
    PIECE = 256,           /* keys of a task */
    FEW_ROWS = 4,          /* query heads of a key head that are faster one by one */
    NEAR_PANELS = 4,       /* panels of keys that stay near meanwhile */
};

typedef struct step_layout {
    size_t scores, weights, queries; /* bytes for one head */
} step_layout;

static bool lay_out(step_layout *l, const attn_kernels *kernels, const attn_attention_params *p,
                    attn_panel_type products, size_t q_dim, size_t context, bool keeps_weights)
{
    attn_panel_type key = attn_score_type(&p->score, products);
    attn_panel_type value = attn_select_type(&p->select, products);
    l->scores = 0;
    if (!keeps_weights &&
        (!attn_mul(context, sizeof(float), &l->scores) || !attn_round_bytes(l->scores, &l->scores)))
        return false;
    l->weights = kernels->row_bytes(value, context);
    l->queries = kernels->row_bytes(key, q_dim);
    return l->weights != SIZE_MAX && l->queries != SIZE_MAX;
}

bool attn_is_step(const attn_attention_params *p, const attn_score_size *z,
                  const attn_select_size *y)
{
    return z->q_len == 1 && p->score.kind != ATTN_SCORE_BILINEAR && z->kv_heads == y->kv_heads;
}

attn_status attn_step_scratch(attn_infer *c, const attn_attention_params *p,
                              const attn_score_size *z)
{
    step_layout l;
    size_t heads, normalize = attn_normalize_worker_floats(&p->normalize, z->k_len);
    if (!lay_out(&l, c->kernels, p, c->products, z->q_dim, z->k_len, c->outputs > 1) ||
        !attn_mul(c->batch, z->heads, &heads))
        return attn_infer_fail(c, "%zu keys of %zu columns are too large", z->k_len, z->k_dim);
    ATTN_TRY(attn_add_scratch(c, heads, l.scores, &c->scratch));
    ATTN_TRY(attn_add_scratch(c, heads, l.weights, &c->scratch));
    ATTN_TRY(attn_add_scratch(c, heads, l.queries, &c->scratch));
    return attn_add_scratch(c, normalize, sizeof(float), &c->worker_scratch);
}

typedef struct step_job {
    const attn_attention_job *a;
    step_layout l;
    char *weights, *queries; /* in the scratch */
    size_t group;            /* query heads of a key head */
    size_t pieces, panels;   /* of a head, where it is cut */
} step_job;

/* The keys that the row of an item may look at. */
static attn_row_block get_block(const step_job *j, size_t item)
{
    attn_row_block block = {.item = item, .rows = 1, .keys = j->a->score.size.k_len};
    if (attn_may_narrow(j->a)) attn_score_narrow(&j->a->score, &block);
    block.ld = block.keys;
    return block;
}

/* Scores, then weights, of query head `head`; *step: floats to those of the next one. */
static float *get_scores(const step_job *j, size_t item, size_t head, size_t *step)
{
    const attn_run_context *c = j->a->c;
    const attn_score_size *z = &j->a->score.size;
    *step = c->outputs > 1 ? z->k_len : j->l.scores / sizeof(float);
    if (c->outputs > 1) return attn_item(&c->out[1], item) + head * z->k_len;
    return (float *)c->scratch + (item * z->heads + head) * *step;
}

/* Where the processor multiplies pairs of bf16, rows are bf16 as well, and panels stay as they are.
 */
static bool widens(const attn_kernels *kernels, attn_panel_type type)
{
    enum { ELEMENTS = 32 };
    return kernels->row_bytes(type, ELEMENTS) > ELEMENTS * sizeof(uint16_t);
}

/* The product; in bf16, where there are few rows, one by one over pieces of `columns` columns: to
 * widen the panels for all of them costs more than to read them again while they are near. */
static void product(const attn_kernels *kernels, const attn_gemm *all, size_t columns)
{
    if (all->m > FEW_ROWS || !widens(kernels, all->type)) {
        kernels->gemm(all);
        return;
    }
    size_t row_bytes = kernels->row_bytes(all->type, all->k);
    size_t panel_bytes = kernels->panel_bytes(all->type, all->k);
    for (size_t j = 0; j < all->n; j += columns)
        for (size_t i = 0; i < all->m; i++) {
            attn_gemm g = *all;
            g.m = 1;
            g.n = all->n - j < columns ? all->n - j : columns;
            g.x = all->x + i * all->ldx;
            g.rows = (const char *)all->rows + i * row_bytes;
            g.w = (const char *)all->w + j / kernels->panel * panel_bytes;
            g.y = all->y + i * all->ldy + j;
            kernels->gemm(&g);
        }
}

/* The block's scores of all query heads that meet key head `head`. */
static void score_keys(const step_job *j, const attn_row_block *block, size_t head, size_t from)
{
    const attn_score_run *s = &j->a->score;
    const attn_score_size *z = &s->size;
    size_t first = head * j->group, step;
    float *scores = get_scores(j, block->item, first, &step) + (block->first - from);
    const char *panels = attn_cached_keys(j->a, block->item, head);
    attn_gemm g = {.m = j->group,
                   .n = block->keys,
                   .k = z->k_dim,
                   .x = attn_item(s->q, block->item) + first * z->q_dim,
                   .ldx = z->q_dim,
                   .rows = j->queries + (block->item * z->heads + first) * j->l.queries,
                   .type = s->type,
                   .w = panels + block->first / s->kernels->panel *
                                     s->kernels->panel_bytes(s->type, z->k_dim),
                   .y = scores,
                   .ldy = step,
                   .scale = s->scale};
    product(s->kernels, &g, NEAR_PANELS * s->kernels->panel);
    attn_row_block row = *block;
    for (size_t i = 0; i < j->group; i++) {
        row.head = first + i;
        attn_score_mask(s, &row, scores + i * step);
    }
}

/* The weights of one query head, and the row that the product takes. */
static void weigh(const step_job *j, const attn_row_block *block, size_t head, float *own)
{
    const attn_attention_job *a = j->a;
    const attn_kernels *kernels = a->c->kernels;
    size_t step, bytes = kernels->row_bytes(a->select.type, block->keys);
    size_t first = head / j->group * j->group;
    float *w = get_scores(j, block->item, head, &step);
    char *rows = j->weights + (block->item * a->score.size.heads + first) * j->l.weights;
    attn_normalize_rows(kernels, &a->p->normalize, w, w, 1, block->keys, own);
    if (bytes) kernels->quantize(a->select.type, rows + (head - first) * bytes, w, block->keys);
}

/* Columns [panel, panel + 1) of the values, in panels, of all query heads of a key head. */
static void mix_panel(const step_job *j, const attn_row_block *block, size_t head, size_t panel)
{
    const attn_select_run *s = &j->a->select;
    const attn_kernels *kernels = s->kernels;
    size_t first = head * j->group, step, column = panel * kernels->panel;
    size_t skipped = block->first ? kernels->panel_bytes(s->type, block->first) : 0;
    const float *w = get_scores(j, block->item, first, &step);
    attn_gemm g = {
        .m = j->group,
        .n = s->size.v_dim - column < kernels->panel ? s->size.v_dim - column : kernels->panel,
        .k = block->keys,
        .x = w,
        .ldx = step,
        .rows = j->weights + (block->item * s->size.heads + first) * j->l.weights,
        .type = s->type,
        .w = attn_cached_values(j->a, block->item, head) + panel * s->panel_stride + skipped,
        .y = attn_item(s->y, block->item) + first * s->size.v_dim + column,
        .ldy = s->size.v_dim,
        .scale = 1};
    product(kernels, &g, kernels->panel);
}

/* What a key head needs before its scores: the row in the cache, the queries as rows. */
static void begin_head(const step_job *j, size_t item, size_t head)
{
    const attn_score_run *s = &j->a->score;
    attn_append_keys(j->a, item, head);
    attn_append_values(j->a, item, head);
    for (size_t i = head * j->group; j->l.queries && i < (head + 1) * j->group; i++)
        s->kernels->quantize(s->type, j->queries + (item * s->size.heads + i) * j->l.queries,
                             attn_item(s->q, item) + i * s->size.q_dim, s->size.q_dim);
}

static void head_task(void *arg, size_t task, size_t worker)
{
    const step_job *j = arg;
    size_t heads = j->a->score.size.kv_heads, head = task % heads;
    attn_row_block block = get_block(j, task / heads);
    begin_head(j, block.item, head);
    score_keys(j, &block, head, block.first);
    for (size_t i = 0; i < j->group; i++)
        weigh(j, &block, head * j->group + i, attn_worker_scratch(j->a->c, worker));
    for (size_t i = 0; i < j->panels; i++) mix_panel(j, &block, head, i);
}

static void keys_task(void *arg, size_t task, size_t worker)
{
    const step_job *j = arg;
    size_t heads = j->a->score.size.kv_heads, at = task / j->pieces;
    attn_row_block block = get_block(j, at / heads);
    size_t from = block.first, end = from + block.keys;
    (void)worker;
    block.first += task % j->pieces * PIECE;
    if (block.first >= end) return; /* narrowed */
    block.keys = end - block.first < PIECE ? end - block.first : PIECE;
    score_keys(j, &block, at % heads, from);
}

static void weigh_task(void *arg, size_t task, size_t worker)
{
    const step_job *j = arg;
    size_t heads = j->a->score.size.heads;
    attn_row_block block = get_block(j, task / heads);
    weigh(j, &block, task % heads, attn_worker_scratch(j->a->c, worker));
}

static void panel_task(void *arg, size_t task, size_t worker)
{
    const step_job *j = arg;
    size_t heads = j->a->score.size.kv_heads, at = task / j->panels;
    attn_row_block block = get_block(j, at / heads);
    (void)worker;
    mix_panel(j, &block, at % heads, task % j->panels);
}

void attn_step_run(attn_attention_job *a)
{
    const attn_run_context *c = a->c;
    const attn_score_size *z = &a->score.size;
    step_job j = {.a = a, .group = z->heads / z->kv_heads};
    size_t items = c->batch, tasks = items * z->kv_heads, heads = items * z->heads;
    lay_out(&j.l, c->kernels, a->p, c->products, z->q_dim, c->context, c->outputs > 1);
    j.weights = (char *)c->scratch + heads * j.l.scores;
    j.queries = j.weights + heads * j.l.weights;
    j.pieces = (z->k_len + PIECE - 1) / PIECE;
    j.panels = (a->select.size.v_dim + c->kernels->panel - 1) / c->kernels->panel;
    size_t keys = get_block(&j, 0).keys, work = heads * keys * (z->k_dim + a->select.size.v_dim);
    bool even = c->workers == 1 || tasks % c->workers == 0 || tasks >= 4 * c->workers;
    if (work < ALONE_BELOW) {
        for (size_t i = 0; i < tasks; i++) head_task(&j, i, 0);
    } else if (even || work < PIECES_FROM) {
        c->parallel(c->pool, tasks, head_task, &j);
    } else {
        for (size_t i = 0; i < tasks; i++) begin_head(&j, i / z->kv_heads, i % z->kv_heads);
        c->parallel(c->pool, tasks * j.pieces, keys_task, &j);
        c->parallel(c->pool, heads, weigh_task, &j);
        c->parallel(c->pool, tasks * j.panels, panel_task, &j);
    }
}
