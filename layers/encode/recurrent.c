/* lstm, gru and rnn, as ONNX has them: for t = 0, 1, 2 ... (or from the end, "reverse"; or both)
 *   lstm: i, o, f, c~ = f(x W_i + h R_i + b), f(..), f(..), g(..); c = f c + i c~; h = o h(c)
 *         Hochreiter & Schmidhuber 1997; with peepholes i, f += P c before, o += P c after it
 *   gru:  z, r = f(x W + h R + b); h~ = g(x W_h + (r h) R_h + b), or, "linear_before_reset",
 *         g(x W_h + r (h R_h + b)); h = (1 - z) h~ + z h       Cho et al. 2014
 *   rnn:  h = f(x W + h R + b)                                 Elman 1990
 *   x: [seq, batch, in], W: [D, G hidden, in], R: [D, G hidden, hidden], b: [D, 2 G hidden] (of W,
 *   then of R), states [D, batch, hidden], y: [seq, D, batch, hidden]; D directions, G gates. With
 *   "batch_first" x: [batch, seq, in], states [batch, D, hidden], y: [batch, seq, D, hidden].
 * W and R are weights ("weight", "recurrent"), or values ("weight_from", "recurrent_from").
 * A gate is (sum over h R + its bias) + (sum over x W + its bias). The products of x are made for
 * all t at once; a task takes some rows of the batch in one direction through all t. */
#include "layers/support.h"

#include <float.h>
#include <string.h>

enum { RNN, GRU, LSTM };
enum { FORWARD, REVERSE, BOTH };
enum { W, R, BIAS, LENGTHS, STATE, CELL, PEEPHOLES, OPERANDS };

typedef struct recurrent_params {
    int kind, direction;
    int operand[OPERANDS]; /* or -1 */
    size_t outputs;
    bool batch_first, linear_before_reset, input_forget;
    float clip;           /* 0: none */
    attn_unary act[2][3]; /* f, g, h of each direction */
    /* W and R where they are weights: of each direction, and R's rows that wait for a gate (late of
     * sizes) apart. */
    attn_param whole[2], w[2], r[2][2];
} recurrent_params;

static const size_t gate_counts[] = {[RNN] = 1, [GRU] = 3, [LSTM] = 4};

/* The columns of R that wait for a gate. */
static size_t late_rows(const recurrent_params *p, size_t gates)
{
    return p->kind == GRU && !p->linear_before_reset ? gates / 3 : 0;
}

/* "weight" and "recurrent": [D, G hidden, ...], bound once in panels. */
static attn_status bind_weights(attn_reader *r, recurrent_params *p)
{
    static const char *const keys[] = {"weight", "recurrent"};
    size_t dirs = p->direction == BOTH ? 2 : 1;
    for (int i = W; i <= R; i++) {
        attn_param *whole = &p->whole[i];
        if (p->operand[i] >= 0) continue;
        ATTN_TRY(attn_read_whole(r, keys[i], 3, whole));
        if (!whole->source)
            return attn_reader_fail(r, "the key \"%s\" is missing, or \"%s_from\"", keys[i],
                                    keys[i]);
        if (whole->dim[0] != dirs)
            return attn_reader_fail(r, "\"%s\" has %zu directions, expected %zu",
                                    whole->source->name, whole->dim[0], dirs);
        size_t gates = whole->dim[1], late = i == R ? late_rows(p, gates) : 0;
        for (size_t d = 0; d < dirs; d++) {
            attn_param *early = i == W ? &p->w[d] : &p->r[d][0];
            ATTN_TRY(attn_take_rows(r, whole, d * gates, gates - late, early));
            if (late) ATTN_TRY(attn_take_rows(r, whole, (d + 1) * gates - late, late, &p->r[d][1]));
        }
    }
    return ATTN_OK;
}

