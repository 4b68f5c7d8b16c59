/* Reductions, scans, the softmax family, and values that come from shapes and constants. */
#include "runtime/onnx/lower.h"

#include <stdio.h>
#include <string.h>

#define PI 3.14159265358979323846

/* ---- reductions ---------------------------------------------------------------------------- */

/* "axes" of an attribute (the older way) or an input; an empty list says no more than none. */
static void add_axes(attn_lower *l, const attn_ir_node *node, cJSON *layer)
{
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "axes", &count);
    attn_ir_value *value = attn_ir_in(node, 1);
    if (count)
        attn_lower_int_list(l, layer, "axes", axes, count);
    else if (value && !(value->constant && value->constant->count == 0))
        attn_lower_ints(l, layer, "axes", value);
    if (!attn_ir_int(node, "keepdims", 1)) attn_lower_flag(l, layer, "keep", false);
    if (attn_ir_int(node, "noop_with_empty_axes", 0)) attn_lower_flag(l, layer, "noop", true);
}

static attn_status lower_reduce(attn_lower *l, const attn_ir_node *node)
{
    const char *name = attn_lower_entry(l)->layer;
    static const char *const floats[] = {"reduce_l2", "reduce_log_sum", "reduce_log_sum_exp"};
    attn_ir_value *x = attn_ir_in(node, 0), *y = attn_ir_out(node, 0);
    bool cast = false;
    if (!x || !y) return attn_lower_fail(l, node, "an operand is missing");
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        cast |= attn_onnx_is_integer(x->type) && strcmp(name, floats[i]) == 0;
    cJSON *layer;
    if (!cast) {
        layer = attn_lower_layer(l, node, name);
        attn_lower_in(l, layer, x);
        attn_lower_out(l, layer, y);
        add_axes(l, node, layer);
        return ATTN_OK;
    }
    const char *number = attn_lower_unary(l, node, "cast", attn_lower_value(l, x), &layer);
    attn_lower_word(l, layer, "to", "f32");
    number = attn_lower_unary(l, node, name, number, &layer);
    add_axes(l, node, layer);
    layer = attn_lower_layer(l, node, "cast");
    attn_lower_word(l, layer, "to", "i32");
    attn_lower_in_name(l, layer, number);
    attn_lower_out(l, layer, y);
    return ATTN_OK;
}

static attn_status lower_arg(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, attn_lower_entry(l)->layer);
    attn_lower_number(l, layer, "axis", (double)attn_ir_int(node, "axis", 0));
    if (attn_ir_int(node, "keepdims", 1)) attn_lower_flag(l, layer, "keep", true);
    if (attn_ir_int(node, "select_last_index", 0)) attn_lower_flag(l, layer, "last", true);
    return ATTN_OK;
}

static attn_status lower_cumsum(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_layer(l, node, "cumsum");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_ints(l, layer, "axis", attn_ir_in(node, 1));
    if (attn_ir_int(node, "exclusive", 0)) attn_lower_flag(l, layer, "exclusive", true);
    if (attn_ir_int(node, "reverse", 0)) attn_lower_flag(l, layer, "reverse", true);
    return ATTN_OK;
}

/* Before opset 13 a row is all dimensions from the axis on, which says nothing of the last one. */
static attn_status lower_softmax(attn_lower *l, const attn_ir_node *node)
{
    bool rest = node->version && node->version < 13;
    int64_t axis = attn_ir_int(node, "axis", rest ? 1 : -1);
    const attn_ir_value *x = attn_ir_in(node, 0);
    if (x && x->shaped && axis == x->rank - 1) axis = -1;
    cJSON *layer = attn_lower_plain(l, node, attn_lower_entry(l)->layer);
    if (axis != -1) attn_lower_number(l, layer, "axis", (double)axis);
    if (rest && axis != -1) attn_lower_flag(l, layer, "rest", true);
    return ATTN_OK;
}

