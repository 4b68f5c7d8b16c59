#include "layers/score/relative.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_BUCKETS = 1 << 20, MAX_LENGTH = 1 << 20 };

attn_status attn_relative_parse(attn_reader *r, attn_relative *p)
{
    static const char *const kinds[] = {"t5", "log", "clip", NULL};
    p->bidirectional = true;
    ATTN_TRY(attn_need_word(r, "kind", kinds, &p->kind));
    ATTN_TRY(attn_need_size(r, "buckets", 1, MAX_BUCKETS, &p->buckets));
    if (p->kind == ATTN_RELATIVE_CLIP) /* the distance is at most "buckets" */
        return attn_read_size(r, "max_distance", 1, 1u << 30, &p->max_distance);
    ATTN_TRY(attn_need_size(r, "max_distance", 1, 1u << 30, &p->max_distance));
    if (p->kind == ATTN_RELATIVE_T5)
        ATTN_TRY(attn_read_bool(r, "bidirectional", &p->bidirectional));
    size_t least = p->kind == ATTN_RELATIVE_T5 && p->bidirectional ? 4 : 2;
    if (p->buckets < least)
        return attn_reader_fail(r, "\"buckets\": %zu are too few, %zu are needed", p->buckets,
                                least);
    /* Distances below this have a bucket of their own; the logarithm needs room above. */
    size_t exact = p->kind == ATTN_RELATIVE_LOG ? p->buckets / 2 + 1 : p->buckets / least;
    if (p->max_distance <= exact)
        return attn_reader_fail(r, "\"max_distance\": %zu, %zu buckets need more than %zu",
                                p->max_distance, p->buckets, exact);
    return ATTN_OK;
}

size_t attn_relative_rows(const attn_relative *p)
{
    return p->kind == ATTN_RELATIVE_T5 ? p->buckets : 2 * p->buckets;
}

/* In f32, as the references compute it: a rounding decides between two buckets. Double precision,
 * rounded once, makes the logarithm that of every C library. */
static float log_f32(float x)
{
    return (float)log((double)x);
}

static size_t t5_bucket(const attn_relative *p, long distance)
{
    size_t buckets = p->bidirectional ? p->buckets / 2 : p->buckets, exact = buckets / 2;
    size_t after = p->bidirectional && distance < 0 ? buckets : 0;
    size_t n = distance >= 0 ? (size_t)distance : p->bidirectional ? (size_t)-distance : 0;
    if (n < exact) return after + n;
    float range = (float)log((double)p->max_distance / (double)exact);
    float part = log_f32((float)n / (float)exact) / range * (float)(buckets - exact);
    size_t bucket = exact + (size_t)part;
    return after + (bucket < buckets ? bucket : buckets - 1);
}

/* The signed bucket of DeBERTa. */
static long log_bucket(const attn_relative *p, long distance)
{
    long middle = (long)p->buckets / 2, n = labs(distance);
    if (n <= middle) return distance;
    float range = log_f32((float)(p->max_distance - 1) / (float)middle);
    float part = log_f32((float)n / (float)middle) / range * (float)(middle - 1);
    long bucket = (long)ceilf(part) + middle;
    return distance < 0 ? -bucket : bucket;
}

static size_t find_bucket(const attn_relative *p, long distance)
{
    if (p->kind == ATTN_RELATIVE_T5) return t5_bucket(p, distance);
    long bucket = p->kind == ATTN_RELATIVE_LOG ? log_bucket(p, distance) : distance;
    long row = bucket + (long)p->buckets, last = 2 * (long)p->buckets - 1;
    return (size_t)(row < 0 ? 0 : row > last ? last : row);
}

void attn_relative_buckets(const attn_relative *p, size_t q_len, size_t k_len, int32_t *bucket)
{
    for (size_t m = 0; m < q_len + k_len - 1; m++)
        bucket[m] = (int32_t)find_bucket(p, (long)k_len - 1 - (long)m);
}

attn_status attn_relative_lengths(attn_infer *c, size_t q_len, size_t k_len)
{
    if (q_len < 1 || k_len < 1 || q_len > MAX_LENGTH || k_len > MAX_LENGTH)
        return attn_infer_fail(c, "%zu queries and %zu keys, expected 1 to %d", q_len, k_len,
                               MAX_LENGTH);
    return attn_add_scratch(c, q_len + k_len, sizeof(int32_t), &c->scratch);
}
