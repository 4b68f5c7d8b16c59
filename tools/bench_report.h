/* What attn bench has measured, and how it is told. */
#ifndef ATTN_TOOLS_BENCH_REPORT_H
#define ATTN_TOOLS_BENCH_REPORT_H

#include "tools/cli.h"
#include "tools/machine.h"

enum { BENCH_PEAKS = 64 };

typedef struct bench {
    cli c;
    size_t runs;
    bool profile;
    size_t context, past; /* of the caches */
    cli_list shapes;      /* NAME=4x16 for inputs with open dimensions */
    attn_model *model;
    attn_session *session;
    double *step_seconds; /* [steps], sums */
    size_t at;
    double *seconds;                           /* [runs], sorted after measuring */
    double peak[MACHINE_UNITS];                /* operations per second, medians of the samples */
    double sample[MACHINE_UNITS][BENCH_PEAKS]; /* taken between the runs */
    size_t samples;
    double others;   /* cores that other processes used meanwhile */
    size_t resident; /* VmHWM after the runs, before the peaks */
} bench;

/* To standard output, as text or JSON. Returns the exit status. */
int bench_report(const bench *b);

#endif