/* x / |x|, along an axis. */
static attn_status lower_lp_normalization(attn_lower *l, const attn_ir_node *node)
{
    int64_t p = attn_ir_int(node, "p", 2), axis = attn_ir_int(node, "axis", -1);
    cJSON *layer;
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "an operand is missing");
    if (p != 1 && p != 2)
        return attn_lower_fail(l, node, "p is %lld, expected 1 or 2", (long long)p);
    const char *x = attn_lower_value(l, node->in[0]);
    const char *norm = attn_lower_unary(l, node, p == 1 ? "reduce_l1" : "reduce_l2", x, &layer);
    attn_lower_int_list(l, layer, "axes", &axis, 1);
    layer = attn_lower_layer(l, node, "div");
    attn_lower_in_name(l, layer, x);
    attn_lower_in_name(l, layer, norm);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* (x - mean) / (sqrt(mean (x - mean)^2) + 1e-9), over some axes. */
static attn_status lower_mean_variance(attn_lower *l, const attn_ir_node *node)
{
    static const int64_t usual[] = {0, 2, 3};
    size_t count;
    const int64_t *axes = attn_ir_ints(node, "axes", &count);
    cJSON *layer;
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "an operand is missing");
    if (!count) {
        axes = usual;
        count = 3;
    }
    const char *x = attn_lower_value(l, node->in[0]);
    const char *mean = attn_lower_unary(l, node, "reduce_mean", x, &layer);
    attn_lower_int_list(l, layer, "axes", axes, count);
    x = attn_lower_binary(l, node, "sub", x, mean, NULL);
    const char *square = attn_lower_binary(l, node, "mul", x, x, NULL);
    square = attn_lower_unary(l, node, "reduce_mean", square, &layer);
    attn_lower_int_list(l, layer, "axes", axes, count);
    square = attn_lower_unary(l, node, "sqrt", square, NULL);
    square = attn_lower_unary(l, node, "add", square, &layer);
    attn_lower_number(l, layer, "value", 1e-9);
    layer = attn_lower_layer(l, node, "div");
    attn_lower_in_name(l, layer, x);
    attn_lower_in_name(l, layer, square);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* ---- shapes and constants ------------------------------------------------------------------ */

static attn_status lower_shape(attn_lower *l, const attn_ir_node *node)
{
    cJSON *layer = attn_lower_plain(l, node, "shape");
    int64_t start = attn_ir_int(node, "start", 0);
    if (start) attn_lower_number(l, layer, "start", (double)start);
    if (attn_ir_attr(node, "end"))
        attn_lower_number(l, layer, "end", (double)attn_ir_int(node, "end", 0));
    return ATTN_OK;
}

