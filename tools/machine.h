/* What this machine can reach at most, measured: the marks that attn bench and tools/bench compare
 * with. The clock of a processor drifts, so measure close in time to what is compared. */
#ifndef ATTN_TOOLS_MACHINE_H
#define ATTN_TOOLS_MACHINE_H

#include "runtime/threads.h"

typedef enum machine_unit {
    MACHINE_F32,  /* fused multiply-adds of f32 */
    MACHINE_BF16, /* VDPBF16PS: products of bf16, f32 sums */
    MACHINE_INT8, /* VPDPBUSD: products of bytes, 32-bit sums */
    MACHINE_UNITS,
} machine_unit;

const char *machine_unit_name(machine_unit unit); /* "f32", "bf16", "int8" */

/* Operations per second (a multiply-add is two) of register-only loops on all workers of the pool,
 * in the instruction set of the kernels table of that name. Takes about 2 ms. 0: this processor or
 * that instruction set has no such unit. */
double machine_peak(attn_pool *pool, const char *kernels, machine_unit unit);

/* Memory to read from: larger than the caches, touched once. NULL if there is none. */
typedef struct machine_memory machine_memory;
machine_memory *machine_memory_open(size_t bytes);
void machine_memory_close(machine_memory *memory);

/* Bytes per second of one pass of reads over the first `bytes` (0: all) by all workers. The first
 * pass over a smaller part than the caches fills them; time the next ones. */
double machine_read(attn_pool *pool, const machine_memory *memory, size_t bytes);

/* VmHWM: the most memory that this process has had resident, in bytes; 0 if the system tells none.
 */
size_t machine_peak_resident(void);

/* What other processes take of this machine while something is measured. */
typedef struct machine_watch {
    double wall, busy, own; /* seconds; busy: of all cores */
} machine_watch;
machine_watch machine_watch_begin(void);
/* The cores that others have used since, on average; 0 if that is unknown, or too short a time. */
double machine_watch_end(const machine_watch *begin);
/* Says so on standard error if it is more than a tenth of a core. */
void machine_watch_note(const machine_watch *begin);

#endif
