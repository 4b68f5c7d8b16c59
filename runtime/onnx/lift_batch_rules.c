/* What becomes of each operator as the batch goes (see lift_batch.c). A rule that returns true says
 * that item i of the output depends on item i of the inputs, and on what has no batch, alone. */
#include "runtime/onnx/lift_batch.h"

#include <string.h>

/* ---- operands ------------------------------------------------------------------------------- */

static int state(const attn_ir_value *value)
{
    return value ? value->batch : ATTN_BATCH_NONE;
}

/* No input from `first` on has the batch. */
static bool others_free(const attn_ir_node *node, size_t first)
{
    for (size_t i = first; i < node->inputs; i++)
        if (state(node->in[i])) return false;
    return true;
}

/* Input 0 and output 0 have the batch alike, and the input at least this rank. */
static bool passes(const attn_ir_node *node, int rank)
{
    const attn_ir_value *x = attn_ir_in(node, 0), *y = attn_ir_out(node, 0);
    return x && y && x->batch && x->batch == y->batch && x->rank >= rank &&
           attn_batch_same(&x->dim[0], &y->dim[0]);
}

static void shift_dims(attn_ir_value *value)
{
    value->rank--;
    memmove(&value->dim[0], &value->dim[1], (size_t)value->rank * sizeof *value->dim);
}

/* Dimension 0 of in[slot], which is 1, goes. */
static void drop_first(attn_batch *b, attn_ir_node *node, size_t slot)
{
    attn_ir *ir = b->ir;
    attn_ir_value *old = node->in[slot], *fresh = old;
    if (old->constant) {
        attn_onnx_tensor *t = attn_arena_get(ir->arena, 1, sizeof *t, ir->err);
        if (!t) {
            ir->failed = true;
            return;
        }
        *t = *old->constant;
        t->rank--;
        memmove(&t->dim[0], &t->dim[1], (size_t)t->rank * sizeof *t->dim);
        if (old->uses > 1) fresh = attn_ir_new_constant(ir, old->name, t);
        if (!fresh) return;
        fresh->constant = t;
    } else {
        int64_t axis = 0;
        size_t count = 1;
        fresh = attn_ir_new_value(ir, old->name, old->type);
        attn_ir_value *in[2] = {old, attn_ir_new_ints(ir, "axes", &axis, 1, &count)};
        attn_ir_node *squeeze = attn_ir_insert(ir, node, "Squeeze", "", 2, in, 1, &fresh);
        if (!squeeze) return;
        squeeze->version = 13;
    }
    if (fresh != old) {
        fresh->type = old->type;
        fresh->shaped = old->shaped;
        fresh->rank = old->rank;
        memcpy(fresh->dim, old->dim, sizeof fresh->dim);
        attn_ir_set_in(ir, node, slot, fresh);
    }
    shift_dims(fresh);
}

/* in[slot] is broadcast to `to`, aligned at the last dimension. */
static bool aligns(attn_batch *b, attn_ir_node *node, size_t slot, const attn_ir_value *to,
                   int rank)
{
    attn_ir_value *value = node->in[slot];
    if (!value) return true;
    if (value->batch)
        return value->batch == to->batch && value->rank == rank &&
               attn_batch_same(&value->dim[0], &to->dim[0]);
    if (!value->shaped || value->rank > rank) return false;
    if (value->rank < rank) return true;
    if (!attn_lift_is_one(&value->dim[0]) || (value->constant && value->constant->scale))
        return false;
    if (b->write && to->batch == ATTN_BATCH_FIRST) drop_first(b, node, slot);
    return true;
}

/* ---- axes and shapes ------------------------------------------------------------------------ */

/* From the start; below 0: it is the batch, or none. */
static int64_t other_axis(const attn_ir_value *x, int64_t axis)
{
    if (axis < 0) axis += x->rank;
    return axis > 0 && axis < x->rank ? axis : -1;
}

static int64_t less(const attn_ir_value *x)
{
    return x->batch == ATTN_BATCH_FIRST;
}

static bool shift_axis(attn_batch *b, attn_ir_node *node, int64_t otherwise)
{
    const attn_ir_value *x = node->in[0];
    int64_t axis = other_axis(x, attn_ir_int(node, "axis", otherwise));
    if (axis < 0) return false;
    bool last = axis == x->rank - 1;
    if (b->write && less(x)) attn_ir_set_int(b->ir, node, "axis", last ? -1 : axis - 1);
    return true;
}

