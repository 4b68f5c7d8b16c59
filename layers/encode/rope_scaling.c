#include "layers/encode/rope_scaling.h"

#include "layers/exact.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double log_of(double x)
{
    return x >= 1 ? attn_log(x) : -attn_log(1 / x);
}

/* The attention factor of a stretch, Peng et al. 2023, eq. 22. */
static double stretch_factor(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * attn_log(factor) + 1;
}

/* The index whose frequency makes so many turns within the trained length. */
static double index_of_turns(const attn_rope *rope, double turns)
{
    return (double)rope->dims * log_of(rope->length / (turns * 2 * pi)) / (2 * rope->theta_log);
}

static attn_status parse_yarn(attn_reader *r, attn_rope *rope)
{
    float fast = 32, slow = 1, scale = 0, scale_all = 0, attention = 0;
    bool truncate = true;
    ATTN_TRY(attn_read_float(r, "beta_fast", 1e-6, 1e6, &fast));
    ATTN_TRY(attn_read_float(r, "beta_slow", 1e-6, 1e6, &slow));
    ATTN_TRY(attn_read_float(r, "mscale", 0, 1e3, &scale));
    ATTN_TRY(attn_read_float(r, "mscale_all_dim", 0, 1e3, &scale_all));
    ATTN_TRY(attn_read_float(r, "attention_factor", 1e-6, 1e6, &attention));
    ATTN_TRY(attn_read_bool(r, "truncate", &truncate));
    if (rope->theta_log == 0) return attn_reader_fail(r, "yarn needs a \"theta\" above 1");
    double low = index_of_turns(rope, (double)fast), high = index_of_turns(rope, (double)slow);
    if (truncate) low = floor(low), high = ceil(high);
    rope->low = low > 0 ? low : 0;
    rope->high = high < (double)rope->dims - 1 ? high : (double)rope->dims - 1;
    if (rope->low == rope->high) rope->high += 0.001;
    rope->attention_factor = stretch_factor(rope->factor, 1);
    if (scale != 0 && scale_all != 0)
        rope->attention_factor = stretch_factor(rope->factor, (double)scale) /
                                 stretch_factor(rope->factor, (double)scale_all);
    if (attention != 0) rope->attention_factor = (double)attention;
    return ATTN_OK;
}

/* max_positions: the longest text, whose length by the trained one is the factor if none is given.
 */
static attn_status parse_long(attn_reader *r, attn_rope *rope, size_t max_positions)
{
    static const char *const keys[2] = {"short_factor", "long_factor"};
    float attention = 0;
    bool is_list;
    for (int i = 0; i < 2; i++) {
        size_t count;
        ATTN_TRY(attn_read_numbers(r, keys[i], 32768, &rope->factors[i], &count, &is_list));
        if (count != rope->dims / 2)
            return attn_reader_fail(r, "the key \"%s\" has %zu numbers, expected %zu", keys[i],
                                    count, rope->dims / 2);
        for (size_t k = 0; k < count; k++)
            if (!(rope->factors[i][k] > 0))
                return attn_reader_fail(r, "number %zu of \"%s\" is %g, expected more than 0", k,
                                        keys[i], rope->factors[i][k]);
    }
    ATTN_TRY(attn_read_float(r, "attention_factor", 1e-6, 1e6, &attention));
    double factor = rope->factor;
    if (factor == 0) factor = (double)max_positions / rope->length;
    rope->attention_factor = attention != 0 ? (double)attention
                             : factor <= 1  ? 1
                                            : sqrt(1 + attn_log(factor) / attn_log(rope->length));
    return ATTN_OK;
}

