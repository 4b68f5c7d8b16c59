#include "runtime/base/status.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
} statuses[] = {
#define STATUS_ROW(code, text) [code] = {#code, text},
    ATTN_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [ATTN_F32] = {"f32", 4},   [ATTN_F16] = {"f16", 2}, [ATTN_BF16] = {"bf16", 2},
    [ATTN_I64] = {"i64", 8},   [ATTN_I32] = {"i32", 4}, [ATTN_U8] = {"u8", 1},
    [ATTN_BOOL] = {"bool", 1},
};

const char *attn_status_name(attn_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].name : "?";
}

const char *attn_status_text(attn_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].text : "?";
}

const char *attn_version(void)
{
    return ATTN_VERSION;
}

size_t attn_dtype_size(attn_dtype dtype)
{
    return (size_t)dtype < sizeof dtypes / sizeof *dtypes ? dtypes[dtype].size : 0;
}

const char *attn_dtype_name(attn_dtype dtype)
{
    return (size_t)dtype < sizeof dtypes / sizeof *dtypes ? dtypes[dtype].name : "?";
}

attn_status attn_fail_v(attn_error *err, attn_status status, const char *format, va_list args)
{
    if (!err) return status;
    err->status = status;
    vsnprintf(err->text, sizeof err->text, format, args);
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return status;
}

attn_status attn_fail(attn_error *err, attn_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    attn_fail_v(err, status, format, args);
    va_end(args);
    return status;
}

bool attn_product(const size_t *dim, int rank, size_t *out)
{
    size_t product = 1;
    for (int i = 0; i < rank; i++)
        if (!attn_mul(product, dim[i], &product)) return false;
    *out = product;
    return true;
}

const char *attn_format_shape(attn_shape_text *buffer, const size_t *dim, int rank)
{
    size_t used = 0;
    char *text = buffer->text;
    text[used++] = '[';
    for (int i = 0; i < rank && used + 24 < sizeof buffer->text; i++)
        used +=
            (size_t)snprintf(text + used, sizeof buffer->text - used, i ? ", %zu" : "%zu", dim[i]);
    text[used++] = ']';
    text[used] = 0;
    return text;
}
