#include "runtime/inputs/tokenizer/decimal.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 wide;

static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                               1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};

/* 10^exponent, rounded right, which pow does not promise. */
static double power_of_ten(int exponent)
{
    char text[16];
    snprintf(text, sizeof text, "1e%d", exponent);
    return strtod(text, NULL);
}

/* Any size: by the C library. */
static double by_text(double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) break;
    }
    uint64_t whole = 0;
    int places = 0, zeros = 0;
    char *c = text;
    for (; *c && *c != 'e'; c++) {
        if (*c < '0' || *c > '9') continue; /* the point */
        whole = whole * 10 + (uint64_t)(*c - '0');
        places++;
        zeros = *c == '0' ? zeros + 1 : 0;
    }
    for (int i = 0; i < zeros && i < places - 1; i++) whole /= 10;
    if (zeros > places - 1) zeros = places - 1;
    int exponent = (*c ? atoi(c + 1) : 0) - (places - 1 - zeros);
    double result = (double)whole;
    if (exponent < -308) {
        result /= 1e308;
        exponent += 308;
    }
    return exponent < 0 ? result / power_of_ten(-exponent) : result * power_of_ten(exponent);
}

/* [2^-9, 2^20): exactly, in 128 bits. The digits after the point are as few as possible. */
static double by_integers(double value)
{
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(value, &exponent), 53);
    int shift = 53 - exponent; /* value = mantissa / 2^shift, 33 <= shift <= 61 */
    uint64_t scale = 1;
    for (int places = 0; places <= 19; places++, scale *= 10) {
        wide exact = (wide)mantissa * scale, half = (wide)1 << (shift - 1);
        uint64_t whole = (uint64_t)((exact + half) >> shift);
        if (((exact + half) & (2 * half - 1)) == 0) whole &= ~(uint64_t)1; /* halves: to even */
        wide back = (wide)whole << shift, error = back > exact ? back - exact : exact - back;
        /* The digits mean this double if they are less than half a unit of it away. */
        if (2 * error < scale) return (double)whole / power[places];
    }
    return value;
}

double attn_decimal_quick(double value)
{
    double size = fabs(value);
    if (!(size > 0) || isinf(size)) return value;
    double read = size >= 0x1p-9 && size < 0x1p20 ? by_integers(size) : by_text(size);
    return signbit(value) ? -read : read;
}
