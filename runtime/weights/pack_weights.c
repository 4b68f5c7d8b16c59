/* The weight file of `attn pack`: what each tensor becomes, where it lies, the header. */
#include "runtime/json.h"
#include "runtime/weights/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what each tensor becomes --------------------------------------------------------------- */

static attn_pack_form form_of(attn_precision precision)
{
    static const attn_pack_form forms[] = {
        [ATTN_IN_F32] = ATTN_PACK_F32,   [ATTN_IN_BF16] = ATTN_PACK_BF16,
        [ATTN_IN_F16] = ATTN_PACK_F16,   [ATTN_IN_INT8] = ATTN_PACK_INT8,
        [ATTN_IN_INT4] = ATTN_PACK_INT4,
    };
    return forms[precision];
}

/* A matrix that is nothing else: every use has the precision's type and the same outputs. */
static bool is_matrix(const attn_model *m, const attn_pack_tensor *t, bool *transposed)
{
    size_t uses = 0;
    for (size_t i = 0; i < m->params.count; i++) {
        const attn_param *p = m->params.param[i];
        if (p->source != t->source) continue;
        if (!p->any_type || p->type != attn_params_type(m->precision)) return false;
        if (p->k != (p->k_is_row ? t->rows : t->columns)) return false;
        if (uses++ && p->k_is_row != *transposed) return false;
        *transposed = p->k_is_row;
    }
    return uses != 0;
}

/* What is quantised with its scales is copied as it is where nothing is asked for. */
static bool is_kept(const attn_model *m, const attn_weight *w)
{
    return m->precision == ATTN_AS_FILE && w->integers && w->integers->bits == 8;
}

static void choose_form(const attn_model *m, attn_pack_tensor *t)
{
    const attn_weight *w = t->source;
    t->rows = w->rank ? w->dim[0] : 1;
    t->columns = 1;
    for (int i = 1; i < w->rank; i++) t->columns *= w->dim[i]; /* no more than the file has */
    t->form = is_matrix(m, t, &t->transposed) ? form_of(m->precision)
              : w->integers && !is_kept(m, w) ? ATTN_PACK_F32
                                              : ATTN_PACK_COPY;
}

/* ---- where it lies -------------------------------------------------------------------------- */

/* A tensor of the new file: a weight, or its scales or shape. */
typedef struct part {
    const attn_pack_tensor *t;
    size_t *offset; /* of t */
    const char *suffix, *dtype;
    size_t element, bytes;
    int rank;
    size_t dim[ATTN_MAX_RANK];
} part;

static part *add_part(part *list, size_t *count, const attn_pack_tensor *t, size_t *offset,
                      const char *suffix, const char *dtype, size_t element)
{
    part *p = &list[(*count)++];
    *p = (part){.t = t, .offset = offset, .suffix = suffix, .dtype = dtype, .element = element};
    p->rank = t->source->rank;
    memcpy(p->dim, t->source->dim, sizeof p->dim);
    return p;
}

static size_t parts_of(size_t count, size_t each)
{
    return count / each + (count % each != 0);
}

/* [out, in / each], or [in / each, out] */
static void set_grouped(part *p, size_t each)
{
    p->rank = 2;
    p->dim[0] = p->t->transposed ? parts_of(p->t->rows, each) : p->t->rows;
    p->dim[1] = p->t->transposed ? p->t->columns : parts_of(p->t->columns, each);
}