static attn_status parse(attn_reader *r, recurrent_params *p, int kind)
{
    static const char *const keys[] = {"weight_from",  "recurrent_from", "bias_from",
                                       "lengths_from", "state_from",     "cell_from",
                                       "peephole_from"};
    static const char *const directions[] = {"forward", "reverse", "bidirectional", NULL};
    static const char *const acts[2][3] = {{"f", "g", "h"},
                                           {"f_reverse", "g_reverse", "h_reverse"}};
    p->kind = kind;
    ATTN_TRY(attn_need_inputs(r, 1, 1, NULL));
    ATTN_TRY(attn_need_outputs(r, 1, kind == LSTM ? 3 : 2, &p->outputs));
    for (int i = 0; i < OPERANDS; i++) {
        p->operand[i] = -1;
        if (kind == LSTM || i < CELL) ATTN_TRY(attn_read_operand(r, keys[i], &p->operand[i]));
    }
    ATTN_TRY(attn_read_word(r, "direction", directions, &p->direction));
    ATTN_TRY(attn_read_bool(r, "batch_first", &p->batch_first));
    ATTN_TRY(attn_read_float(r, "clip", 0, (double)FLT_MAX, &p->clip));
    if (kind == GRU) ATTN_TRY(attn_read_bool(r, "linear_before_reset", &p->linear_before_reset));
    if (kind == LSTM) ATTN_TRY(attn_read_bool(r, "input_forget", &p->input_forget));
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 3; i++) {
            p->act[d][i] = i || kind == RNN ? ATTN_TANH : ATTN_SIGMOID;
            if (i < (kind == RNN ? 1 : kind == GRU ? 2 : 3))
                ATTN_TRY(attn_read_activation(r, acts[d][i], &p->act[d][i]));
        }
    return bind_weights(r, p);
}

static attn_status lstm_parse(attn_reader *r, void *params)
{
    return parse(r, params, LSTM);
}
static attn_status gru_parse(attn_reader *r, void *params)
{
    return parse(r, params, GRU);
}
static attn_status rnn_parse(attn_reader *r, void *params)
{
    return parse(r, params, RNN);
}

/* ---- sizes --------------------------------------------------------------------------------- */

typedef struct sizes {
    size_t seq, batch, in, hidden, dirs, gates; /* gates: G hidden */
    size_t packed_w, packed_r, steps; /* floats of one direction: panels, 0 of weights; all x W */
    size_t late, packed_early; /* columns of R that wait for a gate (gru), packed behind the others,
                                * which take so many floats */
} sizes;

static bool measure(const recurrent_params *p, const attn_kernels *kernels, const attn_shape *x,
                    const size_t *r, sizes *s)
{
    size_t rows, late;
    s->seq = x->dim[p->batch_first ? 1 : 0];
    s->batch = x->dim[p->batch_first ? 0 : 1];
    s->in = x->dim[2];
    s->hidden = r[2];
    s->dirs = p->direction == BOTH ? 2 : 1;
    s->gates = r[1];
    s->late = late_rows(p, s->gates);
    bool fits = attn_packed_floats(kernels, s->in, s->gates, &s->packed_w) &&
                attn_packed_floats(kernels, s->hidden, s->gates - s->late, &s->packed_early) &&
                attn_packed_floats(kernels, s->hidden, s->late, &late) &&
                attn_add(s->packed_early, late, &s->packed_r) &&
                attn_mul(s->seq, s->batch, &rows) && attn_mul(rows, s->gates, &s->steps);
    if (p->whole[W].source) s->packed_w = 0;
    if (p->whole[R].source) s->packed_r = 0;
    return fits;
}

/* An operand of this shape; dimensions beyond the rank are not looked at. */
static attn_status want_shape(attn_infer *c, int operand, const char *what, attn_dtype dtype,
                              int rank, size_t a, size_t b, size_t d)
{
    const size_t want[3] = {a, b, d};
    attn_shape_text have, text;
    if (operand < 0) return ATTN_OK;
    ATTN_TRY(attn_want_filled(c, (size_t)operand, dtype, rank, rank));
    const attn_shape *s = &c->in[operand];
    if (memcmp(s->dim, want, (size_t)rank * sizeof *want) == 0) return ATTN_OK;
    return attn_infer_fail(c, "%s is %s, expected %s", what,
                           attn_format_shape(&have, s->dim, s->rank),
                           attn_format_shape(&text, want, rank));
}