/* A constant list of axes of in[0]. */
static bool shift_axes_input(attn_batch *b, attn_ir_node *node, size_t slot)
{
    const attn_ir_value *x = node->in[0], *list = attn_ir_in(node, slot);
    const attn_onnx_tensor *t = list ? list->constant : NULL;
    int64_t axes[ATTN_MAX_RANK];
    if (!t || t->count == 0 || t->count > ATTN_MAX_RANK || t->rank > 1) return false;
    for (size_t i = 0; i < t->count; i++) {
        axes[i] = other_axis(x, attn_tensor_int(t, i));
        if (axes[i] < 0) return false;
        axes[i] -= less(x);
    }
    if (b->write && less(x))
        attn_ir_set_in(b->ir, node, slot,
                       attn_ir_new_ints(b->ir, list->name, axes, t->rank, t->dim));
    return true;
}

static bool shift_axes_attr(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *x = node->in[0];
    size_t count;
    const int64_t *list = attn_ir_ints(node, "axes", &count);
    int64_t axes[ATTN_MAX_RANK];
    if (!list || count == 0 || count > ATTN_MAX_RANK) return false;
    for (size_t i = 0; i < count; i++) {
        axes[i] = other_axis(x, list[i]);
        if (axes[i] < 0) return false;
        axes[i] -= less(x);
    }
    if (b->write && less(x)) attn_ir_set_ints(b->ir, node, "axes", axes, count);
    return true;
}

/* The output's shape without the batch, for "shape" of a layer; NULL: it cannot be said. infer: a
 * size that is neither a number nor a symbol may be -1. */
