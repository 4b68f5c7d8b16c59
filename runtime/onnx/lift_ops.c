/* Operators that are an attention already: Attention of opset 23, and Attention,
 * MultiHeadAttention of com.microsoft; and RotaryEmbedding of both, which is products of halves.
 * What they can say and is not known here is an error that names it.
 *
 * See https://onnx.ai/onnx/operators and onnxruntime's docs/ContribOperators.md. */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

static bool is_contrib(const attn_ir_node *node, const char *op)
{
    return strcmp(node->domain, "com.microsoft") == 0 && strcmp(node->op, op) == 0;
}

static attn_ir_value *constant_ints(attn_ir *ir, const int64_t *values, size_t count)
{
    return attn_ir_new_ints(ir, "sizes", values, 1, &count);
}

/* A node of one output before `at`. */
static attn_ir_value *make(attn_ir *ir, attn_ir_node *at, const char *op, const char *domain,
                           size_t inputs, attn_ir_value *const *in)
{
    attn_onnx_type type = in[0] ? in[0]->type : ATTN_ONNX_FLOAT;
    attn_ir_value *y = attn_ir_new_value(ir, at->out[0] ? at->out[0]->name : "value", type);
    return attn_ir_insert(ir, at, op, domain, inputs, in, 1, &y) ? y : NULL;
}

static attn_ir_value *columns(attn_ir *ir, attn_ir_node *at, attn_ir_value *x, int64_t first,
                              int64_t count)
{
    int64_t end = first + count, axis = -1;
    attn_ir_value *in[4] = {x, constant_ints(ir, &first, 1), constant_ints(ir, &end, 1),
                            constant_ints(ir, &axis, 1)};
    return make(ir, at, "Slice", "", 4, in);
}

static attn_ir_value *reshaped(attn_ir *ir, attn_ir_node *at, attn_ir_value *x,
                               const int64_t *shape, size_t rank)
{
    attn_ir_value *in[2] = {x, constant_ints(ir, shape, rank)};
    return make(ir, at, "Reshape", "", 2, in);
}

/* What is to become of the node. */
typedef struct plan {
    attn_ir_value *in[7]; /* as of the domain attn's Attention */
    attn_ir_value *y;
    int64_t heads, kv_heads, dim;
    float scale, softcap;
    bool causal;
} plan;

static void finish(attn_ir *ir, attn_ir_node *node, const plan *p)
{
    attn_ir_value *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(ir, node, "Attention", "attn", 7, p->in, 1, &none);
    if (!fresh) return;
    attn_ir_give(ir, p->y, fresh, 0);
    attn_ir_set_int(ir, fresh, "heads", p->heads);
    attn_ir_set_int(ir, fresh, "kv_heads", p->kv_heads);
    attn_ir_set_int(ir, fresh, "dim", p->dim);
    attn_ir_set_float(ir, fresh, "scale", p->scale);
    attn_ir_set_float(ir, fresh, "softcap", p->softcap);
    attn_ir_set_int(ir, fresh, "causal", p->causal);
}

/* An error for each input and output beyond what is read. */
static attn_status refuse_others(const attn_ir *ir, const attn_ir_node *node, size_t first_input,
                                 const char *what)
{
    for (size_t i = first_input; i < node->inputs; i++)
        if (node->in[i])
            return attn_ir_fail(ir, node, "its input %zu is given; %s is not known here", i, what);
    for (size_t i = 1; i < node->outputs; i++)
        if (node->out[i] && (node->out[i]->uses || node->out[i]->results))
            return attn_ir_fail(ir, node, "its output %zu is read; that is not known here", i);
    return ATTN_OK;
}

/* The rank, as far as it is known: of a constant, by the probes, or as the file says; or -1. */
static int rank_of(const attn_ir_value *x)
{
    if (!x) return -1;
    if (x->constant) return x->constant->rank;
    if (x->shaped) return x->rank;
    return x->declared && x->declared->shaped ? x->declared->rank : -1;
}

/* The size of a dimension counted from the end, or -1. */
static int64_t size_of(const attn_ir_value *x, int from_end)
{
    int at = rank_of(x) - from_end;
    if (at < 0) return -1;
    if (x->constant) return (int64_t)x->constant->dim[at];
    if (x->shaped) return x->dim[at].known && !x->dim[at].factor ? x->dim[at].base : -1;
    return x->declared->dim[at].known ? (int64_t)x->declared->dim[at].size : -1;
}