static attn_status recurrent_infer(attn_infer *c, const void *params)
{
    const recurrent_params *p = params;
    sizes s;
    size_t each, total;
    ATTN_TRY(attn_want_filled(c, 0, ATTN_F32, 3, 3));
    bool bound = p->whole[R].source;
    if (!bound) ATTN_TRY(attn_want_filled(c, (size_t)p->operand[R], ATTN_F32, 3, 3));
    if (!measure(p, c->kernels, &c->in[0], bound ? p->whole[R].dim : c->in[p->operand[R]].dim, &s))
        return attn_infer_fail(c, "the sizes are too large");
    if (s.gates % gate_counts[p->kind] || s.gates / gate_counts[p->kind] != s.hidden)
        return attn_infer_fail(c, "the recurrent weight has %zu rows of %zu, expected %zu", s.gates,
                               s.hidden, gate_counts[p->kind] * s.hidden);
    size_t batch = p->batch_first ? s.dirs : s.batch, dirs = p->batch_first ? s.batch : s.dirs;
    const int *o = p->operand;
    ATTN_TRY(want_shape(c, o[W], "the weight", ATTN_F32, 3, s.dirs, s.gates, s.in));
    const size_t *w = p->whole[W].dim;
    if (p->whole[W].source && (w[1] != s.gates || w[2] != s.in))
        return attn_infer_fail(c, "the weight is [%zu, %zu, %zu], expected [%zu, %zu, %zu]", w[0],
                               w[1], w[2], s.dirs, s.gates, s.in);
    ATTN_TRY(want_shape(c, o[R], "the recurrent weight", ATTN_F32, 3, s.dirs, s.gates, s.hidden));
    ATTN_TRY(want_shape(c, o[BIAS], "the bias", ATTN_F32, 2, s.dirs, 2 * s.gates, 0));
    ATTN_TRY(want_shape(c, o[LENGTHS], "the lengths' list", ATTN_I32, 1, s.batch, 0, 0));
    ATTN_TRY(want_shape(c, o[STATE], "the state", ATTN_F32, 3, dirs, batch, s.hidden));
    ATTN_TRY(want_shape(c, o[CELL], "the cell", ATTN_F32, 3, dirs, batch, s.hidden));
    ATTN_TRY(want_shape(c, o[PEEPHOLES], "the peepholes", ATTN_F32, 2, s.dirs, 3 * s.hidden, 0));
    c->out[0] =
        (attn_shape){.dtype = ATTN_F32, .rank = 4, .dim = {s.seq, s.dirs, s.batch, s.hidden}};
    if (p->batch_first)
        c->out[0] =
            (attn_shape){.dtype = ATTN_F32, .rank = 4, .dim = {s.batch, s.seq, s.dirs, s.hidden}};
    for (size_t i = 1; i < p->outputs; i++)
        c->out[i] = (attn_shape){.dtype = ATTN_F32, .rank = 3, .dim = {dirs, batch, s.hidden}};
    ATTN_TRY(attn_want_count(c, &c->out[0], &total));
    c->flops = (double)s.steps * (double)(s.in + s.hidden) * (double)s.dirs;
    if (!attn_add(s.packed_w, s.packed_r, &each) || !attn_add(each, s.steps, &each) ||
        !attn_mul(each, s.dirs, &each) || !attn_mul(each, c->batch, &total) ||
        !attn_mul(s.batch, s.gates + 3 * s.hidden, &each))
        return attn_infer_fail(c, "the sizes are too large");
    ATTN_TRY(attn_add_scratch(c, total, sizeof(float), &c->scratch));
    return attn_add_scratch(c, each, sizeof(float), &c->worker_scratch);
}

/* ---- run ----------------------------------------------------------------------------------- */

typedef struct job {
    const attn_run_context *c;
    const recurrent_params *p;
    sizes s;
    size_t parts, rows, panels; /* of the batch; its rows in each; panels of a task */
} job;

static const float *operand(const job *j, int which, size_t item)
{
    int index = j->p->operand[which];
    return index < 0 ? NULL : attn_item(&j->c->in[index], item);
}

/* What direction d of an item has in the scratch: panels of W, of R, and all x W. */
static float *of_direction(const job *j, size_t item, size_t d)
{
    const sizes *s = &j->s;
    return (float *)j->c->scratch + (item * s->dirs + d) * (s->packed_w + s->packed_r + s->steps);
}

