#define _GNU_SOURCE /* memmem, clock_gettime */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "runtime/inputs/tokenizer/pattern.h"

#include <pcre2.h>
#include <string.h>
#include <time.h>

enum {
    HEAP_LIMIT = 64 * 1024, /* KB of memory for one match */
    STACK_LIMIT = 8 << 20,  /* bytes for one compiled match */
};

attn_status attn_pattern_init(attn_pattern *p, const char *text, bool literal, const char *file,
                              const char *where, attn_arena *arena, attn_error *err)
{
    *p = (attn_pattern){.length = strlen(text)};
    if (p->length > ATTN_PATTERN_MAX)
        return attn_fail(err, ATTN_LIMIT, "%s: %s: a pattern of %zu bytes, at most %d", file, where,
                         p->length, ATTN_PATTERN_MAX);
    p->literal = attn_arena_text(arena, text, p->length, err);
    if (!p->literal) return ATTN_NO_MEMORY;
    if (literal && p->length) return ATTN_OK;
    const char *translated = attn_pattern_translate(text, file, where, arena, err);
    if (!translated) return ATTN_BAD_FILE;
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return attn_fail(err, ATTN_NO_MEMORY, "out of memory: a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    p->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C |
                                PCRE2_USE_OFFSET_LIMIT,
                            &code, &at, context);
    pcre2_compile_context_free(context);
    if (!p->code) {
        PCRE2_UCHAR text_of[128];
        pcre2_get_error_message(code, text_of, sizeof text_of);
        return attn_fail(err, ATTN_BAD_FILE, "%s: %s: the pattern \"%.100s\": %s", file, where,
                         text, (const char *)text_of);
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without it, matching is slower */
    return ATTN_OK;
}

void attn_pattern_free(attn_pattern *p)
{
    pcre2_code_free(p->code);
    p->code = NULL;
}

/* ---- limits ------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void attn_matcher_begin(attn_matcher *m, size_t length)
{
    m->deadline = now() + 4 + 10e-6 * (double)length;
    m->calls = 0;
}

void attn_matcher_free(attn_matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    *m = (attn_matcher){0};
}

static attn_status prepare(attn_matcher *m, size_t length, attn_error *err)
{
    if (!m->data) m->data = pcre2_match_data_create(1, NULL);
    if (!m->context) m->context = pcre2_match_context_create(NULL);
    if (!m->data || !m->context)
        return attn_fail(err, ATTN_NO_MEMORY, "out of memory: matching a pattern");
    if (!m->stack) m->stack = pcre2_jit_stack_create(32 * 1024, STACK_LIMIT, NULL);
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    uint32_t limit = length > 100000000 ? UINT32_MAX : (uint32_t)(1000000 + 16 * length);
    pcre2_set_match_limit(m->context, limit);
    pcre2_set_depth_limit(m->context, limit);
    pcre2_set_heap_limit(m->context, HEAP_LIMIT);
    return ATTN_OK;
}

/* ---- matching ----------------------------------------------------------------------------- */

attn_search attn_search_begin(const attn_pattern *p, attn_matcher *m, const char *text,
                              size_t length)
{
    return (attn_search){p, m, text, length, 0, SIZE_MAX, {0, 0}};
}

static attn_status refuse(const attn_search *s, const char *why, attn_error *err)
{
    return attn_fail(err, ATTN_LIMIT, "the pattern \"%.100s\" cannot be matched in %zu bytes: %s",
                     s->pattern->literal, s->length, why);
}

/* Matches that begin in [at, at + window]: the cost of one call stays bounded, and the clock is
 * looked at in between. */
static attn_status match_from(attn_search *s, size_t at, size_t *first, size_t *end, bool *found,
                              attn_error *err)
{
    attn_matcher *m = s->matcher;
    size_t window = ((size_t)1 << 30) / (s->length - at + 1);
    if (window < 64) window = 64;
    for (;;) {
        size_t last = s->length - at > window ? at + window : s->length;
        while (last < s->length && (s->text[last] & 0xc0) == 0x80) last++;
        pcre2_set_offset_limit(m->context, last);
        if ((++m->calls & 255) == 0 || last < s->length)
            if (now() > m->deadline) return refuse(s, "it takes too long", err);
        int code = pcre2_match(s->pattern->code, (PCRE2_SPTR)s->text, s->length, at,
                               PCRE2_NO_UTF_CHECK, m->data, m->context);
        if (code >= 0) {
            const PCRE2_SIZE *place = pcre2_get_ovector_pointer(m->data);
            *first = place[0];
            *end = place[1];
            *found = place[0] <= place[1];
            return ATTN_OK;
        }
        if (code != PCRE2_ERROR_NOMATCH) {
            PCRE2_UCHAR text[128];
            pcre2_get_error_message(code, text, sizeof text);
            return refuse(s, (const char *)text, err);
        }
        if (last == s->length) {
            *found = false;
            return ATTN_OK;
        }
        at = last + 1;
        while (at < s->length && (s->text[at] & 0xc0) == 0x80) at++;
    }
}

static attn_status find_from(attn_search *s, size_t at, size_t *first, size_t *end, bool *found,
                             attn_error *err)
{
    if (s->pattern->code) return match_from(s, at, first, end, found, err);
    const char *place =
        memmem(s->text + at, s->length - at, s->pattern->literal, s->pattern->length);
    *found = place != NULL;
    if (place) {
        *first = (size_t)(place - s->text);
        *end = *first + s->pattern->length;
    }
    return ATTN_OK;
}

attn_status attn_search_next(attn_search *s, bool *found, attn_error *err)
{
    if (s->at == 0 && s->last_end == SIZE_MAX && s->pattern->code)
        ATTN_TRY(prepare(s->matcher, s->length, err));
    for (;;) {
        size_t first = 0, end = 0;
        *found = false;
        if (s->at > s->length) return ATTN_OK;
        ATTN_TRY(find_from(s, s->at, &first, &end, found, err));
        if (!*found) return ATTN_OK;
        if (first == end && s->last_end == end) {
            for (s->at++; s->at < s->length && (s->text[s->at] & 0xc0) == 0x80;) s->at++;
            continue;
        }
        s->at = s->last_end = end;
        s->match = (attn_range){(uint32_t)first, (uint32_t)end};
        return ATTN_OK;
    }
}