/* ---- com.microsoft -------------------------------------------------------------------------- */

/* A mask of keys: [batch, keys] is padding, more dimensions are a mask of the scores. */
static attn_status take_key_mask(attn_ir *ir, attn_ir_node *node, attn_ir_value *mask, plan *p)
{
    if (!mask) return ATTN_OK;
    if (rank_of(mask) == 2) {
        p->in[6] = mask;
        return ATTN_OK;
    }
    if (rank_of(mask) == 3) { /* [batch, queries, keys]: the same for every head */
        int64_t one = 1;
        attn_ir_value *in[2] = {mask, constant_ints(ir, &one, 1)};
        p->in[5] = make(ir, node, "Unsqueeze", "", 2, in);
        if (p->in[5]) p->in[5]->producer->version = 13;
        return ATTN_OK;
    }
    return attn_ir_fail(ir, node,
                        "a mask of rank %d; [batch, keys] and [batch, queries, keys] are "
                        "known here",
                        rank_of(mask));
}

static attn_status contrib_attention(attn_ir *ir, attn_ir_node *node)
{
    plan p = {.heads = attn_ir_int(node, "num_heads", 0), .y = node->out[0]};
    attn_ir_value *weight = attn_ir_in(node, 1), *bias = attn_ir_in(node, 2);
    size_t count;
    const int64_t *sizes = attn_ir_ints(node, "qkv_hidden_sizes", &count);
    int64_t width = size_of(weight, 1);
    if (attn_ir_in(node, 4)) return attn_ir_fail(ir, node, "\"past\" is not known here");
    ATTN_TRY(refuse_others(ir, node, 6, "past_sequence_length"));
    if (attn_ir_int(node, "do_rotary", 0))
        return attn_ir_fail(ir, node, "\"do_rotary\" is not known here");
    int64_t part[3] = {width / 3, width / 3, width / 3};
    if (sizes && count == 3) memcpy(part, sizes, sizeof part);
    if (p.heads < 1 || part[0] != part[1] || part[0] < 1 || part[2] < 1 || part[0] % p.heads ||
        part[2] % p.heads || part[0] + part[1] + part[2] != width)
        return attn_ir_fail(ir, node,
                            "%lld columns of weights do not split into q, k, v of %lld "
                            "heads",
                            (long long)width, (long long)p.heads);
    attn_ir_value *in[2] = {node->in[0], weight}, *sum[2];
    attn_ir_value *x = sum[0] = make(ir, node, "MatMul", "", 2, in);
    sum[1] = bias;
    if (bias) x = make(ir, node, "Add", "", 2, sum);
    for (int i = 0, first = 0; i < 3; first += (int)part[i++])
        p.in[i] = columns(ir, node, x, first, part[i]);
    ATTN_TRY(take_key_mask(ir, node, attn_ir_in(node, 3), &p));
    p.in[3] = attn_ir_in(node, 5);
    p.kv_heads = p.heads;
    p.dim = part[0] / p.heads;
    p.causal = attn_ir_int(node, "unidirectional", 0) != 0;
    p.scale = attn_ir_float(node, "scale", 0);
    finish(ir, node, &p);
    return ATTN_OK;
}

static attn_status multi_head(attn_ir *ir, attn_ir_node *node)
{
    plan p = {.heads = attn_ir_int(node, "num_heads", 0), .y = node->out[0]};
    attn_ir_value *bias = attn_ir_in(node, 3);
    int64_t width = bias ? size_of(bias, 1) : 3;
    ATTN_TRY(refuse_others(ir, node, 6, "a past"));
    if (p.heads < 1 || width < 3 || width % 3)
        return attn_ir_fail(ir, node, "%lld heads and a bias of %lld numbers for q, k and v",
                            (long long)p.heads, (long long)width);
    for (int i = 0; i < 3; i++) {
        p.in[i] = attn_ir_in(node, (size_t)i);
        int rank = rank_of(p.in[i]);
        if (!p.in[i] || (rank >= 0 && rank != 3))
            return attn_ir_fail(ir, node,
                                "query, key and value [batch, length, columns] are known here, not "
                                "packed ones");
        if (!bias) continue;
        attn_ir_value *in[2] = {p.in[i], columns(ir, node, bias, i * (width / 3), width / 3)};
        p.in[i] = make(ir, node, "Add", "", 2, in);
    }
    ATTN_TRY(take_key_mask(ir, node, attn_ir_in(node, 4), &p));
    p.in[3] = attn_ir_in(node, 5);
    p.kv_heads = p.heads;
    p.causal = attn_ir_int(node, "unidirectional", 0) != 0;
    p.scale = attn_ir_float(node, "scale", 0);
    finish(ir, node, &p);
    return ATTN_OK;
}