static attn_status lower_constant_of_shape(attn_lower *l, const attn_ir_node *node)
{
    const attn_onnx_tensor *value = attn_ir_tensor(node, "value");
    cJSON *layer = attn_lower_layer(l, node, "fill");
    attn_lower_ints(l, layer, "shape", attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    if (!value) return ATTN_OK;
    bool integer = attn_onnx_is_integer(value->type);
    if (value->count != 1 || (!integer && !attn_onnx_is_float(value->type)))
        return attn_lower_fail(l, node, "\"value\" is not one number");
    double number = attn_tensor_float(value, 0);
    if (integer && number > INT32_MAX) number = INT32_MAX;
    if (integer && number < INT32_MIN) number = INT32_MIN;
    attn_lower_number(l, layer, "value", number);
    if (integer) attn_lower_word(l, layer, "dtype", "i32");
    return ATTN_OK;
}

/* ---- windows of signals -------------------------------------------------------------------- */

static const char *times(attn_lower *l, const attn_ir_node *node, const char *x, double factor)
{
    cJSON *layer;
    const char *y = attn_lower_unary(l, node, "mul", x, &layer);
    attn_lower_number(l, layer, "value", factor);
    return y;
}

/* a - b cos(t) + c cos(2 t) for t = 2 pi n / N, n = 0 ... size - 1; N is the size, or one less if
 * the window is not periodic. */
static attn_status lower_window(attn_lower *l, const attn_ir_node *node)
{
    static const struct {
        const char *op;
        double a, b, c;
    } windows[] = {{"HannWindow", 0.5, 0.5, 0},
                   {"HammingWindow", 25.0 / 46, 21.0 / 46, 0},
                   {"BlackmanWindow", 0.42, 0.5, 0.08}};
    size_t w = 0;
    cJSON *layer;
    if (!attn_ir_in(node, 0)) return attn_lower_fail(l, node, "an operand is missing");
    attn_onnx_type type = (attn_onnx_type)attn_ir_int(node, "output_datatype", ATTN_ONNX_FLOAT);
    if (!attn_onnx_is_float(type)) return attn_lower_fail(l, node, "its output is of integers");
    while (w < 2 && strcmp(windows[w].op, node->op) != 0) w++;
    const char *size = attn_lower_unary(l, node, "cast", attn_lower_value(l, node->in[0]), &layer);
    attn_lower_word(l, layer, "to", "f32");
    const char *range = attn_lower_temp(l);
    layer = attn_lower_layer(l, node, "range");
    attn_lower_in_name(l, layer, attn_lower_scalar(l, 0, false));
    attn_lower_in_name(l, layer, size);
    attn_lower_in_name(l, layer, attn_lower_scalar(l, 1, false));
    attn_lower_out_name(l, layer, range);
    if (!attn_ir_int(node, "periodic", 1)) {
        size = attn_lower_unary(l, node, "sub", size, &layer);
        attn_lower_number(l, layer, "value", 1);
    }
    const char *turn = attn_lower_binary(l, node, "div", range, size, NULL);
    const char *y = attn_lower_unary(l, node, "cos", times(l, node, turn, 2 * PI), NULL);
    y = attn_lower_unary(l, node, "add", times(l, node, y, -windows[w].b), &layer);
    attn_lower_number(l, layer, "value", windows[w].a);
    if (windows[w].c != 0) {
        const char *z = attn_lower_unary(l, node, "cos", times(l, node, turn, 4 * PI), NULL);
        y = attn_lower_binary(l, node, "add", y, times(l, node, z, windows[w].c), NULL);
    }
    attn_lower_result(l, node, y, attn_ir_out(node, 0));
    return ATTN_OK;
}

/* ---- Fourier transforms -------------------------------------------------------------------- */

static attn_status lower_dft(attn_lower *l, const attn_ir_node *node)
{
    bool old = node->version && node->version < 20; /* the axis is an attribute */
    double axis = old ? (double)attn_ir_int(node, "axis", 1) : -2;
    if (!old && attn_ir_in(node, 2) && !attn_ir_number(node->in[2], &axis))
        return attn_lower_fail(l, node, "its axis is computed");
    cJSON *layer = attn_lower_layer(l, node, "dft");
    attn_lower_in(l, layer, attn_ir_in(node, 0));
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    attn_lower_number(l, layer, "axis", axis);
    attn_lower_ints(l, layer, "length", attn_ir_in(node, 1));
    if (attn_ir_int(node, "inverse", 0)) attn_lower_flag(l, layer, "inverse", true);
    if (attn_ir_int(node, "onesided", 0)) attn_lower_flag(l, layer, "onesided", true);
    return ATTN_OK;
}

static const char *range(attn_lower *l, const attn_ir_node *node, const char *limit,
                         const char *delta)
{
    const char *y = attn_lower_temp(l);
    cJSON *layer = attn_lower_layer(l, node, "range");
    attn_lower_in_name(l, layer, attn_lower_scalar(l, 0, true));
    attn_lower_in_name(l, layer, limit);
    attn_lower_in_name(l, layer, delta);
    attn_lower_out_name(l, layer, y);
    return y;
}

static const char *unsqueeze(attn_lower *l, const attn_ir_node *node, const char *x, int64_t axis)
{
    cJSON *layer;
    const char *y = attn_lower_unary(l, node, "unsqueeze", x, &layer);
    attn_lower_int_list(l, layer, "axes", &axis, 1);
    return y;
}

/* Frames [batch, frames, n, parts] of a signal [batch, length, parts] or [batch, length], times the
 * window, and the transform of each. */
static attn_status lower_stft(attn_lower *l, const attn_ir_node *node)
{
    attn_ir_value *signal = attn_ir_in(node, 0), *window = attn_ir_in(node, 2);
    cJSON *layer;
    if (!signal || !attn_ir_in(node, 1) || (!window && !attn_ir_in(node, 3)))
        return attn_lower_fail(l, node, "an operand is missing");
    bool flat = signal->shaped
                    ? signal->rank == 2
                    : signal->declared && signal->declared->shaped && signal->declared->rank == 2;
    const char *x = attn_lower_value(l, signal), *step = attn_lower_value(l, node->in[1]);
    const char *length = attn_lower_unary(l, node, "shape", x, &layer);
    attn_lower_number(l, layer, "start", 1);
    attn_lower_number(l, layer, "end", 2);
    const char *n = attn_ir_in(node, 3)
                        ? attn_lower_value(l, node->in[3])
                        : attn_lower_unary(l, node, "size", attn_lower_value(l, window), NULL);
    const char *limit = attn_lower_binary(l, node, "sub", length, n, NULL);
    limit = attn_lower_unary(l, node, "add", limit, &layer);
    attn_lower_number(l, layer, "value", 1);
    const char *first = unsqueeze(l, node, range(l, node, limit, step), 1);
    const char *offset = range(l, node, n, attn_lower_scalar(l, 1, true));
    const char *index = attn_lower_binary(l, node, "add", first, offset, NULL);
    x = attn_lower_binary(l, node, "gather", x, index, &layer);
    attn_lower_number(l, layer, "axis", 1);
    if (flat) x = unsqueeze(l, node, x, -1);
    if (window) {
        const char *factor = unsqueeze(l, node, attn_lower_value(l, window), 1);
        x = attn_lower_binary(l, node, "mul", x, factor, NULL);
    }
    layer = attn_lower_layer(l, node, "dft");
    attn_lower_in_name(l, layer, x);
    if (attn_ir_int(node, "onesided", 1)) attn_lower_flag(l, layer, "onesided", true);
    attn_lower_out(l, layer, attn_ir_out(node, 0));
    return ATTN_OK;
}

const attn_lowering attn_lowerings_reduce[] = {
    {"ArgMax", "", lower_arg, "argmax"},
    {"ArgMin", "", lower_arg, "argmin"},
    {"BlackmanWindow", "", lower_window, NULL},
    {"ConstantOfShape", "", lower_constant_of_shape, NULL},
    {"CumSum", "", lower_cumsum, NULL},
    {"DFT", "", lower_dft, NULL},
    {"Det", "", attn_lower_same, "det"},
    {"DFT", "", lower_dft, NULL},
    {"Det", "", attn_lower_same, "det"},
    {"HammingWindow", "", lower_window, NULL},
    {"HannWindow", "", lower_window, NULL},
    {"Hardmax", "", lower_softmax, "hardmax"},
    {"LogSoftmax", "", lower_softmax, "log_softmax"},
    {"LpNormalization", "", lower_lp_normalization, NULL},
    {"MeanVarianceNormalization", "", lower_mean_variance, NULL},
    {"Range", "", attn_lower_same, "range"},
    {"ReduceL1", "", lower_reduce, "reduce_l1"},
    {"ReduceL2", "", lower_reduce, "reduce_l2"},
    {"ReduceLogSum", "", lower_reduce, "reduce_log_sum"},
    {"ReduceLogSumExp", "", lower_reduce, "reduce_log_sum_exp"},
    {"ReduceMax", "", lower_reduce, "reduce_max"},
    {"ReduceMean", "", lower_reduce, "reduce_mean"},
    {"ReduceMin", "", lower_reduce, "reduce_min"},
    {"ReduceProd", "", lower_reduce, "reduce_prod"},
    {"ReduceSum", "", lower_reduce, "reduce_sum"},
    {"ReduceSumSquare", "", lower_reduce, "reduce_sum_square"},
    {"STFT", "", lower_stft, NULL},
    {"Shape", "", lower_shape, NULL},
    {"Size", "", attn_lower_same, "size"},
    {"Softmax", "", lower_softmax, "softmax"},
    {NULL, NULL, NULL, NULL},
};
