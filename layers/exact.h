/* Functions of positions, in double arithmetic of +, -, * and / alone: to about 1e-15, and with the
 * same bits with every C library and compiler. */
#ifndef ATTN_EXACT_H
#define ATTN_EXACT_H

double attn_log(double x);          /* ln x of x >= 1 */
double attn_exp_of_minus(double x); /* e^-x of 0 <= x < 100 */
/* Of 0 <= x < 2^40. */
void attn_sine_cosine(double x, double *sine, double *cosine);

#endif
