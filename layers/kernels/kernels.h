/* The kernels: one table of functions, scalar C first, overridden per instruction set.
 *
 * Same bits everywhere. A kernel gives the same bits in every instruction set, because each is
 * compiled from the same source over vectors of another width, and that source keeps to:
 *   - an output of a product has one accumulator, which starts at +0 and takes its products in
 *     the order k = 0, 1, 2 ... with fused multiply-add; vectors run across outputs, not along k;
 *   - a reduction over a row uses 16 partial results (element i goes to i mod 16, in order),
 *     combined as (((0+8)+(4+12)) + ((2+10)+(6+14))) + (((1+9)+(5+13)) + ((3+11)+(7+15)));
 *   - exp, tanh, erf are our own polynomials, within 1.1, 2.6 and 1.2 units in the last place
 *     (math.inc).
 * NaN results are NaN everywhere, but their payload and sign may differ.
 *
 * No kernel allocates, and none reads or writes outside the elements named; pointers need only
 * the alignment of float. Strides (ld*) count elements. Unless said otherwise an output may be
 * the very same array as an input, but must not overlap it partly.
 */
#ifndef ATTN_KERNELS_H
#define ATTN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y = op(x), elementwise. */
typedef enum attn_unary {
    ATTN_IDENTITY,
    ATTN_RELU,       /* max(x, 0) */
    ATTN_GELU,       /* x/2 (1 + erf(x / sqrt 2)); Hendrycks & Gimpel 2016 */
    ATTN_GELU_TANH,  /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    ATTN_QUICK_GELU, /* x sigmoid(1.702 x) */
    ATTN_SILU,       /* x sigmoid(x) */
    ATTN_TANH,
    ATTN_SIGMOID,
    ATTN_EXP,
    ATTN_ERF,
    ATTN_SQRT,
    ATTN_NEG,
    ATTN_ABS,
    ATTN_SQUARE,
    ATTN_RELU6,      /* min(max(x, 0), 6) */
    ATTN_HARD_SWISH, /* x max(0, min(1, x/6 + 1/2)); Howard et al. 2019, sec. 5.2 */
    ATTN_UNARY_COUNT,
} attn_unary;

typedef enum attn_binary {
    ATTN_BIN_ADD,
    ATTN_BIN_SUB,
    ATTN_BIN_MUL,
    ATTN_BIN_DIV,
    ATTN_BIN_MAX, /* a > b ? a : b; a NaN in either gives NaN */
    ATTN_BIN_MIN,
    ATTN_BINARY_COUNT,
} attn_binary;

/* What the panels of a packed matrix hold. Sums are f32 but for I8. */
typedef enum attn_panel_type {
    ATTN_PANEL_F32,
    ATTN_PANEL_BF16, /* rounded to nearest even; widened to f32 exactly */
    /* As BF16, but x is rounded to bf16, too, and comes in quantised rows; what is below 2^-56, in
     * x and in w, is taken as 0, so that no product and no sum is a denormal, which VDPBF16PS would
     * flush. Its order holds everywhere: k = 1, 0, 3, 2, 5, 4 ... */
    ATTN_PANEL_BF16_DOT,
    ATTN_PANEL_F16, /* as BF16 */
    ATTN_PANEL_I8,  /* each column: integers -127 .. 127 times a scale; integer sums, so any order
                     * gives the same bits; x comes in quantised rows */
    ATTN_PANEL_I4,  /* groups of ATTN_I4_GROUP elements of a column: integers -7 .. 7 times a scale;
                     * widened to f32 as (float)q * scale */
    ATTN_PANEL_PACKED,
    /* Blocks, as GGUF files have them, packed by pack_blocks: groups of a column's elements,
     * integers times a scale, plus a minimum if there is one. Widened to f32 as
     * (float)q * scale + minimum, where a product that a minimum is added to must be exact. k is a
     * multiple of ATTN_ROW_GROUP. */
    ATTN_PANEL_Q4_0 = ATTN_PANEL_PACKED, /* groups of 32: -8 .. 7; f16 scale */
    ATTN_PANEL_Q4_1,                     /* 32: 0 .. 15; f16 scale and minimum */
    ATTN_PANEL_Q4_K,                     /* 32: 0 .. 15; f32 scale and minimum */
    ATTN_PANEL_Q8_0,                     /* 32: -128 .. 127; f16 scale */
    ATTN_PANEL_Q5_1,                     /* 32: -128 .. 127; f16 scale and minimum */
    ATTN_PANEL_Q5_K,                     /* 32: -128 .. 127; f32 scale and minimum */
    ATTN_PANEL_Q6_K,                     /* 16: -128 .. 127; f32 scale */
    /* The same panels for x in quantised rows, each group of 32 elements of which are integers
     * times a scale, too. For each group of the panel, in order:
     *   sum = fma((float)(integer sum) * scale, scale of x, sum)
     *   sum = fma(minimum, (float)(sum of the integers of x) * scale of x, sum) */
    ATTN_PANEL_DOTS,
    ATTN_PANEL_TYPES = ATTN_PANEL_DOTS + (ATTN_PANEL_DOTS - ATTN_PANEL_PACKED),
} attn_panel_type;

