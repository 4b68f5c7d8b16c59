/* The products of other libraries for tools/bench/gemm.c: oneDNN with weights in the format that it
 * likes best (inner product: f32, bf16, and unsigned by signed bytes), OpenBLAS with [k, n]. */
#ifndef ATTN_BENCH_GEMM_PEERS_H
#define ATTN_BENCH_GEMM_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y: [m, n] = x: [m, k] times w: [k, n]. */
typedef struct peer_shape {
    size_t m, n, k;
    size_t copies; /* of the weights, one after the other by a run */
} peer_shape;

typedef enum peer_unit { PEER_F32, PEER_BF16, PEER_INT8 } peer_unit;

#ifdef ATTN_HAS_DNNL
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

enum { DNNL_ARGUMENTS = 3 };

typedef struct dnnl_peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t x, y, *w; /* w: [copies] */
    size_t copies, next;
} dnnl_peer;

static inline dnnl_memory_desc_t dnnl_matrix(size_t rows, size_t columns, dnnl_data_type_t type,
                                             dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t d;
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    dnnl_memory_desc_init_by_tag(&d, 2, dims, type, tag);
    return d;
}

/* Converts between memories of any types and formats. */
static inline bool dnnl_convert(dnnl_peer *p, dnnl_memory_t from, dnnl_memory_t to)
{
    const dnnl_memory_desc_t *a, *b;
    dnnl_primitive_desc_t d;
    dnnl_primitive_t reorder;
    dnnl_memory_get_memory_desc(from, &a);
    dnnl_memory_get_memory_desc(to, &b);
    if (dnnl_reorder_primitive_desc_create(&d, a, p->engine, b, p->engine, NULL)) return false;
    bool good = !dnnl_primitive_create(&reorder, d);
    dnnl_primitive_desc_destroy(d);
    if (!good) return false;
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    good =
        !dnnl_primitive_execute(reorder, p->stream, 2, arguments) && !dnnl_stream_wait(p->stream);
    dnnl_primitive_destroy(reorder);
    return good;
}

/* A matrix of floats as `want` has it; place: memory for it. */
static inline bool dnnl_take(dnnl_peer *p, dnnl_memory_t *out, const float *values, size_t rows,
                             size_t columns, dnnl_format_tag_t tag, const dnnl_memory_desc_t *want,
                             void *place)
{
    dnnl_memory_desc_t plain = dnnl_matrix(rows, columns, dnnl_f32, tag);
    dnnl_memory_t from;
    if (dnnl_memory_create(&from, &plain, p->engine, (void *)(uintptr_t)values)) return false;
    bool good = !dnnl_memory_create(out, want, p->engine, place) && dnnl_convert(p, from, *out);
    dnnl_memory_destroy(from);
    return good;
}

/* memory(bytes): aligned, never freed before the process ends. x and w have integers where the unit
 * is int8. False: this oneDNN has no such product. */
static inline bool dnnl_peer_open(dnnl_peer *p, peer_unit unit, const peer_shape *s, const float *x,
                                  const float *w, float *y, void *(*memory)(size_t bytes))
{
    static const dnnl_data_type_t xs[] = {dnnl_f32, dnnl_bf16, dnnl_u8};
    static const dnnl_data_type_t ws[] = {dnnl_f32, dnnl_bf16, dnnl_s8};
    memset(p, 0, sizeof *p);
    p->copies = s->copies;
    p->w = calloc(s->copies, sizeof *p->w);
    dnnl_memory_desc_t dx = dnnl_matrix(s->m, s->k, xs[unit], dnnl_ab);
    dnnl_memory_desc_t dw = dnnl_matrix(s->n, s->k, ws[unit], dnnl_format_tag_any);
    dnnl_memory_desc_t dy = dnnl_matrix(s->m, s->n, dnnl_f32, dnnl_ab);
    dnnl_inner_product_desc_t d;
    dnnl_primitive_desc_t pd;
    if (!p->w || dnnl_engine_create(&p->engine, dnnl_cpu, 0) ||
        dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) ||
        dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &dx, &dw, NULL, &dy) ||
        dnnl_primitive_desc_create(&pd, &d, NULL, p->engine, NULL))
        return false;
    const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    bool good =
        !dnnl_primitive_create(&p->primitive, pd) &&
        dnnl_take(p, &p->x, x, s->m, s->k, dnnl_ab, &dx, memory(dnnl_memory_desc_get_size(&dx)));
    for (size_t i = 0; i < s->copies && good; i++)
        good = dnnl_take(p, &p->w[i], w, s->n, s->k, dnnl_ba, want,
                         memory(dnnl_memory_desc_get_size(want)));
    good = good && !dnnl_memory_create(&p->y, &dy, p->engine, y);
    dnnl_primitive_desc_destroy(pd);
    return good;
}

static inline void dnnl_peer_run(dnnl_peer *p)
{
    dnnl_exec_arg_t arguments[DNNL_ARGUMENTS] = {{DNNL_ARG_SRC, p->x},
                                                 {DNNL_ARG_WEIGHTS, p->w[p->next++ % p->copies]},
                                                 {DNNL_ARG_DST, p->y}};
    dnnl_primitive_execute(p->primitive, p->stream, DNNL_ARGUMENTS, arguments);
    dnnl_stream_wait(p->stream);
}

static inline void dnnl_peer_close(dnnl_peer *p)
{
    for (size_t i = 0; p->w && i < p->copies; i++) dnnl_memory_destroy(p->w[i]);
    free(p->w);
    dnnl_memory_destroy(p->x);
    dnnl_memory_destroy(p->y);
    dnnl_primitive_destroy(p->primitive);
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
}

/* Number of the calling OpenMP thread: 0 is the main one. */
static inline size_t dnnl_peer_thread(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "omp_get_thread_num");
    int (*number)(void);
    memcpy(&number, &symbol, sizeof number);
    return symbol ? (size_t)number() : 0;
}

/* oneDNN's threads are OpenMP's, whose library comes with it: that many from now on, each of which
 * calls task(arg) once. */
static inline void dnnl_peer_threads(int threads, void (*task)(void *arg), void *arg)
{
    void *symbols[] = {dlsym(RTLD_DEFAULT, "omp_set_num_threads"),
                       dlsym(RTLD_DEFAULT, "GOMP_parallel")};
    void (*set)(int);
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    memcpy(&set, &symbols[0], sizeof set);
    memcpy(&parallel, &symbols[1], sizeof parallel);
    if (set) set(threads);
    if (parallel) parallel(task, arg, (unsigned)threads, 0);
}
#endif

#ifdef ATTN_HAS_OPENBLAS
extern void openblas_set_num_threads(int threads);
extern void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k,
                        float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                        float *c, int ldc);
extern void cblas_sgemv(int order, int transpose, int m, int n, float alpha, const float *a,
                        int lda, const float *x, int incx, float beta, float *y, int incy);

static inline void openblas_run(const peer_shape *s, const float *x, const float *w, float *y)
{
    enum { ROWS = 101, PLAIN = 111, TRANSPOSED = 112 };
    int m = (int)s->m, n = (int)s->n, k = (int)s->k;
    if (m == 1)
        cblas_sgemv(ROWS, TRANSPOSED, k, n, 1, w, n, x, 1, 0, y, 1);
    else
        cblas_sgemm(ROWS, PLAIN, PLAIN, m, n, k, 1, x, k, w, n, 0, y, n);
}
#endif

#endif
