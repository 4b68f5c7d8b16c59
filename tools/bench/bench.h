/* What the programs of this folder share: options, samples and their median. */
#ifndef ATTN_BENCH_H
#define ATTN_BENCH_H

#include "tools/cli.h"
#include "tools/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BENCH_SAMPLES = 1001 };

typedef struct bench_samples {
    size_t count;
    double value[BENCH_SAMPLES]; /* what comes after the last place overwrites the first ones */
} bench_samples;

static inline void bench_add(bench_samples *s, double value)
{
    s->value[s->count++ % BENCH_SAMPLES] = value;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples; part: 0 the least, 0.5 the median, 1 the largest. 0 if there is none. */
static inline double bench_quantile(bench_samples *s, double part)
{
    size_t count = s->count < BENCH_SAMPLES ? s->count : BENCH_SAMPLES;
    qsort(s->value, count, sizeof *s->value, bench_compare);
    return count ? s->value[(size_t)(part * (double)(count - 1))] : 0;
}

static inline double bench_median(bench_samples *s)
{
    return bench_quantile(s, 0.5);
}

/* The options of every program: --threads N (all cores), --rounds N. */
typedef struct bench_options {
    unsigned threads;
    size_t rounds;
    const attn_kernels *kernels; /* the best level, or that of ATTN_CPU */
} bench_options;

/* Takes argv[*i], and its value; false if it is none of these. */
static inline bool bench_option(bench_options *o, int argc, char **argv, int *i)
{
    unsigned long number = *i + 1 < argc ? strtoul(argv[*i + 1], NULL, 10) : 0;
    if (strcmp(argv[*i], "--threads") == 0 && number >= 1 && number <= 256)
        o->threads = (unsigned)number;
    else if (strcmp(argv[*i], "--rounds") == 0 && number >= 1 && number <= BENCH_SAMPLES)
        o->rounds = number;
    else
        return false;
    ++*i;
    return true;
}

/* The defaults, then argv, which holds nothing but these options. False: a message is printed. */
static inline bool bench_parse(bench_options *o, int argc, char **argv, size_t rounds)
{
    const char *problem = NULL;
    *o = (bench_options){attn_cpu_count(), rounds, attn_kernels_select(&problem)};
    if (!o->kernels) fprintf(stderr, "%s\n", problem);
    for (int i = 1; i < argc; i++)
        if (!bench_option(o, argc, argv, &i)) {
            fprintf(stderr, "usage: %s [--threads N] [--rounds N]\n", argv[0]);
            return false;
        }
    return o->kernels;
}

#endif