/* ---- opset 23 ------------------------------------------------------------------------------- */

/* Q, K and V [batch, length, heads * dim], if the heads are said; or [batch, heads, length, dim],
 * which are leading dimensions, one head each. */
static attn_status standard_attention(attn_ir *ir, attn_ir_node *node)
{
    plan p = {.y = node->out[0], .softcap = attn_ir_float(node, "softcap", 0)};
    attn_ir_value *mask = attn_ir_in(node, 3);
    int64_t given = attn_ir_int(node, "q_num_heads", 0);
    ATTN_TRY(refuse_others(ir, node, 4, "a past"));
    for (int i = 0; i < 3; i++) p.in[i] = attn_ir_in(node, (size_t)i);
    p.heads = given ? given : 1;
    p.kv_heads = given ? attn_ir_int(node, "kv_num_heads", given) : 1;
    if (p.heads < 1 || p.kv_heads < 1 || p.heads % p.kv_heads)
        return attn_ir_fail(ir, node, "%lld heads of queries, %lld of keys", (long long)p.heads,
                            (long long)p.kv_heads);
    int64_t q_heads = size_of(p.in[0], 3), k_heads = size_of(p.in[1], 3);
    if (!given && q_heads != k_heads && k_heads > 0 && q_heads % k_heads == 0) {
        /* Each key head for several query heads. */
        for (int i = 1; i < 3; i++) {
            const int64_t axis = 2, times[5] = {1, 1, q_heads / k_heads, 1, 1};
            const int64_t shape[4] = {0, q_heads, -1, size_of(p.in[i], 1)};
            attn_ir_value *apart[2] = {p.in[i], constant_ints(ir, &axis, 1)};
            attn_ir_value *many[2] = {make(ir, node, "Unsqueeze", "", 2, apart),
                                      constant_ints(ir, times, 5)};
            if (many[0]) many[0]->producer->version = 13;
            p.in[i] = reshaped(ir, node, make(ir, node, "Tile", "", 2, many), shape, 4);
        }
    }
    p.scale = attn_ir_float(node, "scale", 0);
    p.causal = attn_ir_int(node, "is_causal", 0) != 0;
    p.in[mask && !attn_onnx_is_float(mask->type) ? 5 : 3] = mask;
    finish(ir, node, &p);
    return ATTN_OK;
}

/* ---- rotary --------------------------------------------------------------------------------- */

static attn_ir_value *binary(attn_ir *ir, attn_ir_node *at, const char *op, attn_ir_value *a,
                             attn_ir_value *b)
{
    attn_ir_value *in[2] = {a, b};
    return make(ir, at, op, "", 2, in);
}

/* The rows of a cache [positions, half] by the position ids, one dimension more for the heads. */
static attn_ir_value *rows_of(attn_ir *ir, attn_ir_node *at, attn_ir_value *cache,
                              attn_ir_value *ids, bool heads_first)
{
    attn_ir_value *rows = ids ? binary(ir, at, "Gather", cache, ids) : cache;
    int64_t axis = heads_first ? 1 : 2;
    attn_ir_value *in[2] = {rows, constant_ints(ir, &axis, 1)};
    attn_ir_value *y = make(ir, at, "Unsqueeze", "", 2, in);
    if (y) y->producer->version = 13;
    return y;
}

/* x [batch, heads, length, dim] or [batch, length, heads * dim]; the halves (or, interleaved, the
 * even and odd columns) u, v become u cos - v sin, v cos + u sin. */