static void add_parts(part *list, size_t *count, attn_pack_tensor *t)
{
    static const char *const names[] = {
        [ATTN_F32] = "F32", [ATTN_F16] = "F16", [ATTN_BF16] = "BF16", [ATTN_I64] = "I64",
        [ATTN_I32] = "I32", [ATTN_U8] = "U8",   [ATTN_BOOL] = "BOOL"};
    const attn_weight *w = t->source;
    part *scale, *data;
    switch (t->form) {
    case ATTN_PACK_COPY:
        data = add_part(list, count, t, &t->data, "",
                        w->integers      ? "I8"
                        : w->unsupported ? w->unsupported
                                         : names[w->dtype],
                        w->unsupported ? 1 : attn_dtype_size(w->dtype));
        data->bytes = w->bytes;
        return;
    case ATTN_PACK_F32:
        add_part(list, count, t, &t->data, "", "F32", 4);
        return;
    case ATTN_PACK_BF16:
    case ATTN_PACK_F16:
        add_part(list, count, t, &t->data, "", t->form == ATTN_PACK_F16 ? "F16" : "BF16", 2);
        return;
    case ATTN_PACK_INT8:
        add_part(list, count, t, &t->data, "", "I8", 1);
        scale = add_part(list, count, t, &t->scale, "_scale", "F32", 4);
        for (int i = 0; i < scale->rank; i++)
            if ((i > 0) != t->transposed) scale->dim[i] = 1;
        return;
    case ATTN_PACK_INT4:
        set_grouped(add_part(list, count, t, &t->data, "", "U8", 1), 2);
        set_grouped(add_part(list, count, t, &t->scale, "_scale", "BF16", 2), ATTN_I4_GROUP);
        scale = add_part(list, count, t, &t->shape, "_shape", "I64", 8);
        scale->dim[0] = (size_t)scale->rank;
        scale->rank = 1;
        return;
    }
}

/* Large elements first, so that all are aligned; then as they lie in the source. */
static int compare_parts(const void *left, const void *right)
{
    const part *a = left, *b = right;
    const char *p = a->t->source->data, *q = b->t->source->data;
    if (a->element != b->element) return a->element > b->element ? -1 : 1;
    if (p != q) return p < q ? -1 : 1;
    int names = strcmp(a->t->source->name, b->t->source->name);
    return names ? names : strcmp(a->suffix, b->suffix);
}

static attn_status place(part *list, size_t count, size_t *end, attn_error *err)
{
    qsort(list, count, sizeof *list, compare_parts);
    *end = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        bool fits = attn_product(list[i].dim, list[i].rank, &bytes) &&
                    attn_mul(bytes, list[i].element, &bytes);
        if (list[i].t->form == ATTN_PACK_COPY) bytes = list[i].bytes;
        list[i].bytes = bytes;
        *list[i].offset = *end;
        if (!fits || !attn_add(*end, bytes, end))
            return attn_fail(err, ATTN_LIMIT, "the packed weights are more than can exist");
    }
    return ATTN_OK;
}

/* ---- the header ----------------------------------------------------------------------------- */

/* NULL: out of memory. */
static cJSON *part_json(const part *p)
{
    const double offsets[] = {(double)*p->offset, (double)(*p->offset + p->bytes)};
    double dim[ATTN_MAX_RANK];
    for (int i = 0; i < p->rank; i++) dim[i] = (double)p->dim[i];
    cJSON *item = cJSON_CreateObject(), *shape = cJSON_CreateDoubleArray(dim, p->rank);
    cJSON *place = cJSON_CreateDoubleArray(offsets, 2);
    bool added = cJSON_AddStringToObject(item, "dtype", p->dtype) != NULL;
    if (cJSON_AddItemToObject(item, "shape", shape))
        shape = NULL;
    else
        added = false;
    if (cJSON_AddItemToObject(item, "data_offsets", place))
        place = NULL;
    else
        added = false;
    if (added) return item;
    cJSON_Delete(item);
    cJSON_Delete(shape);
    cJSON_Delete(place);
    return NULL;
}

static bool add_metadata(cJSON *root, attn_precision precision)
{
    cJSON *metadata = cJSON_AddObjectToObject(root, "__metadata__");
    return cJSON_AddStringToObject(metadata, "format", "pt") &&
           (precision == ATTN_IN_F32 || precision == ATTN_AS_FILE ||
            cJSON_AddStringToObject(metadata, "attn.dtype", attn_precision_name(precision)));
}

/* Another tensor that will be written has this name. */
static bool is_taken(const attn_model *m, const char *name, const attn_weight *owner)
{
    const attn_weight *w = attn_weights_find(&m->weights, name);
    return w && !(owner->integers && w->part_of && strcmp(w->part_of, owner->name) == 0);
}