#define ATTN_I4_GROUP 32
#define ATTN_ROW_GROUP 32 /* elements of a quantised row that share a scale */

static inline bool attn_is_blocks(attn_panel_type type)
{
    return type >= ATTN_PANEL_PACKED;
}
/* The type of blocks that takes x in quantised rows. */
static inline attn_panel_type attn_dot_of_blocks(attn_panel_type type)
{
    return (attn_panel_type)(type + (ATTN_PANEL_DOTS - ATTN_PANEL_PACKED));
}
/* Elements of a group of blocks. */
static inline size_t attn_block_group(attn_panel_type type)
{
    return type == ATTN_PANEL_Q6_K || type == attn_dot_of_blocks(ATTN_PANEL_Q6_K) ? 16 : 32;
}

/* y = unary(scale * (x . w) + column_bias + row_bias) + residual
 *   x: [m, k] with row stride ldx
 *   w: packed panels of [k, n], see attn_kernels.pack; or, with ldw != 0, the f32 matrix [k, n]
 *      itself with row stride ldw, used where it lies; or, with offset, in pieces (see there)
 *   y: [m, n] with row stride ldy; must not overlap x or w; may be residual itself
 *   column_bias: [n], row_bias: [m], residual: [m, n] with row stride ldr; each may be NULL */
typedef struct attn_gemm {
    size_t m, n, k;
    const float *x;
    size_t ldx;
    const void *rows; /* instead of x, where attn_kernels.row_bytes(type, k) is not 0: m rows of so
                       * many bytes each, made by attn_kernels.quantize */
    attn_panel_type type;
    const void *w;
    size_t ldw;
    /* Not NULL: w + piece[i] + offset[t] is where row t of the columns i * attn_kernels.piece ...
     * of an f32 w begins, as windows have it that slide over an image. offset: [k]; piece: [ceil(n
     * / attn_kernels.piece)], each of which is read as a whole. */
    const size_t *offset, *piece;
    float *y;
    size_t ldy;
    float scale; /* 1 for none; multiplying by 1 is exact */
    const float *column_bias;
    const float *row_bias;
    const float *residual;
    size_t ldr;
    attn_unary unary;
} attn_gemm;

/* y[r, i] = sum over t of w[t] x[r * step + offset[t] + i], in the order of t, plus bias: windows
 * that slide over rows. y: [rows, columns], must not overlap x. Up to ATTN_TAPS_BEHIND floats
 * behind those named may be read from x. */
enum { ATTN_TAPS_BEHIND = 64 };
typedef struct attn_taps {
    size_t rows, columns, taps;
    const float *x;
    size_t step;
    const size_t *offset; /* [taps] */
    const float *w;       /* [taps] */
    const float *bias;    /* one number, or NULL */
    float *y;
    size_t run; /* not 0: so many taps are a row of them, and the next row's offsets are those of
                 * the one before plus step */
} attn_taps;

