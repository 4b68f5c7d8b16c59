/* preprocessor_config.json -> attn_preprocess. */
#include "runtime/inputs/preprocess.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = 1 << 20 };

typedef enum family { PLAIN, CONVNEXT, LEVIT } family;

/* Class defaults of transformers 5.23. mean and std of STANDARD are 0.5. */
typedef enum statistics { STANDARD, IMAGENET, OPENAI } statistics;

static const struct processor {
    const char *name;
    family family;
    attn_filter resample;
    statistics statistics;
    bool square;       /* an integer size means a square, not the shorter side */
    size_t size, crop; /* size: exact, or the shortest edge; crop 0: no default */
    bool exact, do_crop, can_pad;
} processors[] = {
    {"ViT", PLAIN, ATTN_FILTER_BILINEAR, STANDARD, true, 224, 0, true, false, true},
    {"DeiT", PLAIN, ATTN_FILTER_BICUBIC, STANDARD, true, 256, 224, true, true, true},
    {"CLIP", PLAIN, ATTN_FILTER_BICUBIC, OPENAI, false, 224, 224, false, true, true},
    {"Bit", PLAIN, ATTN_FILTER_BICUBIC, OPENAI, false, 224, 224, false, true, true},
    {"ConvNext", CONVNEXT, ATTN_FILTER_BICUBIC, STANDARD, false, 384, 0, false, false, false},
    {"Levit", LEVIT, ATTN_FILTER_BICUBIC, IMAGENET, false, 224, 224, false, true, true},
    {"Siglip", PLAIN, ATTN_FILTER_BICUBIC, STANDARD, false, 224, 0, true, false, true},
    {"Beit", PLAIN, ATTN_FILTER_BICUBIC, STANDARD, true, 224, 224, true, false, false},
    {"Segformer", PLAIN, ATTN_FILTER_BILINEAR, IMAGENET, true, 512, 0, true, false, false},
};

static const struct {
    float mean[3], std[3];
} known_statistics[] = {
    [STANDARD] = {{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}},
    [IMAGENET] = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
    [OPENAI] = {{0.48145466f, 0.4578275f, 0.40821073f}, {0.26862954f, 0.26130258f, 0.27577711f}},
};

/* Keys that are read, and keys that change nothing for one RGB photo: names and bookkeeping, what
 * form tensors are returned in, what is done to the label maps of training. */
static const char *const known_keys[] = {
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "crop_pct",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    "do_pad",
    "pad_size",
    "default_to_square",
    "image_processor_type",
    "feature_extractor_type",
    /* without effect */
    "do_convert_rgb",
    "processor_class",
    "_processor_class",
    "auto_map",
    "_valid_processor_keys",
    "_valid_kwargs_names",
    "model_input_names",
    "data_format",
    "input_data_format",
    "return_tensors",
    "device",
    "disable_grouping",
    "image_seq_length",
    "do_reduce_labels",
    "reduce_labels",
    "name_or_path",
    "_name_or_path",
    "_commit_hash",
    "transformers_version",
};

typedef struct reader {
    const char *file;
    const cJSON *root;
    attn_error *err;
    const struct processor *processor; /* NULL: unknown */
    const char *type;                  /* as the file names it; NULL: not at all */
} reader;

/* null counts as not given, as in transformers. */
static const cJSON *get(const reader *r, const char *key)
{
    const cJSON *item = attn_json_get(r->root, key);
    return cJSON_IsNull(item) ? NULL : item;
}

static attn_status wrong(const reader *r, const char *key, const cJSON *item, const char *want)
{
    attn_json_text shown;
    return attn_fail(r->err, ATTN_BAD_FILE, "%s: \"%s\" is %s, %s is wanted", r->file, key,
                     attn_json_show(&shown, item), want);
}

static attn_status missing(const reader *r, const char *key)
{
    return attn_fail(r->err, ATTN_BAD_FILE,
                     "%s: \"%s\" is not given, and the image processor %s has no known default",
                     r->file, key, r->type ? r->type : "(none named)");
}

