/* The kernels over rows, per element: softmax, norms, activations.
 *
 *     bench_rows [--rounds N]      nanoseconds per element and GB/s (4 bytes read, 4 written)
 *
 * Rows of lengths that transformers have, each kernel over as many as fill 256 KiB, in place, so
 * that all lies in the cache. One thread. ATTN_CPU chooses the instruction set. */
#include "tools/bench/bench.h"

enum { FLOATS = 64 * 1024, REPEATS = 4 };

typedef struct rows {
    const attn_kernels *kernels;
    size_t n; /* of a row */
    float *x, *y, *weight, *bias;
} rows;

static void softmax(const rows *r, size_t at)
{
    r->kernels->softmax(r->y + at, r->x + at, r->n, 0.125f);
}
static void layer_norm(const rows *r, size_t at)
{
    r->kernels->layer_norm(r->y + at, r->x + at, r->weight, r->bias, r->n, 1e-5f);
}
static void rms_norm(const rows *r, size_t at)
{
    r->kernels->rms_norm(r->y + at, r->x + at, r->weight, r->n, 1e-5f);
}
static void add(const rows *r, size_t at)
{
    r->kernels->binary(ATTN_BIN_ADD, r->y + at, r->x + at, 1, r->weight, 1, r->n);
}

#define UNARY(name, op)                                                                            \
    static void name(const rows *r, size_t at)                                                     \
    {                                                                                              \
        r->kernels->unary(op, r->y + at, r->x + at, r->n);                                         \
    }
UNARY(gelu, ATTN_GELU)
UNARY(gelu_tanh, ATTN_GELU_TANH)
UNARY(quick_gelu, ATTN_QUICK_GELU)
UNARY(silu, ATTN_SILU)
UNARY(exponential, ATTN_EXP)
UNARY(hyperbolic_tangent, ATTN_TANH)
UNARY(error_function, ATTN_ERF)
UNARY(relu, ATTN_RELU)

static const struct {
    const char *name;
    void (*run)(const rows *r, size_t at);
} kernels[] = {{"softmax", softmax},    {"layer_norm", layer_norm},
               {"rms_norm", rms_norm},  {"exp", exponential},
               {"erf", error_function}, {"tanh", hyperbolic_tangent},
               {"gelu", gelu},          {"gelu_tanh", gelu_tanh},
               {"silu", silu},          {"quick_gelu", quick_gelu},
               {"relu", relu},          {"add", add}};

/* Nanoseconds per element, median. */
static double measure(const rows *r, void (*run)(const rows *r, size_t at), size_t rounds)
{
    bench_samples ns = {0};
    size_t count = FLOATS / r->n;
    for (size_t i = 0; i < rounds; i++) {
        double start = cli_seconds();
        for (int j = 0; j < REPEATS; j++)
            for (size_t row = 0; row < count; row++) run(r, row * r->n);
        bench_add(&ns, (cli_seconds() - start) * 1e9 / (double)(REPEATS * count * r->n));
    }
    return bench_median(&ns);
}

int main(int argc, char **argv)
{
    static const size_t lengths[] = {16, 128, 197, 384, 1500, 3072};
    enum { LENGTHS = sizeof lengths / sizeof *lengths };
    bench_options o;
    if (!bench_parse(&o, argc, argv, 51)) return EXIT_USAGE;
    machine_watch watch = machine_watch_begin();
    rows r = {.kernels = o.kernels};
    float *memory = aligned_alloc(64, sizeof(float) * (2 * FLOATS + 2 * 4096));
    if (!memory) return EXIT_BAD;
    r.x = memory;
    r.y = r.x + FLOATS;
    r.weight = r.y + FLOATS;
    r.bias = r.weight + 4096;
    uint32_t seed = 1;
    for (size_t i = 0; i < 2 * FLOATS + 2 * 4096; i++) {
        seed = seed * 1664525u + 1013904223u;
        memory[i] = (float)(seed >> 8) / 2097152.0f - 4; /* -4 to 4 */
    }
    printf("%s, ns per element (GB/s)\n%-12s", o.kernels->name, "row of");
    for (int i = 0; i < LENGTHS; i++) printf(" %16zu", lengths[i]);
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
        printf("\n%-12s", kernels[k].name);
        for (int i = 0; i < LENGTHS; i++) {
            r.n = lengths[i];
            double ns = measure(&r, kernels[k].run, o.rounds);
            printf(" %8.4f (%5.1f)", ns, 8 / ns);
        }
    }
    printf("\n");
    free(memory);
    machine_watch_note(&watch);
    return EXIT_DONE;
}
