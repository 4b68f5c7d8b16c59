/* The numbers of a file as the reference reads them. Its JSON reader is quick and not exact: it
 * takes the digits as one integer and divides it by a power of ten, so that a number of 16 or 17
 * digits may come out one unit in the last place away from the nearest double. Where two ways to
 * cut a text have equal sums, that decides between them. */
#ifndef ATTN_TOKENIZER_DECIMAL_H
#define ATTN_TOKENIZER_DECIMAL_H

/* value: the nearest double to a number that was written with as few digits as tell it from all
 * other doubles, as every writer does. */
double attn_decimal_quick(double value);

#endif