typedef struct attn_kernels {
    const char *name; /* "scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", "neon" */

    /* Packed matrix [k, n]: ceil(n / panel) panels, panel p holding the columns p * panel ...;
     * missing columns are zero. F32: each [k][panel] floats. A panel of another type is opaque, has
     * its scales in it, and is as good alone as among others. */
    size_t panel;
    size_t piece; /* columns of a piece, see attn_gemm.offset; divides a panel */
    /* Bytes of one panel, a multiple of 64 but for F32; 0 if that overflows. k > 0. */
    size_t (*panel_bytes)(attn_panel_type type, size_t k);

    /* Packs columns [0, n) of w: element (i, j) lies at w[i * stride_k + j * stride_n]. What was
     * once packed and widened again packs to the same integers and scales (I8, I4). A column (I8)
     * or group (I4) with NaN or a value of about 2^127 or more in it becomes NaN; one whose values
     * are all below 2^-100, zero. Every byte of the panels is written. */
    void (*pack)(attn_panel_type type, void *packed, const float *w, size_t k, size_t n,
                 size_t stride_k, size_t stride_n);
    /* Packs blocks: the integers of column j are q[j * k ...], its scales and minima stand at j * k
     * / group; f16 ones must be exact as f16. minimum: NULL if the type has none. */
    void (*pack_blocks)(attn_panel_type type, void *packed, const int8_t *q, const float *scale,
                        const float *minimum, size_t k, size_t n);
    /* Bytes of a row of x as panels of this type take it, a multiple of 64; 0 if they take x as
     * floats, SIZE_MAX on overflow. k > 0. */
    size_t (*row_bytes)(attn_panel_type type, size_t k);
    /* Makes such a row of x: [k]; row must not overlap x.
     * BF16_DOT: x rounded to nearest even, 0 below 2^-56.
     * I8: q = round(x * 127 / max|x|), and the scale max|x| / 127. A row with NaN or infinity in it
     * makes NaN; one whose values are all below 2^-100, zero.
     * Dots of blocks: the same for each ATTN_ROW_GROUP elements. */
    void (*quantize)(attn_panel_type type, void *row, const float *x, size_t k);
    /* Serial. A caller splits work by rows of x and by whole panels of w. */
    void (*gemm)(const attn_gemm *g);

    void (*unary)(attn_unary op, float *y, const float *x, size_t n);
    /* y[i] = a[i * step_a] op b[i * step_b]; steps are 0 (one value for all) or 1. */
    void (*binary)(attn_binary op, float *y, const float *a, size_t step_a, const float *b,
                   size_t step_b, size_t n);
    /* y[i] = fma(a[i * step_a], b[i * step_b], c[i * step_c]) */
    void (*fma)(float *y, const float *a, size_t step_a, const float *b, size_t step_b,
                const float *c, size_t step_c, size_t n);

    void (*taps)(const attn_taps *g); /* serial */
    /* even[i] = x[2 i], odd[i] = x[2 i + 1], i < n. odd may be NULL, and then x[2 n - 1] need not
     * be there. Neither overlaps x. */
    void (*split)(float *even, float *odd, const float *x, size_t n);

    /* Reductions of a row; 16 partial results. sum of nothing is 0, max of nothing -infinity. */
    float (*sum)(const float *x, size_t n);
    float (*max)(const float *x, size_t n);                              /* a NaN in x gives NaN */
    float (*dot)(const float *a, const float *b, size_t n);              /* sum a*b, by fma */
    float (*squared_distance)(const float *a, const float *b, size_t n); /* sum (a-b)^2, by fma */
    /* sum v tanh(a + b): the additive score (Bahdanau et al. 2015, eq. 6). */
    float (*additive)(const float *v, const float *a, const float *b, size_t n);

    /* y = exp(scale * x - max(scale * x)) * (1 / sum of these). A row of nothing but -infinity
     * gives zeros: a query that may look at no key takes nothing. */
    void (*softmax)(float *y, const float *x, size_t n, float scale);
    /* y = (x - mean) / sqrt(var + eps) * weight + bias; Ba et al. 2016, eq. 4. Biased variance, two
     * passes. weight, bias: [n] or NULL. */
    void (*layer_norm)(float *y, const float *x, const float *weight, const float *bias, size_t n,
                       float eps);
    /* y = x / sqrt(mean(x^2) + eps) * weight; Zhang & Sennrich 2019, eq. 4. weight: [n] or NULL. */
    void (*rms_norm)(float *y, const float *x, const float *weight, size_t n, float eps);
} attn_kernels;

/* Floats of an f32 packed [k, n]; false on overflow. */
static inline bool attn_packed_floats(const attn_kernels *kernels, size_t k, size_t n, size_t *out)
{
    size_t panels = n / kernels->panel + (n % kernels->panel != 0);
    return !__builtin_mul_overflow(panels, kernels->panel, out) &&
           !__builtin_mul_overflow(*out, k, out);
}

/* Bytes of a packed [k, n]; false on overflow. */
static inline bool attn_packed_bytes(const attn_kernels *kernels, attn_panel_type type, size_t k,
                                     size_t n, size_t *out)
{
    size_t panels = n / kernels->panel + (n % kernels->panel != 0);
    size_t each = k ? kernels->panel_bytes(type, k) : 0;
    return (each || !k) && !__builtin_mul_overflow(panels, each, out);
}

/* The tables. A level that this build or machine lacks is NULL in attn_kernels_level. */
typedef enum attn_cpu_level {
    ATTN_CPU_SCALAR,
    ATTN_CPU_NEON,
    ATTN_CPU_AVX2,
    ATTN_CPU_AVX512,
    ATTN_CPU_AVX512VNNI,
    ATTN_CPU_AVX512BF16, /* with VNNI, too */
    ATTN_CPU_LEVELS,
} attn_cpu_level;

/* What the build has and this machine and its operating system can run. */
const attn_kernels *attn_kernels_level(attn_cpu_level level);
/* The best level, or the one that the environment variable ATTN_CPU names; NULL with a message
 * in *problem (a static text) if it names one that is unknown or cannot run here. */
const attn_kernels *attn_kernels_select(const char **problem);

#endif