static attn_ir_value *item_shape(attn_batch *b, const attn_ir_value *y, bool infer)
{
    attn_ir_amount dim[ATTN_MAX_RANK];
    int64_t numbers[ATTN_MAX_RANK];
    size_t rank = (size_t)attn_batch_item_dims(b, y, dim), open = 0, symbols = 0;
    for (size_t i = 0; i < rank; i++) {
        numbers[i] = dim[i].factor ? -1 : dim[i].base;
        open += dim[i].factor != 0;
        symbols += dim[i].factor && attn_ir_is_symbol(&dim[i]);
    }
    if (rank == 0) return NULL;
    if (open == 0 || (open == 1 && infer))
        return attn_ir_new_ints(b->ir, "shape", numbers, 1, &rank);
    if (open != symbols) return NULL;
    attn_ir_value *sizes = attn_ir_new_value(b->ir, "shape", ATTN_ONNX_INT64);
    attn_ir_amount *element = attn_arena_get(b->ir->arena, rank, sizeof *element, b->ir->err);
    if (!sizes || !element) {
        b->ir->failed = true;
        return NULL;
    }
    memcpy(element, dim, rank * sizeof *element);
    sizes->element = element;
    sizes->elements = rank;
    return sizes;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static bool elementwise(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *y = attn_ir_out(node, 0);
    if (node->outputs != 1 || !y || !y->batch) return false;
    for (size_t i = 0; i < node->inputs; i++)
        if (!aligns(b, node, i, y, y->rank)) return false;
    return true;
}

/* Attributes stay: rows of the last dimension. */
static bool rows(attn_batch *b, attn_ir_node *node)
{
    (void)b;
    return node->outputs == 1 && passes(node, 2) && others_free(node, 1);
}

/* Attributes stay: planes [..., C, spatial]. */
static bool planes(attn_batch *b, attn_ir_node *node)
{
    (void)b;
    return node->outputs == 1 && passes(node, 3) && others_free(node, 1);
}

static bool global_pool(attn_batch *b, attn_ir_node *node)
{
    int64_t axes[ATTN_MAX_RANK];
    size_t count = 0;
    const attn_ir_value *x = attn_ir_in(node, 0);
    if (!planes(b, node) || !x || x->batch != ATTN_BATCH_FIRST || !attn_onnx_is_float(x->type))
        return false;
    if (!b->write) return true;
    for (int i = 2; i < x->rank; i++) axes[count++] = i - 1;
    node->op = strcmp(node->op, "GlobalMaxPool") == 0 ? "ReduceMax" : "ReduceMean";
    attn_ir_set_ints(b->ir, node, "axes", axes, count);
    attn_ir_set_int(b->ir, node, "keepdims", 1);
    return true;
}

static bool channels(attn_batch *b, attn_ir_node *node)
{
    if (!passes(node, 3) || !others_free(node, 1) || attn_ir_int(node, "training_mode", 0))
        return false;
    for (size_t i = 1; i < node->outputs; i++)
        if (node->out[i] && (node->out[i]->uses || node->out[i]->results)) return false;
    if (b->write && less(node->in[0])) attn_ir_set_int(b->ir, node, "channel_axis", 0);
    return true;
}

static bool normalization(attn_batch *b, attn_ir_node *node)
{
    if (node->outputs != 1 || !passes(node, 2) || !others_free(node, 1)) return false;
    for (size_t i = 1; i < node->inputs; i++)
        if (node->in[i] && (!node->in[i]->shaped || node->in[i]->rank >= node->in[0]->rank))
            return false;
    return shift_axis(b, node, -1);
}

static bool softmax(attn_batch *b, attn_ir_node *node)
{
    bool old = node->version && node->version < 13;
    return passes(node, 2) && shift_axis(b, node, old ? 1 : -1);
}

static bool along_axis(attn_batch *b, attn_ir_node *node)
{
    bool arg = node->op[0] == 'A'; /* ArgMax, ArgMin */
    return node->outputs == 1 && passes(node, 2) && others_free(node, 1) &&
           shift_axis(b, node, arg ? 0 : -1);
}

static bool split(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *x = attn_ir_in(node, 0);
    for (size_t i = 0; i < node->outputs; i++)
        if (node->out[i] && state(node->out[i]) != state(x)) return false;
    return state(x) && others_free(node, 1) && shift_axis(b, node, 0);
}

static bool concat(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *y = attn_ir_out(node, 0);
    for (size_t i = 0; i < node->inputs; i++) {
        const attn_ir_value *x = node->in[i];
        if (!x || !y || !x->batch || x->batch != y->batch || x->rank != y->rank ||
            !attn_batch_same(&x->dim[0], &y->dim[0]))
            return false;
    }
    return node->inputs && shift_axis(b, node, 0);
}

static bool transpose(attn_batch *b, attn_ir_node *node)
{
    size_t count;
    const int64_t *perm = attn_ir_ints(node, "perm", &count);
    int64_t fresh[ATTN_MAX_RANK];
    if (!passes(node, 2) || !perm || count != (size_t)node->in[0]->rank || perm[0] != 0)
        return false;
    for (size_t i = 1; i < count; i++) fresh[i - 1] = perm[i] - 1;
    if (b->write && less(node->in[0])) attn_ir_set_ints(b->ir, node, "perm", fresh, count - 1);
    return true;
}

/* Rows before and after lie in the same order, so the batch stays outermost. */
static bool reshape(attn_batch *b, attn_ir_node *node)
{
    attn_ir_value *x = attn_ir_in(node, 0), *y = attn_ir_out(node, 0);
    if (!x || !y || !x->batch || !y->batch || state(attn_ir_in(node, 1))) return false;
    attn_ir_value *shape = item_shape(b, y, true);
    if (!shape || !b->write) return shape != NULL;
    attn_ir_value *in[2] = {x, shape}, *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(b->ir, node, "Reshape", "", 2, in, 1, &none);
    if (!fresh) return false;
    fresh->name = node->name;
    fresh->scope = node->scope;
    attn_ir_give(b->ir, y, fresh, 0);
    return true;
}

/* Of what has no batch, to the batch: that is left out. */
static bool expand(attn_batch *b, attn_ir_node *node)
{
    attn_ir_value *x = attn_ir_in(node, 0), *y = attn_ir_out(node, 0);
    attn_ir_amount item[ATTN_MAX_RANK], dim[ATTN_MAX_RANK];
    if (!x || !y || !x->shaped || y->batch != ATTN_BATCH_FIRST) return false;
    attn_ir_value *shape = item_shape(b, y, false);
    if (!shape || !aligns(b, node, 0, y, y->rank)) return false;
    if (!b->write) return true;
    x = node->in[0];
    int rank = attn_batch_item_dims(b, y, item);
    bool same = attn_batch_item_dims(b, x, dim) == rank;
    for (int i = 0; same && i < rank; i++) same = attn_batch_same(&item[i], &dim[i]);
    if (!same) {
        attn_ir_set_in(b->ir, node, 1, shape);
        return true;
    }
    attn_ir_value *none = NULL;
    attn_ir_give(b->ir, y, attn_ir_insert(b->ir, node, "Identity", "", 1, &x, 1, &none), 0);
    return true;
}

static bool gather(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *x = attn_ir_in(node, 0), *at = attn_ir_in(node, 1);
    const attn_ir_value *y = attn_ir_out(node, 0);
    if (!x || !at || !y || !y->batch) return false;
    if (at->batch) /* rows of a table */
        return !x->batch && at->batch == y->batch && at->rank > 0 &&
               attn_ir_int(node, "axis", 0) == 0;
    return passes(node, 2) && shift_axis(b, node, 0);
}

static bool gather_elements(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *x = attn_ir_in(node, 0), *at = attn_ir_in(node, 1);
    return passes(node, 2) && at && at->batch == x->batch && at->rank == x->rank &&
           attn_batch_same(&at->dim[0], &x->dim[0]) && shift_axis(b, node, 0);
}

static bool slice(attn_batch *b, attn_ir_node *node)
{
    return node->inputs > 3 && passes(node, 2) && others_free(node, 1) &&
           shift_axes_input(b, node, 3);
}

static bool reduce(attn_batch *b, attn_ir_node *node)
{
    if (!passes(node, 2) || !others_free(node, 1)) return false;
    if (attn_ir_in(node, 1)) return shift_axes_input(b, node, 1);
    return shift_axes_attr(b, node);
}

static bool cumsum(attn_batch *b, attn_ir_node *node)
{
    return passes(node, 2) && others_free(node, 1) && shift_axes_input(b, node, 1);
}

/* A list of numbers for each dimension, from in[slot]; those of the batch must be `none`. */
static bool drop_number(attn_batch *b, attn_ir_node *node, size_t slot, size_t each, double none)
{
    const attn_ir_value *x = node->in[0], *list = attn_ir_in(node, slot);
    const attn_onnx_tensor *t = list ? list->constant : NULL;
    size_t rank = (size_t)x->rank, count = each * rank, left = each * (rank - 1);
    int64_t integers[2 * ATTN_MAX_RANK];
    float floats[2 * ATTN_MAX_RANK];
    if (!t || t->rank != 1 || t->count != count || each > 2) return false;
    for (size_t i = 0, at = 0; i < count; i++) {
        double number = attn_tensor_float(t, i);
        if (i % rank == 0 && number != none) return false;
        if (i % rank == 0) continue;
        floats[at] = (float)number;
        integers[at++] = attn_onnx_is_integer(t->type) ? attn_tensor_int(t, i) : 0;
    }
    if (!b->write || !less(x)) return true;
    attn_ir_set_in(b->ir, node, slot,
                   attn_onnx_is_integer(t->type)
                       ? attn_ir_new_ints(b->ir, list->name, integers, 1, &left)
                       : attn_ir_new_floats(b->ir, list->name, floats, 1, &left));
    return true;
}

static bool pad(attn_batch *b, attn_ir_node *node)
{
    return passes(node, 2) && others_free(node, 1) && !attn_ir_in(node, 3) &&
           drop_number(b, node, 1, 2, 0);
}

/* Of what has no batch: as many of it as there are items, and not in any other dimension. */
static bool repeats_items(const attn_batch *b, const attn_ir_node *node)
{
    const attn_ir_value *x = node->in[0], *times = attn_ir_in(node, 1), *y = node->out[0];
    if (!x->shaped || !times || y->batch != ATTN_BATCH_FIRST || x->rank != y->rank ||
        times->elements != (size_t)x->rank || !attn_ir_is_symbol(&times->element[0]) ||
        !attn_batch_in(b, &times->element[0]))
        return false;
    for (size_t i = 1; i < times->elements; i++)
        if (!attn_lift_is_one(&times->element[i])) return false;
    return true;
}

static bool tile(attn_batch *b, attn_ir_node *node)
{
    if (node->in[0] && !node->in[0]->batch) return repeats_items(b, node) && expand(b, node);
    return passes(node, 2) && others_free(node, 1) && drop_number(b, node, 1, 1, 1);
}

static bool is_there(const attn_ir_value *value)
{
    return value && (!value->constant || value->constant->count);
}

static bool resize(attn_batch *b, attn_ir_node *node)
{
    attn_ir_value *scales = attn_ir_in(node, 2), *sizes = attn_ir_in(node, 3);
    const char *place = attn_ir_text(node, "coordinate_transformation_mode", "half_pixel");
    if (node->version < 11 || !passes(node, 3) || !others_free(node, 1) ||
        strcmp(place, "tf_crop_and_resize") == 0)
        return false;
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "axes", &count);
    if (axes && count) return shift_axes_attr(b, node);
    if (!is_there(sizes)) return is_there(scales) && drop_number(b, node, 2, 1, 1);
    /* What it makes of the sizes of its input, is what the probe found. */
    const char *policy = attn_ir_text(node, "keep_aspect_ratio_policy", "stretch");
    attn_ir_value *shape = item_shape(b, node->out[0], false);
    if (!shape || strcmp(policy, "stretch") != 0) return false;
    if (b->write) attn_ir_set_in(b->ir, node, 3, shape);
    return less(node->in[0]);
}