static attn_status read_flag(const reader *r, const char *key, bool fallback, bool required,
                             bool *out)
{
    const cJSON *item = get(r, key);
    *out = item ? cJSON_IsTrue(item) : fallback;
    if (item && !cJSON_IsBool(item)) return wrong(r, key, item, "true or false");
    return !item && required ? missing(r, key) : ATTN_OK;
}

static attn_status read_side(const reader *r, const char *key, const cJSON *item, size_t *out)
{
    double value;
    if (!attn_json_integer(item, 1, MAX_SIDE, &value))
        return wrong(r, key, item, "a whole number from 1 to 1048576");
    *out = (size_t)value;
    return ATTN_OK;
}

/* An integer (a square), [height, width] or {"height", "width"}. */
static attn_status read_square(const reader *r, const char *key, size_t *height, size_t *width)
{
    const cJSON *item = get(r, key), *h = item, *w = item;
    if (!item) return missing(r, key);
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2) {
        h = item->child;
        w = h->next;
    } else if (cJSON_IsObject(item)) {
        h = attn_json_get(item, "height");
        w = attn_json_get(item, "width");
        if (!h || !w || cJSON_GetArraySize(item) != 2)
            return wrong(r, key, item, "one with height and width alone");
    } else if (!cJSON_IsNumber(item)) {
        return wrong(r, key, item, "a number or an object with height and width");
    }
    ATTN_TRY(read_side(r, key, h, height));
    return read_side(r, key, w, width);
}

static attn_status read_size_object(const reader *r, const cJSON *item, attn_preprocess *p)
{
    static const struct {
        const char *first, *second;
        attn_size_rule rule;
    } forms[] = {
        {"height", "width", ATTN_SIZE_EXACT},
        {"shortest_edge", "longest_edge", ATTN_SIZE_LONGEST},
        {"shortest_edge", NULL, ATTN_SIZE_SHORTEST},
        {"max_height", "max_width", ATTN_SIZE_WITHIN},
    };
    int given = 0;
    for (const cJSON *entry = item->child; entry; entry = entry->next)
        given += !cJSON_IsNull(entry);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const cJSON *first = attn_json_get(item, forms[i].first);
        const cJSON *second = forms[i].second ? attn_json_get(item, forms[i].second) : NULL;
        if (!first || cJSON_IsNull(first) || cJSON_IsNull(second)) continue;
        if (given != (forms[i].second ? 2 : 1) || !second != !forms[i].second) continue;
        bool edge = forms[i].rule == ATTN_SIZE_SHORTEST || forms[i].rule == ATTN_SIZE_LONGEST;
        p->rule = forms[i].rule;
        ATTN_TRY(read_side(r, forms[i].first, first, edge ? &p->shortest : &p->height));
        return second ? read_side(r, forms[i].second, second, edge ? &p->longest : &p->width)
                      : ATTN_OK;
    }
    return attn_fail(r->err, ATTN_BAD_FILE,
                     "%s: \"size\" has unknown keys: height and width, shortest_edge, "
                     "shortest_edge and longest_edge, or max_height and max_width are known",
                     r->file);
}

static attn_status read_size(const reader *r, attn_preprocess *p)
{
    const cJSON *item = get(r, "size");
    bool square = r->processor && r->processor->square;
    ATTN_TRY(read_flag(r, "default_to_square", square,
                       !r->processor && item && cJSON_IsNumber(item), &square));
    if (!item) {
        if (!r->processor) return missing(r, "size");
        p->rule = r->processor->exact ? ATTN_SIZE_EXACT : ATTN_SIZE_SHORTEST;
        p->height = p->width = p->shortest = r->processor->size;
        return ATTN_OK;
    }
    if (cJSON_IsObject(item)) return read_size_object(r, item, p);
    p->rule = ATTN_SIZE_EXACT;
    if (!cJSON_IsNumber(item) || square) return read_square(r, "size", &p->height, &p->width);
    p->rule = ATTN_SIZE_SHORTEST;
    return read_side(r, "size", item, &p->shortest);
}

