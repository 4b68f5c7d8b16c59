#include "runtime/inputs/npy.h"

#include "runtime/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* [ "\x93NUMPY" | major | minor | header length: u16 or u32 little-endian | header | data ]
 * header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   padded with spaces */
static const char magic[6] = "\x93NUMPY";

static const struct {
    char descr[4];
    size_t size;
    attn_dtype dtype;
    bool is_double; /* converted */
} formats[] = {
    {"<f4", 4, ATTN_F32, false}, {"<f2", 2, ATTN_F16, false}, {"<i8", 8, ATTN_I64, false},
    {"<i4", 4, ATTN_I32, false}, {"|u1", 1, ATTN_U8, false},  {"|b1", 1, ATTN_BOOL, false},
    {"<f8", 8, ATTN_F32, true},
};

enum { FORMATS = sizeof formats / sizeof *formats, HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4 };

/* The header's Python dictionary, read from `at` on. */
typedef struct reader {
    const char *file;
    const char *at, *end;
    attn_error *err;
    int seen; /* HAS_... */
    size_t format;
    int rank;
    size_t dim[ATTN_MAX_RANK];
} reader;

static void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t')) r->at++;
}

static attn_status unexpected(reader *r, const char *wanted)
{
    size_t left = (size_t)(r->end - r->at);
    return attn_fail(r->err, ATTN_BAD_FILE, "%s: header: %s expected, not \"%.*s\"", r->file,
                     wanted, (int)(left < 20 ? left : 20), r->at);
}

