/* What follows or precedes a convolution with constant weights and scales or shifts its channels is
 * folded into them, in double: batch normalisation (Ioffe & Szegedy 2015), and Mul, Div, Add and
 * Sub of a number or of one for each channel. An activation that follows is computed with it. */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

typedef struct conv {
    attn_ir *ir;
    attn_ir_node *node;
    attn_ir_value *x, *y;
    const attn_onnx_tensor *weight, *bias; /* bias NULL: none */
    size_t out, each;                      /* channels of y; weights of one */
    double *scale, *shift;                 /* [out]: y = scale (W x) + shift */
    double factor;                         /* of x */
    bool changed;
    const char *activation;
} conv;

static bool is_constant(const attn_ir_value *value)
{
    return value && value->constant && value->constant->count &&
           attn_onnx_is_float(value->constant->type);
}

static bool begin(attn_ir *ir, attn_ir_node *node, conv *c)
{
    attn_ir_value *weight = attn_ir_in(node, 1), *bias = attn_ir_in(node, 2);
    *c = (conv){.ir = ir, .node = node, .x = attn_ir_in(node, 0), .factor = 1};
    if (!attn_ir_is(node, "Conv") || !is_constant(weight) || (bias && !is_constant(bias)) ||
        !c->x || !node->out[0] || weight->constant->rank < 3)
        return false;
    c->y = node->out[0];
    c->weight = weight->constant;
    c->bias = bias ? bias->constant : NULL;
    c->out = c->weight->dim[0];
    c->each = c->weight->count / c->out;
    if (c->bias && c->bias->count != c->out) return false;
    c->scale = attn_arena_get(ir->arena, c->out, sizeof(double), ir->err);
    c->shift = attn_arena_get(ir->arena, c->out, sizeof(double), ir->err);
    if (!c->scale || !c->shift) {
        ir->failed = true;
        return false;
    }
    for (size_t o = 0; o < c->out; o++) {
        c->scale[o] = 1;
        c->shift[o] = c->bias ? attn_tensor_float(c->bias, o) : 0;
    }
    return true;
}

/* Whether a constant has one element, or one for each channel of an output of the weight's rank. */
static bool is_vector(const conv *c, const attn_ir_value *value)
{
    if (!is_constant(value)) return false;
    const attn_onnx_tensor *t = value->constant;
    int channel = t->rank - (c->weight->rank - 1);
    if (t->count == 1) return t->rank <= c->weight->rank;
    return channel >= 0 && channel <= 1 && t->dim[channel] == c->out && t->count == c->out;
}

static double element(const attn_ir_value *value, size_t o)
{
    return attn_tensor_float(value->constant, value->constant->count == 1 ? 0 : o);
}

static bool fold_norm(conv *c, const attn_ir_node *node)
{
    for (size_t i = 1; i < 5; i++)
        if (!is_constant(attn_ir_in(node, i)) || node->in[i]->constant->count != c->out)
            return false;
    if (attn_ir_int(node, "training_mode", 0) || attn_ir_out(node, 1)) return false;
    for (size_t o = 0; o < c->out; o++) {
        double s = element(node->in[1], o) /
                   sqrt(element(node->in[4], o) + (double)attn_ir_float(node, "epsilon", 1e-5f));
        c->scale[o] *= s;
        c->shift[o] = (c->shift[o] - element(node->in[3], o)) * s + element(node->in[2], o);
    }
    return true;
}

/* The only reader of y, where it scales or shifts channels. */
static bool fold_next(conv *c, const attn_ir_node *node)
{
    bool mul = attn_ir_is(node, "Mul"), div = attn_ir_is(node, "Div");
    bool add = attn_ir_is(node, "Add"), sub = attn_ir_is(node, "Sub");
    if (attn_ir_is(node, "BatchNormalization") && node->in[0] == c->y) return fold_norm(c, node);
    if (!mul && !div && !add && !sub) return false;
    attn_ir_value *with = attn_lift_other(node, c->y);
    if (!is_vector(c, with) || ((div || sub) && node->in[0] != c->y)) return false;
    for (size_t o = 0; o < c->out; o++) {
        double v = element(with, o), times = mul ? v : div ? 1 / v : 1;
        c->scale[o] *= times;
        c->shift[o] = c->shift[o] * times + (add ? v : sub ? -v : 0);
    }
    return true;
}

static bool is_pointwise(const conv *c)
{
    size_t count;
    const int64_t *pads = attn_ir_ints(c->node, "pads", &count);
    for (size_t i = 0; pads && i < count; i++)
        if (pads[i]) return false;
    for (int i = 2; i < c->weight->rank; i++)
        if (c->weight->dim[i] != 1) return false;
    return true;
}

