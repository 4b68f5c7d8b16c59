#include "layers/append.h"

#include <math.h>
#include <string.h>

/* As BF16_DOT has it: rounded to nearest even, 0 below 2^-56. */
static uint16_t to_bf16(float a)
{
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    if (isnan(a)) return (uint16_t)((u | 0x400000) >> 16);
    if (fabsf(a) < 0x1p-56f) return 0;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static void put_column(char *panel, attn_panel_type type, size_t width, size_t column, size_t k,
                       const float *x)
{
    if (type == ATTN_PANEL_F32) {
        float *to = (float *)(void *)panel + column;
        for (size_t i = 0; i < k; i++) to[i * width] = x[i];
        return;
    }
    uint16_t *to = (uint16_t *)(void *)panel + 2 * column;
    for (size_t i = 0; i < k; i++) to[i / 2 * 2 * width + i % 2] = to_bf16(x[i]);
}

void attn_append_columns(const attn_kernels *kernels, attn_panel_type type, char *panels, size_t k,
                         size_t first, size_t count, const float *x, size_t ldx)
{
    size_t width = kernels->panel, bytes = kernels->panel_bytes(type, k);
    for (; count && first % width != 0; first++, count--, x += ldx)
        put_column(panels + first / width * bytes, type, width, first % width, k, x);
    if (count) kernels->pack(type, panels + first / width * bytes, x, k, count, 1, ldx);
}

void attn_append_rows(const attn_kernels *kernels, attn_panel_type type, char *panels,
                      size_t stride, size_t n, size_t first, size_t count, const float *x,
                      size_t ldx)
{
    size_t width = kernels->panel, odd = type == ATTN_PANEL_BF16_DOT && first % 2;
    for (size_t j = 0; j < n; j += width, panels += stride) {
        size_t columns = n - j < width ? n - j : width;
        if (odd) {
            uint16_t *pair = (uint16_t *)(void *)(panels + first / 2 * 2 * width * sizeof *pair);
            for (size_t c = 0; c < columns; c++) pair[2 * c + 1] = to_bf16(x[j + c]);
        }
        if (count > odd) {
            size_t row = first + odd, each = type == ATTN_PANEL_F32 ? 4 * width : 2 * width;
            kernels->pack(type, panels + row * each, x + odd * ldx + j, count - odd, columns, ldx,
                          1);
        }
    }
}