/* Some panels of W of one direction, and their columns of x W. */
static void prepare_task(void *arg, size_t task, size_t worker)
{
    const job *j = arg;
    const sizes *s = &j->s;
    const attn_kernels *kernels = j->c->kernels;
    size_t panels = (s->gates + kernels->panel - 1) / kernels->panel;
    size_t parts = (panels + j->panels - 1) / j->panels;
    size_t first = task % parts * j->panels * kernels->panel, d = task / parts % s->dirs;
    size_t item = task / parts / s->dirs, n = j->panels * kernels->panel;
    (void)worker;
    if (n > s->gates - first) n = s->gates - first;
    float *packed = of_direction(j, item, d) + first * s->in;
    const float *bias = operand(j, BIAS, item), *w = operand(j, W, item);
    if (w)
        kernels->pack(ATTN_PANEL_F32, packed, w + (d * s->gates + first) * s->in, s->in, n, 1,
                      s->in);
    attn_gemm g = {.m = s->seq * s->batch,
                   .n = n,
                   .k = s->in,
                   .x = attn_item(&j->c->in[0], item),
                   .ldx = s->in,
                   .w = w ? packed : attn_panel(kernels, &j->p->w[d], first),
                   .y = of_direction(j, item, d) + s->packed_w + s->packed_r + first,
                   .ldy = s->gates,
                   .scale = 1,
                   .column_bias = bias ? bias + d * 2 * s->gates + first : NULL};
    kernels->gemm(&g);
}

static void pack_task(void *arg, size_t task, size_t worker)
{
    const job *j = arg;
    const sizes *s = &j->s;
    size_t item = task / s->dirs, d = task % s->dirs, early = s->gates - s->late;
    float *to = of_direction(j, item, d) + s->packed_w;
    const float *r = operand(j, R, item) + d * s->gates * s->hidden;
    (void)worker;
    j->c->kernels->pack(ATTN_PANEL_F32, to, r, s->hidden, early, 1, s->hidden);
    if (s->late)
        j->c->kernels->pack(ATTN_PANEL_F32, to + s->packed_early, r + early * s->hidden, s->hidden,
                            s->late, 1, s->hidden);
}

static void clip(const job *j, float *x, size_t n)
{
    float high = j->p->clip, low = -high;
    if (high == 0) return;
    j->c->kernels->binary(ATTN_BIN_MIN, x, x, 1, &high, 0, n);
    j->c->kernels->binary(ATTN_BIN_MAX, x, x, 1, &low, 0, n);
}

static void activate(const job *j, size_t d, int which, float *x, size_t n)
{
    clip(j, x, n);
    j->c->kernels->unary(j->p->act[d][which], x, x, n);
}

/* One row of a task: its gates have their sums, h and c are its states. */
typedef struct lstm_state {
    size_t d;
    float *gate, *h, *c;
    const float *peepholes;
} lstm_state;

static void lstm_row(const job *j, const lstm_state *r)
{
    const attn_kernels *k = j->c->kernels;
    size_t n = j->s.hidden;
    float *i = r->gate, *o = i + n, *f = o + n, *g = f + n;
    const float one = 1;
    if (r->peepholes) {
        k->fma(i, r->peepholes, 1, r->c, 1, i, 1, n);
        k->fma(f, r->peepholes + 2 * n, 1, r->c, 1, f, 1, n);
    }
    activate(j, r->d, 0, i, n);
    activate(j, r->d, 0, f, n);
    if (j->p->input_forget) k->binary(ATTN_BIN_SUB, f, &one, 0, i, 1, n);
    activate(j, r->d, 1, g, n);
    k->binary(ATTN_BIN_MUL, g, i, 1, g, 1, n);
    k->fma(r->c, f, 1, r->c, 1, g, 1, n);
    if (r->peepholes) k->fma(o, r->peepholes + n, 1, r->c, 1, o, 1, n);
    activate(j, r->d, 0, o, n);
    k->unary(j->p->act[r->d][2], r->h, r->c, n);
    k->binary(ATTN_BIN_MUL, r->h, r->h, 1, o, 1, n);
}