static attn_status read_resample(const reader *r, attn_preprocess *p)
{
    const cJSON *item = get(r, "resample");
    double value = r->processor ? (double)r->processor->resample : 0;
    if (!item && !r->processor) return missing(r, "resample");
    if (item && !attn_json_integer(item, 0, ATTN_FILTER_COUNT - 1, &value))
        return wrong(r, "resample", item,
                     "0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box or 5 Hamming");
    p->resample = (attn_filter)(int)value;
    return ATTN_OK;
}

/* ConvNext: below 384 the short side becomes size / crop_pct, then a crop; else squashed. LeViT:
 * the short side becomes size * 256 / 224. */
static attn_status adapt_size(const reader *r, attn_preprocess *p)
{
    const cJSON *item = get(r, "crop_pct");
    if (!r->processor || r->processor->family != CONVNEXT) {
        if (item)
            return attn_fail(r->err, ATTN_BAD_FILE,
                             "%s: \"crop_pct\" is known for ConvNextImageProcessor alone, not for "
                             "%s",
                             r->file, r->type ? r->type : "a file that names none");
        if (r->processor && r->processor->family == LEVIT && p->rule == ATTN_SIZE_SHORTEST)
            p->shortest = (size_t)(256.0 / 224.0 * (double)p->shortest);
        return ATTN_OK;
    }
    if (item && (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.01 && item->valuedouble <= 1)))
        return wrong(r, "crop_pct", item, "a number from 0.01 to 1");
    if (p->rule != ATTN_SIZE_SHORTEST || p->do_center_crop)
        return attn_fail(r->err, ATTN_BAD_FILE,
                         "%s: ConvNextImageProcessor takes a \"size\" of shortest_edge alone and "
                         "no do_center_crop",
                         r->file);
    size_t edge = p->shortest;
    if (edge >= 384) {
        p->rule = ATTN_SIZE_EXACT;
        p->height = p->width = edge;
        return ATTN_OK;
    }
    p->shortest = (size_t)((double)edge / (item ? item->valuedouble : 224.0 / 256.0));
    p->do_center_crop = true;
    p->crop_height = p->crop_width = edge;
    return ATTN_OK;
}

/* One number, or one per channel. */
static attn_status read_statistics(const reader *r, const char *key, const float *fallback,
                                   bool positive, float out[3])
{
    const cJSON *item = get(r, key);
    if (!item && !fallback) return missing(r, key);
    const cJSON *entry = cJSON_IsArray(item) ? item->child : item;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) != 3)
        return wrong(r, key, item, "a number or a list of 3 numbers");
    for (int c = 0; c < 3; c++) {
        if (!item) {
            out[c] = fallback[c];
            continue;
        }
        if (!cJSON_IsNumber(entry)) return wrong(r, key, item, "a number or a list of 3 numbers");
        out[c] = (float)entry->valuedouble;
        if (!isfinite(out[c]) || (positive && !(out[c] > 0)))
            return wrong(r, key, entry, positive ? "a positive number" : "a finite number");
        if (cJSON_IsArray(item)) entry = entry->next;
    }
    return ATTN_OK;
}

/* "ViTFeatureExtractor", "ViTImageProcessorFast" ... are all "ViT". */
static attn_status find_processor(reader *r)
{
    const cJSON *item = get(r, "image_processor_type");
    const char *key = "image_processor_type";
    if (!item) {
        key = "feature_extractor_type";
        item = get(r, key);
    }
    if (!item) return ATTN_OK;
    if (!cJSON_IsString(item)) return wrong(r, key, item, "the name of an image processor");
    r->type = item->valuestring;
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        size_t length = strlen(processors[i].name);
        if (strncmp(r->type, processors[i].name, length) != 0) continue;
        const char *rest = r->type + length;
        if (strcmp(rest, "ImageProcessor") == 0 || strcmp(rest, "ImageProcessorFast") == 0 ||
            strcmp(rest, "ImageProcessorPil") == 0 || strcmp(rest, "FeatureExtractor") == 0)
            r->processor = &processors[i];
    }
    return ATTN_OK;
}