static bool matmul(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *x = attn_ir_in(node, 0), *w = attn_ir_in(node, 1),
                        *y = attn_ir_out(node, 0);
    if (!x || !w || !y || !y->batch || !x->shaped || !w->shaped) return false;
    if (x->batch && !w->batch && w->rank <= 2) return passes(node, 2);
    int rank = x->rank > w->rank ? x->rank : w->rank;
    return rank >= 3 && rank == y->rank && aligns(b, node, 0, y, rank) &&
           aligns(b, node, 1, y, rank);
}

/* The scores are [lead..., heads, q_len, k_len]; of biases and masks, the lead is all 1 or all
 * there. */
static bool attention(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *q = attn_ir_in(node, 0), *padding = attn_ir_in(node, 6);
    if (node->outputs != 1 || !passes(node, 3)) return false;
    for (size_t i = 1; i < 3; i++) {
        const attn_ir_value *k = attn_ir_in(node, i);
        if (!k || k->batch != q->batch || k->rank != q->rank ||
            !attn_batch_same(&k->dim[0], &q->dim[0]))
            return false;
    }
    for (size_t i = 3; i < 6; i++)
        if (attn_ir_in(node, i) && !aligns(b, node, i, q, q->rank + 1)) return false;
    return !padding || (padding->batch == q->batch && padding->rank == q->rank - 1 &&
                        attn_batch_same(&padding->dim[0], &q->dim[0]));
}