static attn_status rotary(attn_ir *ir, attn_ir_node *node)
{
    bool contrib = *node->domain != 0;
    attn_ir_value *x = attn_ir_in(node, 0), *ids = attn_ir_in(node, contrib ? 1 : 3);
    attn_ir_value *cos = attn_ir_in(node, contrib ? 2 : 1),
                  *sin = attn_ir_in(node, contrib ? 3 : 2);
    int64_t heads = attn_ir_int(node, "num_heads", 0), half = size_of(cos, 1);
    int64_t rotated = attn_ir_int(node, "rotary_embedding_dim", 0), width = size_of(x, 1);
    bool flat = rank_of(x) == 3 || (rank_of(x) < 0 && (heads > 0 || contrib));
    if (half < 1) return attn_ir_fail(ir, node, "the size of the cosines is not known");
    if (attn_ir_int(node, "interleaved", 0))
        return attn_ir_fail(ir, node, "\"interleaved\" is not known here");
    if (contrib && ids && rank_of(ids) >= 0 && rank_of(ids) != 2)
        return attn_ir_fail(ir, node, "position_ids [batch, length] are known here alone");
    if (rotated != 0 && rotated != 2 * half)
        return attn_ir_fail(ir, node, "%lld columns are to be rotated, the cosines are for %lld",
                            (long long)rotated, (long long)(2 * half));
    if (flat && heads > 0 && width > 0 && width % heads)
        return attn_ir_fail(ir, node, "%lld columns do not split into %lld heads", (long long)width,
                            (long long)heads);
    if (rotated && flat && (heads < 1 || width < 1))
        return attn_ir_fail(ir, node, "\"num_heads\" is not given");
    int64_t dim = !rotated ? 2 * half : flat ? width / heads : width;
    rotated = 2 * half;
    if (dim < rotated)
        return attn_ir_fail(ir, node, "%lld columns are to be rotated, a head has %lld",
                            (long long)rotated, (long long)dim);
    const int64_t apart[4] = {0, 0, -1, dim}, together[3] = {0, 0, -1};
    if (flat) {
        attn_ir_value *cut[2] = {x, constant_ints(ir, apart, 4)};
        x = make(ir, node, "Reshape", "", 2, cut);
    }
    cos = rows_of(ir, node, cos, ids, !flat);
    sin = rows_of(ir, node, sin, ids, !flat);
    attn_ir_value *u = columns(ir, node, x, 0, half), *v = columns(ir, node, x, half, half);
    attn_ir_value *parts[3] = {
        binary(ir, node, "Sub", binary(ir, node, "Mul", u, cos), binary(ir, node, "Mul", v, sin)),
        binary(ir, node, "Add", binary(ir, node, "Mul", v, cos), binary(ir, node, "Mul", u, sin)),
        rotated < dim ? columns(ir, node, x, rotated, dim - rotated) : NULL};
    attn_ir_value *none = NULL, *whole = make(ir, node, "Concat", "", rotated < dim ? 3 : 2, parts);
    if (!whole) return ATTN_OK;
    attn_ir_set_int(ir, whole->producer, "axis", -1);
    attn_ir_value *in[2] = {whole, flat ? constant_ints(ir, together, 3) : NULL};
    attn_ir_node *last =
        attn_ir_insert(ir, node, flat ? "Reshape" : "Identity", "", flat ? 2 : 1, in, 1, &none);
    attn_ir_give(ir, node->out[0], last, 0);
    return ATTN_OK;
}

attn_status attn_lift_operators(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        attn_status (*lift)(attn_ir *, attn_ir_node *) = NULL;
        if (is_contrib(n, "Attention")) lift = contrib_attention;
        if (is_contrib(n, "MultiHeadAttention")) lift = multi_head;
        if (attn_ir_is(n, "Attention")) lift = standard_attention;
        if (attn_ir_is(n, "RotaryEmbedding") || is_contrib(n, "RotaryEmbedding")) lift = rotary;
        if (is_contrib(n, "MatMulNBits")) lift = attn_lift_bits;
        if (lift) ATTN_TRY(lift(ir, n));
    }
    attn_ir_sweep(ir);
    return attn_ir_status(ir);
}