static attn_status check_keys(const reader *r)
{
    for (const cJSON *item = r->root->child; item; item = item->next) {
        bool known = cJSON_IsNull(item) || cJSON_IsFalse(item);
        for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys && !known; i++)
            known = strcmp(item->string, known_keys[i]) == 0;
        attn_json_text shown;
        if (!known)
            return attn_fail(r->err, ATTN_BAD_FILE,
                             "%s: the key \"%.80s\" (%s) is not known, and might change the result",
                             r->file, item->string, attn_json_show(&shown, item));
    }
    return ATTN_OK;
}

static attn_status read_geometry(const reader *r, attn_preprocess *p)
{
    const struct processor *known = r->processor;
    ATTN_TRY(read_flag(r, "do_resize", true, !known, &p->do_resize));
    ATTN_TRY(read_flag(r, "do_center_crop", known && known->do_crop, !known && get(r, "crop_size"),
                       &p->do_center_crop));
    ATTN_TRY(read_flag(r, "do_pad", false, !known && get(r, "pad_size"), &p->do_pad));
    if (p->do_resize) {
        ATTN_TRY(read_size(r, p));
        ATTN_TRY(read_resample(r, p));
        ATTN_TRY(adapt_size(r, p));
    }
    if (p->do_center_crop && !p->crop_height) {
        p->crop_height = p->crop_width = known ? known->crop : 0;
        if (get(r, "crop_size") || !p->crop_height)
            ATTN_TRY(read_square(r, "crop_size", &p->crop_height, &p->crop_width));
    }
    if (!p->do_pad) return ATTN_OK;
    if (known && !known->can_pad)
        return attn_fail(r->err, ATTN_BAD_FILE, "%s: \"do_pad\" has no effect in %s", r->file,
                         r->type);
    if (!get(r, "pad_size")) p->do_pad = false; /* to the largest of the batch: of one image */
    return p->do_pad ? read_square(r, "pad_size", &p->pad_height, &p->pad_width) : ATTN_OK;
}

attn_status attn_preprocess_parse(attn_preprocess *p, const char *file, const cJSON *root,
                                  attn_error *err)
{
    reader r = {.file = file, .root = root, .err = err};
    *p = (attn_preprocess){.rescale_factor = 1.0 / 255.0};
    if (!cJSON_IsObject(root))
        return attn_fail(err, ATTN_BAD_FILE, "%s: holds %s, an object is wanted", file,
                         attn_json_kind(root));
    ATTN_TRY(find_processor(&r));
    ATTN_TRY(check_keys(&r));
    ATTN_TRY(read_geometry(&r, p));
    bool unknown = !r.processor;
    ATTN_TRY(read_flag(&r, "do_rescale", true, unknown, &p->do_rescale));
    ATTN_TRY(read_flag(&r, "do_normalize", true, unknown, &p->do_normalize));
    const cJSON *factor = get(&r, "rescale_factor");
    if (p->do_rescale && factor) {
        if (!cJSON_IsNumber(factor)) return wrong(&r, "rescale_factor", factor, "a number");
        p->rescale_factor = factor->valuedouble;
    }
    if (p->do_rescale && !factor && unknown) return missing(&r, "rescale_factor");
    if (!p->do_normalize) return ATTN_OK;
    statistics kind = unknown ? STANDARD : r.processor->statistics;
    ATTN_TRY(read_statistics(&r, "image_mean", unknown ? NULL : known_statistics[kind].mean, false,
                             p->mean));
    return read_statistics(&r, "image_std", unknown ? NULL : known_statistics[kind].std, true,
                           p->std);
}
