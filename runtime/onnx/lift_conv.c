/* What follows a convolution and is the same for all places of a channel is part of it: batch
 * normalisation (Ioffe & Szegedy 2015), a number or a number per channel that is multiplied or
 * added. With factor f and offset d of a channel, conv(x, W) + b becomes conv(x, f W) + f b + d. */
#include "runtime/onnx/lift.h"

#include <math.h>
#include <string.h>

typedef struct affine {
    size_t channels;
    double *factor, *offset;
} affine;

static bool is_floats(const attn_ir_value *value)
{
    return value && value->constant && attn_onnx_is_float(value->constant->type);
}

/* One element, or one per channel: [1, C, 1, 1], [C, 1, 1]. space: dimensions behind the channels.
 */
static bool is_per_channel(const attn_ir_value *value, size_t channels, int space)
{
    const attn_onnx_tensor *t = is_floats(value) ? value->constant : NULL;
    if (!t || t->rank > space + 2) return false;
    if (t->count == 1) return true;
    if (t->count != channels || t->rank < space + 1) return false;
    return t->dim[t->rank - 1 - space] == channels;
}

static double element(const attn_ir_value *value, size_t channel)
{
    return attn_tensor_float(value->constant, value->constant->count == 1 ? 0 : channel);
}

static bool take_norm(affine *a, const attn_ir_node *norm)
{
    double eps = (double)attn_ir_float(norm, "epsilon", 1e-5f);
    if (attn_ir_int(norm, "training_mode", 0) || norm->inputs != 5) return false;
    for (size_t i = 1; i < 5; i++)
        if (!is_floats(norm->in[i]) || norm->in[i]->constant->count != a->channels) return false;
    for (size_t c = 0; c < a->channels; c++) {
        double scale = element(norm->in[1], c) / sqrt(element(norm->in[4], c) + eps);
        a->offset[c] = (a->offset[c] - element(norm->in[3], c)) * scale + element(norm->in[2], c);
        a->factor[c] *= scale;
    }
    return true;
}

/* y op number, for y the convolution's value so far. */
static bool take_number(affine *a, const attn_ir_node *node, const attn_ir_value *y, int space)
{
    bool multiplies = attn_ir_is(node, "Mul"), divides = attn_ir_is(node, "Div");
    bool adds = attn_ir_is(node, "Add"), subtracts = attn_ir_is(node, "Sub");
    if (!multiplies && !divides && !adds && !subtracts) return false;
    const attn_ir_value *other = attn_lift_other(node, y);
    if (!is_per_channel(other, a->channels, space)) return false;
    if ((divides || subtracts) && node->in[0] != y) return false;
    for (size_t c = 0; c < a->channels; c++) {
        double number = element(other, c);
        if (divides) number = 1 / number;
        if (multiplies || divides) {
            a->factor[c] *= number;
            a->offset[c] *= number;
        } else {
            a->offset[c] += adds ? number : -number;
        }
    }
    return true;
}

static attn_ir_value *scaled_weight(attn_ir *ir, const attn_ir_value *weight, const affine *a)
{
    const attn_onnx_tensor *t = weight->constant;
    float *numbers = attn_arena_get(ir->arena, t->count, sizeof *numbers, ir->err);
    size_t each = t->count / a->channels;
    if (!numbers) {
        ir->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < t->count; i++)
        numbers[i] = (float)(attn_tensor_float(t, i) * a->factor[i / each]);
    return attn_ir_new_floats(ir, weight->name, numbers, t->rank, t->dim);
}

static attn_ir_value *moved_bias(attn_ir *ir, const attn_ir_node *conv, const affine *a)
{
    const attn_ir_value *bias = attn_ir_in(conv, 2);
    float *numbers = attn_arena_get(ir->arena, a->channels, sizeof *numbers, ir->err);
    char name[200];
    if (!numbers) {
        ir->failed = true;
        return NULL;
    }
    for (size_t c = 0; c < a->channels; c++)
        numbers[c] = (float)(a->factor[c] * (bias ? element(bias, c) : 0) + a->offset[c]);
    strncpy(name, bias ? bias->name : conv->in[1]->name, sizeof name - 1);
    name[sizeof name - 1] = 0;
    size_t length = strlen(name);
    if (!bias && length > 7 && strcmp(name + length - 7, ".weight") == 0)
        strcpy(name + length - 7, ".bias");
    return attn_ir_new_floats(ir, name, numbers, 1, &a->channels);
}

static void fold(attn_ir *ir, attn_ir_node *conv)
{
    attn_ir_value *weight = attn_ir_in(conv, 1), *bias = attn_ir_in(conv, 2), *y = conv->out[0];
    if (!is_floats(weight) || weight->constant->rank < 3 || !weight->constant->count || !y) return;
    affine a = {.channels = weight->constant->dim[0]};
    int space = weight->constant->rank - 2;
    if (bias && (!is_floats(bias) || bias->constant->count != a.channels)) return;
    a.factor = attn_arena_get(ir->arena, 2 * a.channels, sizeof *a.factor, ir->err);
    if (!a.factor) {
        ir->failed = true;
        return;
    }
    a.offset = a.factor + a.channels;
    for (size_t c = 0; c < a.channels; c++) a.factor[c] = 1;
    attn_ir_node *next = attn_ir_only_reader(y);
    bool any = false;
    for (; next && next->outputs >= 1; next = attn_ir_only_reader(y)) {
        bool taken = attn_ir_is(next, "BatchNormalization")
                         ? next->in[0] == y && take_norm(&a, next)
                         : take_number(&a, next, y, space);
        if (!taken || !next->out[0]) break;
        y = next->out[0];
        any = true;
    }
    if (!any) return;
    attn_ir_value *in[3] = {conv->in[0], scaled_weight(ir, weight, &a), moved_bias(ir, conv, &a)};
    attn_ir_value *none = NULL;
    attn_ir_node *fresh = attn_ir_insert(ir, conv, "Conv", "", 3, in, 1, &none);
    if (!fresh) return;
    fresh->attr = conv->attr;
    fresh->attrs = conv->attrs;
    attn_ir_give(ir, y, fresh, 0);
}

void attn_lift_conv(attn_ir *ir)
{
    for (attn_ir_node *n = ir->main->first; n; n = n->next)
        if (attn_ir_is(n, "Conv") && n->inputs >= 2 && n->outputs == 1) fold(ir, n);
    attn_ir_sweep(ir);
}