/* x = a x' + b: a into the weights; b into the shifts if no padding is among what it is added to.
 */
static void fold_before(conv *c)
{
    double number;
    attn_ir_node *add = c->x->producer;
    attn_ir_value *inner = add && attn_ir_only_reader(c->x) == c->node
                               ? attn_lift_with_any(add, "Add", &number)
                               : NULL;
    if (inner && is_pointwise(c)) {
        for (size_t o = 0; o < c->out; o++) {
            double sum = 0;
            for (size_t i = 0; i < c->each; i++)
                sum += attn_tensor_float(c->weight, o * c->each + i);
            c->shift[o] += c->scale[o] * sum * number;
        }
        c->x = inner;
        c->changed = true;
        add = NULL;
    }
    attn_ir_node *reader = add && inner ? add : c->node, *mul = (inner ? inner : c->x)->producer;
    attn_ir_value *scaled = inner ? inner : c->x;
    attn_ir_node *only = attn_ir_only_reader(scaled);
    double times = 0;
    attn_ir_value *source = mul && only ? attn_lift_with_any(mul, "Mul", &times) : NULL;
    if (!source || fabs(times) < 1e-6 || fabs(times) > 1e6) return;
    if (reader == c->node) { /* what read `scaled` was the convolution, or the Add that is folded */
        c->x = source;
    } else { /* a x' + b = a (x' + b / a) */
        float rest = (float)(number / times);
        attn_ir_value *fresh = attn_ir_new_floats(c->ir, add->name, &rest, 0, NULL);
        attn_ir_value *in[2] = {source, fresh};
        attn_ir_value *sum = attn_ir_new_value(c->ir, c->x->name, c->x->type);
        if (!fresh || !sum) return;
        sum->shaped = c->x->shaped;
        sum->rank = c->x->rank;
        memcpy(sum->dim, c->x->dim, sizeof sum->dim);
        attn_ir_insert(c->ir, c->node, "Add", "", 2, in, 1, &sum);
        c->x = sum;
    }
    c->factor = times;
    c->changed = true;
}

static const char *activation_of(const attn_ir_node *node)
{
    static const char *const known[][3] = {
        {"Relu", "", "relu"},       {"HardSwish", "", "hard_swish"},
        {"Gelu", "attn", "gelu"},   {"GeluTanh", "attn", "gelu_tanh"},
        {"Silu", "attn", "silu"},   {"QuickGelu", "attn", "quick_gelu"},
        {"Sigmoid", "", "sigmoid"}, {"HardSwish", "attn", "hard_swish"}};
    for (size_t i = 0; node && i < sizeof known / sizeof *known; i++)
        if (strcmp(node->op, known[i][0]) == 0 && strcmp(node->domain, known[i][1]) == 0)
            return known[i][2];
    return NULL;
}

/* The node that stands for all of it. */
static void finish(conv *c)
{
    attn_ir *ir = c->ir;
    size_t count = c->weight->count;
    float *w = attn_arena_get(ir->arena, count, sizeof *w, ir->err);
    float *b = attn_arena_get(ir->arena, c->out, sizeof *b, ir->err);
    if (!w || !b) {
        ir->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        w[i] = (float)(attn_tensor_float(c->weight, i) * c->scale[i / c->each] * c->factor);
    for (size_t o = 0; o < c->out; o++) b[o] = (float)c->shift[o];
    attn_ir_value *in[3] = {c->x, c->node->in[1], attn_ir_in(c->node, 2)};
    if (c->changed) {
        in[1] = attn_ir_new_floats(ir, in[1]->name, w, c->weight->rank, c->weight->dim);
        in[2] = attn_ir_new_floats(ir, c->y->name, b, 1, &c->out);
        if (!in[1] || !in[2]) return;
    }
    attn_ir_node *fresh = attn_lift_make(ir, c->y, "Conv", in[2] ? 3 : 2, in);
    if (!fresh) return;
    fresh->name = c->node->name;
    fresh->scope = c->node->scope;
    fresh->place = c->node->place;
    fresh->attr = c->node->attr;
    fresh->attrs = fresh->attr_room = c->node->attrs;
    if (c->activation) attn_ir_set_text(ir, fresh, "activation", c->activation);
}

void attn_lift_conv(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next) {
        conv c;
        if (!begin(ir, n, &c)) continue;
        attn_ir_node *next = attn_ir_only_reader(c.y);
        for (; next && next->outputs >= 1 && fold_next(&c, next); next = attn_ir_only_reader(c.y)) {
            c.y = next->out[0];
            c.changed = true;
        }
        c.activation = activation_of(next);
        if (c.activation) c.y = next->out[0];
        fold_before(&c);
        if (c.changed || c.activation) finish(&c);
    }
    attn_ir_sweep(ir);
}
