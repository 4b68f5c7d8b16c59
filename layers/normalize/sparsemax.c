/* sparsemax: the point of the probability simplex nearest to z; y_i = max(z_i - tau, 0) with tau
 * such that the y_i sum to 1. Martins & Astudillo 2016, algorithm 1: with z sorted downwards,
 * tau = (z_(1) + ... + z_(s) - 1) / s for the largest s with 1 + s z_(s) > z_(1) + ... + z_(s). */
#include "layers/normalize/normalize.h"

#include <math.h>

static void sift_down(float *heap, size_t n, size_t i)
{
    float value = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= value) break;
        heap[i] = heap[child];
    }
    heap[i] = value;
}

/* heap: the n >= 1 values that may be in the support. Takes them largest first, and stops at the
 * first one outside. */
static double threshold(float *heap, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sift_down(heap, n, i);
    double sum = 0, tau = 0;
    for (size_t s = 1; n > 0; s++) {
        double z = heap[0];
        if (1 + (double)s * z <= sum + z) break;
        sum += z;
        tau = (sum - 1) / (double)s;
        heap[0] = heap[--n];
        if (n) sift_down(heap, n, 0);
    }
    return tau;
}

void attn_sparsemax(const attn_kernels *kernels, float *y, const float *x, size_t n, float scale,
                    float *heap)
{
    kernels->binary(ATTN_BIN_MUL, y, x, 1, &scale, 0, n);
    float max = kernels->max(y, n);
    if (!isfinite(max)) {
        float fill = max < 0 ? 0 : NAN;
        for (size_t i = 0; i < n; i++) y[i] = fill;
        return;
    }
    /* Shifting z changes nothing. With the maximum at 0, tau is in [-1, 0): no value of -1 or less
     * is in the support. */
    size_t count = 0;
    kernels->binary(ATTN_BIN_SUB, y, y, 1, &max, 0, n);
    for (size_t i = 0; i < n; i++)
        if (y[i] > -1) heap[count++] = y[i];
    double tau = threshold(heap, count);
    for (size_t i = 0; i < n; i++) {
        double value = y[i] - tau;
        y[i] = value > 0 ? (float)value : 0;
    }
}
