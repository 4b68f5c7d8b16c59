/* A fast hash against accidents, not against forgers: 64 bits, eight lanes, no table. */
#ifndef ATTN_BASE_HASH_H
#define ATTN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of data[0..size), begun from `seed`: hashes chain by giving one as seed of the next.
 * The same on every little-endian machine. */
uint64_t attn_hash(uint64_t seed, const void *data, size_t size);

#endif
