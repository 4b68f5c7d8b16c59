/* The weights that top_k, hard and threshold keep. */
#include "layers/select/select.h"

#include <math.h>

static void sift_down(float *heap, size_t n, size_t i)
{
    float value = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= value) break;
        heap[i] = heap[child];
    }
    heap[i] = value;
}

/* heap: the k largest so far, smallest on top. */
static void keep_top(float *w, size_t n, size_t k, float *heap)
{
    if (k >= n) return;
    for (size_t i = 0; i < k; i++) heap[i] = w[i];
    for (size_t i = k / 2; i-- > 0;) sift_down(heap, k, i);
    for (size_t i = k; i < n; i++) {
        if (w[i] <= heap[0]) continue;
        heap[0] = w[i];
        sift_down(heap, k, 0);
    }
    float least = heap[0];
    size_t equal = k; /* how many of the value `least` fit */
    for (size_t i = 0; i < n; i++) equal -= w[i] > least;
    for (size_t i = 0; i < n; i++) {
        if (w[i] == least && equal)
            equal--;
        else if (w[i] <= least)
            w[i] = 0;
    }
}

/* A row of nothing but zeros (a query that may look at no key) stays so. */
static void keep_largest(float *w, size_t n, float max)
{
    bool any = false, found = false;
    for (size_t i = 0; i < n; i++) any = any || w[i] != 0;
    for (size_t i = 0; i < n; i++) {
        bool here = any && !found && w[i] == max;
        found = found || here;
        w[i] = here;
    }
}

void attn_select_sparsify(const attn_kernels *kernels, const attn_select_params *p, float *w,
                          size_t rows, size_t n, float *worker_scratch)
{
    if (p->kind == ATTN_SELECT_WEIGHTED) return;
    for (size_t r = 0; r < rows; r++, w += n) {
        float max = kernels->max(w, n);
        if (isnan(max)) continue;
        if (p->kind == ATTN_SELECT_HARD) {
            keep_largest(w, n, max);
            continue;
        }
        if (p->kind == ATTN_SELECT_TOP_K) {
            keep_top(w, n, p->k, worker_scratch);
        } else {
            for (size_t i = 0; i < n; i++)
                if (w[i] < p->threshold) w[i] = 0;
        }
        if (!p->renormalize) continue;
        float sum = kernels->sum(w, n);
        if (sum != 0) kernels->binary(ATTN_BIN_DIV, w, w, 1, &sum, 0, n);
    }
}