/* Takes `c`, after spaces, if it comes next. */
static bool take(reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word)
{
    size_t length = strlen(word);
    skip_space(r);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

/* A quoted text without escapes, as a slice of the header. */
static attn_status read_text(reader *r, const char *what, const char **text, size_t *length)
{
    skip_space(r);
    char quote = r->at < r->end ? *r->at : 0;
    if (quote != '\'' && quote != '"') return unexpected(r, what);
    const char *start = r->at + 1, *c = start;
    while (c < r->end && *c != quote && *c != '\\') c++;
    if (c == r->end || *c == '\\') return unexpected(r, what);
    *text = start;
    *length = (size_t)(c - start);
    r->at = c + 1;
    return ATTN_OK;
}

static attn_status read_descr(reader *r)
{
    const char *text;
    size_t length;
    ATTN_TRY(read_text(r, "a simple dtype", &text, &length));
    for (r->format = 0; r->format < FORMATS; r->format++)
        if (length == 3 && memcmp(formats[r->format].descr, text, 3) == 0) return ATTN_OK;
    return attn_fail(r->err, ATTN_BAD_FILE,
                     "%s: dtype \"%.*s\" is not supported (<f4, <f8, <f2, <i8, <i4, |u1 and |b1 "
                     "are)",
                     r->file, (int)(length < 40 ? length : 40), text);
}

static attn_status read_order(reader *r)
{
    if (take_word(r, "False")) return ATTN_OK;
    if (!take_word(r, "True")) return unexpected(r, "fortran_order True or False");
    return attn_fail(r->err, ATTN_BAD_FILE,
                     "%s: the array is in Fortran order; save numpy.ascontiguousarray(array)",
                     r->file);
}

static attn_status read_size(reader *r, size_t *out)
{
    size_t value = 0;
    skip_space(r);
    if (r->at == r->end || *r->at < '0' || *r->at > '9') return unexpected(r, "a size");
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (!attn_mul(value, 10, &value) || !attn_add(value, (size_t)(*r->at - '0'), &value))
            return attn_fail(r->err, ATTN_BAD_FILE, "%s: shape: a size is too large", r->file);
    *out = value;
    return ATTN_OK;
}

/* (), (3,), (3, 4) or (3, 4,); a comma follows the first of one. */
static attn_status read_shape(reader *r)
{
    if (!take(r, '(')) return unexpected(r, "a shape");
    bool comma = true;
    while (!take(r, ')')) {
        if (!comma) return unexpected(r, "',' or ')'");
        if (r->rank == ATTN_MAX_RANK)
            return attn_fail(r->err, ATTN_LIMIT, "%s: more than %d dimensions", r->file,
                             ATTN_MAX_RANK);
        ATTN_TRY(read_size(r, &r->dim[r->rank++]));
        comma = take(r, ',');
    }
    return r->rank == 1 && !comma ? unexpected(r, "',' in a shape of one size") : ATTN_OK;
}

static attn_status read_header(reader *r)
{
    static const struct {
        const char *name;
        int flag;
        attn_status (*read)(reader *);
    } keys[] = {
        {"descr", HAS_DESCR, read_descr},
        {"fortran_order", HAS_ORDER, read_order},
        {"shape", HAS_SHAPE, read_shape},
    };
    if (!take(r, '{')) return unexpected(r, "'{'");
    bool comma = true;
    while (!take(r, '}')) {
        const char *name;
        size_t length, i = 0;
        if (!comma) return unexpected(r, "',' or '}'");
        ATTN_TRY(read_text(r, "a key", &name, &length));
        while (i < 3 && (strlen(keys[i].name) != length || memcmp(keys[i].name, name, length) != 0))
            i++;
        if (i == 3 || (r->seen & keys[i].flag))
            return attn_fail(r->err, ATTN_BAD_FILE, "%s: header: %s key \"%.*s\"", r->file,
                             i == 3 ? "unknown" : "repeated", (int)(length < 40 ? length : 40),
                             name);
        r->seen |= keys[i].flag;
        if (!take(r, ':')) return unexpected(r, "':'");
        ATTN_TRY(keys[i].read(r));
        comma = take(r, ',');
    }
    for (size_t i = 0; i < 3; i++)
        if (!(r->seen & keys[i].flag))
            return attn_fail(r->err, ATTN_BAD_FILE, "%s: header: no key \"%s\"", r->file,
                             keys[i].name);
    skip_space(r);
    return r->at == r->end ? ATTN_OK : unexpected(r, "the end");
}

/* Finds header and data. */
static attn_status read_prefix(reader *r, const unsigned char *bytes, size_t size)
{
    if (size < 10 || memcmp(bytes, magic, sizeof magic) != 0)
        return attn_fail(r->err, ATTN_BAD_FILE, "%s: not a .npy file", r->file);
    unsigned major = bytes[6], minor = bytes[7];
    if (major < 1 || major > 3 || minor != 0)
        return attn_fail(r->err, ATTN_BAD_FILE, "%s: .npy version %u.%u, only 1.0 to 3.0 are read",
                         r->file, major, minor);
    size_t start = major == 1 ? 10 : 12;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (size >= 12 && major > 1) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (size < start || length > size - start)
        return attn_fail(r->err, ATTN_BAD_FILE,
                         "%s: the header of %zu bytes goes beyond the end of the file at %zu",
                         r->file, length, size);
    r->at = (const char *)bytes + start;
    r->end = r->at + length;
    return read_header(r);
}

/* from: count elements, unaligned. */
static void copy_data(const reader *r, const unsigned char *from, size_t count, void *to)
{
    if (formats[r->format].is_double) {
        float *values = to;
        for (size_t i = 0; i < count; i++) {
            double value;
            memcpy(&value, from + 8 * i, 8);
            values[i] = (float)value;
        }
    } else if (formats[r->format].dtype == ATTN_BOOL) {
        unsigned char *values = to;
        for (size_t i = 0; i < count; i++) values[i] = from[i] != 0;
    } else if (count) {
        memcpy(to, from, count * formats[r->format].size);
    }
}

attn_status attn_npy_parse(attn_tensor *tensor, const char *file, const void *data, size_t size,
                           attn_memory *memory, size_t *bytes_allocated, attn_error *err)
{
    reader r = {.file = file, .err = err};
    attn_shape_text shape;
    size_t count, bytes;
    *tensor = (attn_tensor){0};
    *bytes_allocated = 0;
    ATTN_TRY(read_prefix(&r, data, size));
    if (!attn_product(r.dim, r.rank, &count) || !attn_mul(count, formats[r.format].size, &bytes))
        return attn_fail(err, ATTN_BAD_FILE, "%s: shape %s is too large", file,
                         attn_format_shape(&shape, r.dim, r.rank));
    size_t held = size - (size_t)(r.end - (const char *)data);
    if (bytes != held)
        return attn_fail(
            err, ATTN_BAD_FILE, "%s: %s of shape %s needs %zu bytes, the file holds %zu", file,
            formats[r.format].descr, attn_format_shape(&shape, r.dim, r.rank), bytes, held);
    attn_dtype dtype = formats[r.format].dtype;
    size_t need = count * attn_dtype_size(dtype);
    void *to;
    ATTN_TRY(attn_alloc(memory, need, file, &to, err));
    copy_data(&r, (const unsigned char *)r.end, count, to);
    *tensor = (attn_tensor){.dtype = dtype, .rank = r.rank, .data = to};
    memcpy(tensor->dim, r.dim, sizeof r.dim);
    *bytes_allocated = need;
    return ATTN_OK;
}

attn_status attn_npy_read(attn_tensor *tensor, const char *path, attn_memory *memory,
                          size_t *bytes_allocated, attn_error *err)
{
    attn_file file;
    *tensor = (attn_tensor){0};
    *bytes_allocated = 0;
    ATTN_TRY(attn_file_map(&file, path, err));
    attn_status status =
        attn_npy_parse(tensor, path, file.data, file.size, memory, bytes_allocated, err);
    attn_file_unmap(&file);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------- */

/* The whole prefix, a multiple of 64 bytes as NumPy writes it; its length. */
static size_t format_prefix(char out[512], const char *descr, const attn_tensor *tensor)
{
    char shape[ATTN_MAX_RANK * 24 + 4];
    size_t used = 0;
    shape[0] = 0;
    for (int i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, i ? ", %zu" : "%zu",
                                 tensor->dim[i]);
    int text = snprintf(out + 10, 502, "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                        descr, shape, tensor->rank == 1 ? "," : "");
    size_t total = (10 + (size_t)text + 1 + 63) / 64 * 64;
    memset(out + 10 + text, ' ', total - 10 - (size_t)text - 1);
    out[total - 1] = '\n';
    memcpy(out, magic, sizeof magic);
    out[6] = 1;
    out[7] = 0;
    out[8] = (char)((total - 10) & 0xff);
    out[9] = (char)((total - 10) >> 8);
    return total;
}

attn_status attn_npy_write(const char *path, const attn_tensor *tensor, attn_error *err)
{
    size_t i = 0, count, bytes;
    while (i < FORMATS && (formats[i].dtype != tensor->dtype || formats[i].is_double)) i++;
    if (i == FORMATS)
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%s: NumPy has no dtype %s", path,
                         attn_dtype_name(tensor->dtype));
    if (tensor->rank < 0 || tensor->rank > ATTN_MAX_RANK ||
        !attn_product(tensor->dim, tensor->rank, &count) ||
        !attn_mul(count, formats[i].size, &bytes))
        return attn_fail(err, ATTN_BAD_ARGUMENT, "%s: the tensor's shape is not valid", path);
    char prefix[512];
    size_t length = format_prefix(prefix, formats[i].descr, tensor);
    FILE *file = fopen(path, "wb");
    if (!file) return attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    errno = 0;
    bool done = fwrite(prefix, 1, length, file) == length &&
                (bytes == 0 || fwrite(tensor->data, 1, bytes, file) == bytes);
    int reason = errno;
    if (fclose(file) != 0) {
        reason = done ? errno : reason;
        done = false;
    }
    if (done) return ATTN_OK;
    if (attn_file_exists(path)) remove(path); /* not a device */
    return attn_fail(err, ATTN_IO, "%s: %s", path, reason ? strerror(reason) : "cannot be written");
}
