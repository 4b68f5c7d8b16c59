#include "layers/exact.h"

/* x = m 2^e; ln m = 2 atanh((m - 1) / (m + 1)) by its series. */
double attn_log(double x)
{
    const double ln2 = 0.69314718055994530942;
    int e = 0;
    for (; x > 1.4142135623730951; e++) x /= 2;
    double s = (x - 1) / (x + 1), square = s * s, sum = 0;
    for (int i = 41; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
    return 2 * s * sum + e * ln2;
}

double attn_exp_of_minus(double x)
{
    /* e^-x = 2^-n e^-r with r = x - n ln 2 in [0, ln 2), ln 2 in two parts. */
    const double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
    int n = (int)(x / 0.69314718055994530942);
    double r = (x - n * ln2_high) - n * ln2_low, sum = 1;
    for (int i = 20; i >= 1; i--) sum = 1 - r / i * sum;
    for (; n > 0; n--) sum /= 2;
    return sum;
}

/* Reduced by pi / 2 in three parts, then Taylor series. */
void attn_sine_cosine(double x, double *sine, double *cosine)
{
    const double high = 1.57079632673412561417e+00, middle = 6.07710050630396597660e-11,
                 low = 2.02226624879595063154e-21;
    double turns = (double)(long long)(x * 0.63661977236758134308 + 0.5);
    double r = ((x - turns * high) - turns * middle) - turns * low, square = r * r;
    double s = 1, c = 1;
    for (int i = 18; i >= 2; i -= 2) {
        s = 1 - square / (i * (i + 1)) * s;
        c = 1 - square / (i * (i - 1)) * c;
    }
    s *= r;
    switch ((unsigned long long)turns % 4) {
    case 0:
        *sine = s, *cosine = c;
        break;
    case 1:
        *sine = c, *cosine = -s;
        break;
    case 2:
        *sine = -s, *cosine = -c;
        break;
    default:
        *sine = -c, *cosine = s;
        break;
    }
}