/* A task's state, and where its sums come from. */
typedef struct chain {
    size_t item, d, first, rows; /* of the batch */
    float *gates, *h, *c, *extra;
    const float *early, *late; /* panels of R */
    const float *steps, *bias;
} chain;

static void multiply(const job *j, const chain *t, const float *h, size_t from, size_t n, float *y)
{
    const sizes *s = &j->s;
    attn_gemm g = {.m = t->rows,
                   .n = n,
                   .k = s->hidden,
                   .x = h,
                   .ldx = s->hidden,
                   .w = from ? t->late : t->early,
                   .y = y,
                   .ldy = s->gates,
                   .scale = 1,
                   .column_bias = t->bias ? t->bias + from : NULL};
    j->c->kernels->gemm(&g);
}

/* h~ of a row, and h from it. x: its x W. */
static void finish_gru(const job *j, const chain *t, float *gate, float *h, const float *x)
{
    const attn_kernels *k = j->c->kernels;
    size_t n = j->s.hidden;
    float *z = gate, *r = z + n, *g = r + n;
    if (j->p->linear_before_reset)
        k->fma(g, r, 1, g, 1, x + 2 * n, 1, n);
    else
        k->binary(ATTN_BIN_ADD, g, g, 1, x + 2 * n, 1, n);
    activate(j, t->d, 1, g, n);
    k->binary(ATTN_BIN_SUB, r, h, 1, g, 1, n); /* (1 - z) g + z h = z (h - g) + g */
    k->fma(h, z, 1, r, 1, g, 1, n);
}

/* The place of row b's step in the sequence, or false behind the row's end. */
static bool place(const job *j, const chain *t, size_t b, size_t step, size_t *at)
{
    int lengths = j->p->operand[LENGTHS];
    size_t length = j->s.seq;
    if (lengths >= 0) {
        int32_t given = attn_item_i32(&j->c->in[lengths], t->item)[t->first + b];
        if (given < 0) given = 0;
        if ((size_t)given < length) length = (size_t)given;
    }
    bool reverse = j->p->direction == REVERSE || t->d == 1;
    *at = reverse ? length - 1 - step : step;
    if (step >= length) *at = step;
    return step < length;
}

/* x W of a row at a place, and y there. */
static const float *step_of(const job *j, const chain *t, size_t b, size_t at)
{
    const sizes *s = &j->s;
    size_t row = j->p->batch_first ? (t->first + b) * s->seq + at : at * s->batch + t->first + b;
    return t->steps + row * s->gates;
}
static float *output_of(const job *j, const chain *t, size_t b, size_t at)
{
    const sizes *s = &j->s;
    size_t row = j->p->batch_first ? ((t->first + b) * s->seq + at) * s->dirs + t->d
                                   : (at * s->dirs + t->d) * s->batch + t->first + b;
    return attn_item(&j->c->out[0], t->item) + row * s->hidden;
}

/* Step `step` of all rows of a chain. */
static void run_step(const job *j, const chain *t, size_t step)
{
    const sizes *s = &j->s;
    const attn_kernels *k = j->c->kernels;
    size_t n = s->hidden, at;
    const float *peepholes = operand(j, PEEPHOLES, t->item);
    multiply(j, t, t->h, 0, s->gates - s->late, t->gates);
    for (size_t b = 0; b < t->rows; b++) {
        float *gate = t->gates + b * s->gates, *h = t->h + b * n;
        place(j, t, b, step, &at);
        const float *x = step_of(j, t, b, at);
        size_t sums = j->p->kind == GRU ? 2 * n : s->gates;
        k->binary(ATTN_BIN_ADD, gate, gate, 1, x, 1, sums);
        if (j->p->kind != GRU) continue;
        activate(j, t->d, 0, gate, 2 * n);
        k->binary(ATTN_BIN_MUL, t->extra + b * n, gate + n, 1, h, 1, n);
    }
    if (s->late) multiply(j, t, t->extra, 2 * n, n, t->gates + 2 * n);
    for (size_t b = 0; b < t->rows; b++) {
        float *gate = t->gates + b * s->gates, *h = t->h + b * n;
        bool alive = place(j, t, b, step, &at);
        lstm_state r = {t->d, gate, h, t->c + b * n, peepholes ? peepholes + t->d * 3 * n : NULL};
        float *y = output_of(j, t, b, at);
        if (!alive) {
            memset(y, 0, n * sizeof(float));
            continue;
        }
        if (j->p->kind == LSTM) {
            lstm_row(j, &r);
        } else if (j->p->kind == GRU) {
            finish_gru(j, t, gate, h, step_of(j, t, b, at));
        } else {
            activate(j, t->d, 0, gate, n);
            memcpy(h, gate, n * sizeof(float));
        }
        memcpy(y, h, n * sizeof(float));
    }
}