static attn_status parse_scaling(attn_reader *r, attn_rope *rope, float *theta, float *fraction)
{
    static const char *const types[] = {"default", "linear",   "dynamic", "llama3",
                                        "yarn",    "longrope", "su",      NULL};
    float factor = 1, low, high;
    ATTN_TRY(attn_read_word(r, "type", types, &rope->type));
    ATTN_TRY(attn_read_word(r, "rope_type", types, &rope->type));
    ATTN_TRY(attn_read_float(r, "rope_theta", 1, 1e12, theta));
    ATTN_TRY(attn_read_float(r, "partial_rotary_factor", 0, 1, fraction));
    if (rope->type > ATTN_ROPE_LONG) rope->type = ATTN_ROPE_LONG; /* what it was called first */
    if (rope->type == ATTN_ROPE_DEFAULT) return ATTN_OK;
    size_t length = (size_t)rope->length;
    ATTN_TRY(attn_read_size(r, "original_max_position_embeddings", 1, 1u << 30, &length));
    rope->length = (double)length;
    if (rope->type == ATTN_ROPE_LONG) {
        factor = 0;
        ATTN_TRY(attn_read_float(r, "factor", 1, 1e6, &factor));
    } else {
        ATTN_TRY(attn_need_float(r, "factor", 1, 1e6, &factor));
    }
    rope->factor = (double)factor;
    if (rope->type >= ATTN_ROPE_LLAMA3 && length < (rope->type == ATTN_ROPE_LONG ? 2 : 1))
        return attn_reader_fail(r, "the key \"original_max_position_embeddings\" is missing");
    if (rope->type != ATTN_ROPE_LLAMA3) return ATTN_OK;
    ATTN_TRY(attn_need_float(r, "low_freq_factor", 1e-6, 1e6, &low));
    ATTN_TRY(attn_need_float(r, "high_freq_factor", 1e-6, 1e6, &high));
    if (!(low < high))
        return attn_reader_fail(r, "\"low_freq_factor\" %g is not below \"high_freq_factor\" %g",
                                (double)low, (double)high);
    rope->low = (double)low;
    rope->high = (double)high;
    return ATTN_OK;
}

/* The rotated part of a head, rounded down; the fraction's last digits are those of f32. */
static attn_status set_dims(attn_reader *r, attn_rope *rope, size_t head_dim, float fraction)
{
    rope->dims = (size_t)((double)head_dim * (double)fraction + 1e-4);
    if (rope->dims >= 2 && rope->dims % 2 == 0) return ATTN_OK;
    return attn_reader_fail(r,
                            "%zu of \"head_dim\" %zu columns are rotated, expected an even number",
                            rope->dims, head_dim);
}

attn_status attn_rope_parse(attn_reader *r, attn_rope *rope)
{
    size_t head_dim = 0, length = 0, longest = 0;
    float theta = 10000, fraction = 1;
    bool scaled;
    rope->attention_factor = rope->factor = 1;
    ATTN_TRY(attn_need_size(r, "head_dim", 1, 65536, &head_dim));
    ATTN_TRY(attn_read_float(r, "fraction", 0, 1, &fraction));
    ATTN_TRY(attn_read_float(r, "theta", 1, 1e12, &theta));
    ATTN_TRY(attn_read_size(r, "positions", 1, 1u << 30, &length));
    ATTN_TRY(attn_read_size(r, "max_positions", 1, 1u << 30, &longest));
    rope->length = (double)length;
    ATTN_TRY(attn_enter_object(r, "scaling", &scaled));
    if (scaled) ATTN_TRY(parse_scaling(r, rope, &theta, &fraction));
    rope->theta_log = attn_log((double)theta);
    ATTN_TRY(set_dims(r, rope, head_dim, fraction));
    if (rope->type == ATTN_ROPE_YARN) ATTN_TRY(parse_yarn(r, rope));
    if (rope->type == ATTN_ROPE_LONG) ATTN_TRY(parse_long(r, rope, longest));
    return scaled ? attn_leave_object(r) : ATTN_OK;
}

static double stretch(const attn_rope *rope, size_t text, size_t i, double f)
{
    double ramp, turns;
    switch (rope->type) {
    case ATTN_ROPE_LINEAR:
        return f / rope->factor;
    case ATTN_ROPE_LLAMA3:
        turns = rope->length * f / (2 * pi);
        if (turns < rope->low) return f / rope->factor;
        if (turns > rope->high) return f;
        ramp = (turns - rope->low) / (rope->high - rope->low);
        return (1 - ramp) * f / rope->factor + ramp * f;
    case ATTN_ROPE_YARN:
        ramp = ((double)i - rope->low) / (rope->high - rope->low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        return f / rope->factor * ramp + f * (1 - ramp);
    case ATTN_ROPE_LONG:
        return f / rope->factors[(double)text > rope->length][i];
    default:
        return f;
    }
}

void attn_rope_frequencies(const attn_rope *rope, size_t text, double *frequency)
{
    for (size_t i = 0; i < rope->dims / 2; i++)
        frequency[i] =
            stretch(rope, text, i,
                    attn_exp_of_minus(rope->theta_log * (double)(2 * i) / (double)rope->dims));
}