/* Of other dimensions than the batch. */
static bool shape(attn_batch *b, attn_ir_node *node)
{
    const attn_ir_value *x = attn_ir_in(node, 0), *y = attn_ir_out(node, 0);
    if (!x || !y || y->batch || x->batch != ATTN_BATCH_FIRST) return false;
    int64_t start = attn_ir_int(node, "start", 0), end = attn_ir_int(node, "end", x->rank);
    if (start < 0) start += x->rank;
    if (end < 0) end += x->rank;
    if (end > x->rank) end = x->rank;
    if (start < 1 || start >= end) return false;
    if (!b->write) return true;
    attn_ir_set_int(b->ir, node, "start", start - 1);
    attn_ir_set_int(b->ir, node, "end", end - 1);
    return true;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct {
    attn_batch_rule rule;
    const char *domain, *ops; /* each with a space in front and behind */
} rules[] = {
    {elementwise, "",
     " Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd BitwiseNot BitwiseOr BitwiseXor "
     "Cast Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual "
     "HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish "
     "Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh "
     "Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor "},
    {elementwise, "attn", " Gelu GeluTanh HardSwish QuickGelu Silu "},
    {elementwise, "com.microsoft", " BiasGelu FastGelu Gelu QuickGelu "},
    {rows, "attn", " Embedding LayerNorm Linear RMSNorm "},
    {planes, "attn", " Conv "},
    {planes, "", " AveragePool Conv ConvTranspose DepthToSpace LpPool MaxPool SpaceToDepth "},
    {global_pool, "", " GlobalAveragePool GlobalMaxPool "},
    {channels, "", " BatchNormalization GroupNormalization InstanceNormalization "},
    {normalization, "", " LayerNormalization RMSNormalization SimplifiedLayerNormalization "},
    {softmax, "", " Hardmax LogSoftmax Softmax "},
    {along_axis, "", " ArgMax ArgMin LpNormalization "},
    {split, "", " Split "},
    {concat, "", " Concat "},
    {transpose, "", " Transpose "},
    {reshape, "", " Flatten Reshape Squeeze Unsqueeze "},
    {expand, "", " Expand "},
    {gather, "", " Gather "},
    {gather_elements, "", " GatherElements "},
    {slice, "", " Slice "},
    {reduce, "",
     " ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
     "ReduceSum ReduceSumSquare "},
    {cumsum, "", " CumSum "},
    {pad, "", " Pad "},
    {tile, "", " Tile "},
    {resize, "", " Resize "},
    {matmul, "", " MatMul "},
    {attention, "attn", " Attention "},
    {shape, "", " Shape "},
};

attn_batch_rule attn_batch_find_rule(const attn_ir_node *node)
{
    size_t length = strlen(node->op);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(node->domain, rules[i].domain) != 0) continue;
        for (const char *at = rules[i].ops; (at = strstr(at, node->op)) != NULL; at++)
            if (at[-1] == ' ' && at[length] == ' ') return rules[i].rule;
    }
    return NULL;
}