/* Row b of a state [D, batch, hidden], or [batch, D, hidden]. */
static size_t state_row(const job *j, const chain *t, size_t b)
{
    const sizes *s = &j->s;
    size_t row = t->first + b;
    return (j->p->batch_first ? row * s->dirs + t->d : t->d * s->batch + row) * s->hidden;
}

static void chain_task(void *arg, size_t task, size_t worker)
{
    const job *j = arg;
    const sizes *s = &j->s;
    size_t n = s->hidden;
    chain t = {.first = task % j->parts * j->rows, .d = task / j->parts % s->dirs};
    t.item = task / j->parts / s->dirs;
    t.rows = s->batch - t.first < j->rows ? s->batch - t.first : j->rows;
    t.gates = attn_worker_scratch(j->c, worker);
    t.h = t.gates + t.rows * s->gates;
    t.c = t.h + t.rows * n;
    t.extra = t.c + t.rows * n;
    const float *packed = of_direction(j, t.item, t.d) + s->packed_w;
    bool bound = j->p->whole[R].source;
    t.steps = packed + s->packed_r;
    t.early = bound ? j->p->r[t.d][0].panels : packed;
    t.late = bound ? j->p->r[t.d][1].panels : packed + s->packed_early;
    t.bias = operand(j, BIAS, t.item);
    if (t.bias) t.bias += (2 * t.d + 1) * s->gates;
    const float *state = operand(j, STATE, t.item), *cell = operand(j, CELL, t.item);
    memset(t.h, 0, 2 * t.rows * n * sizeof(float));
    for (size_t b = 0; b < t.rows; b++) {
        if (state) memcpy(t.h + b * n, state + state_row(j, &t, b), n * sizeof(float));
        if (cell) memcpy(t.c + b * n, cell + state_row(j, &t, b), n * sizeof(float));
    }
    for (size_t step = 0; step < s->seq; step++) run_step(j, &t, step);
    for (size_t i = 1; i < j->p->outputs; i++)
        for (size_t b = 0; b < t.rows; b++)
            memcpy(attn_item(&j->c->out[i], t.item) + state_row(j, &t, b),
                   (i == 1 ? t.h : t.c) + b * n, n * sizeof(float));
}

static void recurrent_run(const attn_run_context *c, const void *params)
{
    job j = {.c = c, .p = params};
    bool bound = j.p->whole[R].source;
    measure(j.p, c->kernels, &c->in[0].shape,
            bound ? j.p->whole[R].dim : c->in[j.p->operand[R]].shape.dim, &j.s);
    size_t panels = (j.s.gates + c->kernels->panel - 1) / c->kernels->panel;
    size_t parts = attn_split(panels, 1, c->workers, &j.panels), all = c->batch * j.s.dirs;
    if (!bound) c->parallel(c->pool, all, pack_task, &j);
    c->parallel(c->pool, all * parts, prepare_task, &j);
    j.parts = attn_split(j.s.batch, 1, c->workers / all ? c->workers / all : 1, &j.rows);
    c->parallel(c->pool, all * j.parts, chain_task, &j);
}

#define RECURRENT(name)                                                                            \
    const attn_layer attn_layer_##name = {                                                         \
        #name,           ATTN_STEP_ENCODE, 0, sizeof(recurrent_params), name##_parse,              \
        recurrent_infer, recurrent_run};

RECURRENT(lstm)
RECURRENT(gru)
RECURRENT(rnn)