/* The JSON of the header, which the caller frees by cJSON_free; NULL with err filled. */
static char *header_json(const attn_model *m, const part *list, size_t count, attn_error *err)
{
    char name[700];
    cJSON *root = cJSON_CreateObject();
    bool whole = add_metadata(root, m->precision);
    for (size_t i = 0; i < count && whole; i++) {
        const char *base = list[i].t->source->name, *suffix = list[i].suffix;
        if (*suffix && (snprintf(name, sizeof name, "%s%s", base, suffix) >= (int)sizeof name ||
                        is_taken(m, name, list[i].t->source))) {
            attn_fail(err, ATTN_BAD_MODEL,
                      "%s: tensor \"%.200s\": its name with \"%s\" appended is taken, or too long",
                      list[i].t->source->file, base, suffix);
            cJSON_Delete(root);
            return NULL;
        }
        cJSON *item = part_json(&list[i]);
        whole = cJSON_AddItemToObject(root, *suffix ? name : base, item);
        if (!whole) cJSON_Delete(item);
    }
    char *json = whole ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    if (!json) attn_fail(err, ATTN_NO_MEMORY, "out of memory for the header");
    return json;
}

/* *text: the header, padded to a multiple of 8, in the arena. */
static attn_status make_header(attn_model *m, const part *list, size_t count, char **text,
                               size_t *size, attn_error *err)
{
    attn_error inner;
    char *json = header_json(m, list, count, err ? err : &inner);
    if (!json) return err ? err->status : inner.status;
    *size = (strlen(json) + 7) / 8 * 8;
    *text = attn_arena_get(&m->arena, *size, 1, err);
    if (*text) {
        memset(*text, ' ', *size);
        memcpy(*text, json, strlen(json));
    }
    cJSON_free(json);
    return *text ? ATTN_OK : ATTN_NO_MEMORY;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int compare_sources(const void *a, const void *b)
{
    const char *p = ((const attn_pack_tensor *)a)->source->data;
    const char *q = ((const attn_pack_tensor *)b)->source->data;
    return (p > q) - (p < q);
}

attn_status attn_pack_weights(attn_model *m, const attn_output_file *out, attn_pack_report *report,
                              attn_error *err)
{
    attn_pack_tensor *tensor = attn_arena_get(&m->arena, m->weights.count, sizeof *tensor, err);
    part *list = tensor ? attn_arena_get(&m->arena, 3 * m->weights.count, sizeof *list, err) : NULL;
    size_t count = 0, end, size;
    char *header;
    if (!list) return ATTN_NO_MEMORY;
    for (size_t i = 0; i < m->weights.count; i++) {
        const attn_weight *w = &m->weights.list[i];
        const attn_weight *owner = w->part_of ? attn_weights_find(&m->weights, w->part_of) : NULL;
        if (owner && owner->integers && !is_kept(m, owner))
            continue; /* written with it, where it stays quantised */
        tensor[report->tensors++].source = w;
    }
    qsort(tensor, report->tensors, sizeof *tensor, compare_sources);
    for (size_t i = 0; i < report->tensors; i++) {
        choose_form(m, &tensor[i]);
        report->packed += m->precision && tensor[i].form == form_of(m->precision);
        add_parts(list, &count, &tensor[i]);
    }
    ATTN_TRY(place(list, count, &end, err));
    ATTN_TRY(make_header(m, list, count, &header, &size, err));
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)size >> (8 * i));
    ATTN_TRY(attn_write_at(out, 0, length, sizeof length, err));
    ATTN_TRY(attn_write_at(out, sizeof length, header, size, err));
    for (size_t i = 0; i < report->tensors; i++) {
        tensor[i].data += sizeof length + size;
        tensor[i].scale += sizeof length + size;
        tensor[i].shape += sizeof length + size;
        ATTN_TRY(attn_pack_write(&tensor[i], out, &m->memory, err));
    }
    report->bytes = sizeof length + size + end;
    return ATTN_OK;
}
