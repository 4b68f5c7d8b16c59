/* Members of tokenizer.json's objects, with messages that name file and place. */
#ifndef ATTN_TOKENIZER_READER_H
#define ATTN_TOKENIZER_READER_H

#include "runtime/inputs/tokenizer/pattern.h"
#include "runtime/json.h"

/* An object of the file being read: "FILE: normalizer.normalizers[2]: ...". */
typedef struct attn_place {
    const char *file;
    char name[160];
    const cJSON *object;
} attn_place;

attn_status attn_place_fail(const attn_place *p, attn_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The member `key`, or its entry `index` if index >= 0, as a place of its own. */
attn_place attn_place_at(const attn_place *p, const char *key, const cJSON *object, int index);

/* The "type" of a normalizer or the like; of a "Sequence", *list is what it has under `key`,
 * otherwise NULL. */
attn_status attn_place_component(const attn_place *p, const char *key, const char **type,
                                 const cJSON **list, attn_error *err);

/* Required: an error if absent. The optional ones leave *out as it is when absent or null. */
attn_status attn_place_flag(const attn_place *p, const char *key, bool needed, bool *out,
                            attn_error *err);
attn_status attn_place_text(const attn_place *p, const char *key, bool needed, const char **out,
                            attn_error *err);
attn_status attn_place_size(const attn_place *p, const char *key, bool needed, double min,
                            double max, size_t *out, attn_error *err);
/* One character. */
attn_status attn_place_char(const attn_place *p, const char *key, uint32_t *out, attn_error *err);
/* One of `names` (ended by NULL); *out is its index. */
attn_status attn_place_choice(const attn_place *p, const char *key, bool needed,
                              const char *const *names, int *out, attn_error *err);
/* A token and its id: ["[SEP]", 102]. */
attn_status attn_place_pair(const attn_place *p, const char *key, const char **token, int32_t *id,
                            attn_error *err);
/* {"String": "x"} or {"Regex": "x"}, kept in the list of patterns to free. */
attn_status attn_place_pattern(const attn_place *p, const char *key, attn_pattern **list,
                               const attn_pattern **out, attn_arena *arena, attn_error *err);

#endif
