/* Which tables this machine can run, asked of the processor and of the operating system, which
 * must save the wide registers. Nothing is remembered, so nothing is shared between threads. */
#include "layers/kernels/levels.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct cpu_features {
    bool avx2;   /* with FMA and F16C */
    bool avx512; /* F, BW, DQ and VL */
    bool vnni;   /* avx512 and VNNI */
    bool bf16;   /* vnni and BF16 */
} cpu_features;

/* Intel SDM vol. 1, 14.3 and 15.2 to 15.4. */
static cpu_features cpu_detect(void)
{
    cpu_features cpu = {false, false, false, false};
    unsigned a, b, c, d, saved, high;
    const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
    if (~c & (fma | osxsave | avx | f16c)) return cpu;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if (~saved & 0x06) return cpu; /* XMM, YMM */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
    cpu.avx2 = b & (1u << 5);
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    cpu.avx512 = cpu.avx2 && !(~b & avx512) && !(~saved & 0xe6);       /* opmask, ZMM */
    cpu.vnni = cpu.avx512 && (c & 1u << 11);
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) cpu.bf16 = cpu.vnni && (a & 1u << 5);
    return cpu;
}
#endif

const attn_kernels *attn_kernels_level(attn_cpu_level level)
{
#if defined(__x86_64__)
    cpu_features cpu = cpu_detect();
#if defined(ATTN_EMULATE)
    cpu.avx512 = cpu.vnni = cpu.bf16 = cpu.avx2; /* which the emulation is made of */
#endif
    if (level == ATTN_CPU_AVX2 && cpu.avx2) return &attn_kernels_avx2;
    if (level == ATTN_CPU_AVX512 && cpu.avx512) return &attn_kernels_avx512;
    if (level == ATTN_CPU_AVX512VNNI && cpu.vnni) return &attn_kernels_avx512vnni;
    if (level == ATTN_CPU_AVX512BF16 && cpu.bf16) return &attn_kernels_avx512bf16;
#elif defined(__aarch64__)
    if (level == ATTN_CPU_NEON) return &attn_kernels_neon;
#endif
    return level == ATTN_CPU_SCALAR ? &attn_kernels_scalar : NULL;
}

static const attn_kernels *best_level(void)
{
#if defined(__x86_64__)
    cpu_features cpu = cpu_detect();
    if (cpu.bf16) return &attn_kernels_avx512bf16;
    if (cpu.vnni) return &attn_kernels_avx512vnni;
    if (cpu.avx512) return &attn_kernels_avx512;
    if (cpu.avx2) return &attn_kernels_avx2;
#elif defined(__aarch64__)
    return &attn_kernels_neon;
#endif
    return &attn_kernels_scalar;
}

const attn_kernels *attn_kernels_select(const char **problem)
{
    static const struct {
        const char *name, *missing;
    } levels[ATTN_CPU_LEVELS] = {
        [ATTN_CPU_SCALAR] = {"scalar", NULL},
        [ATTN_CPU_NEON] = {"neon", "ATTN_CPU=neon: this processor has no NEON"},
        [ATTN_CPU_AVX2] = {"avx2", "ATTN_CPU=avx2: this processor has no AVX2, FMA and F16C"},
        [ATTN_CPU_AVX512] = {"avx512", "ATTN_CPU=avx512: this processor has no AVX-512"},
        [ATTN_CPU_AVX512VNNI] = {"avx512vnni",
                                 "ATTN_CPU=avx512vnni: this processor has no AVX-512 VNNI"},
        [ATTN_CPU_AVX512BF16] =
            {"avx512bf16", "ATTN_CPU=avx512bf16: this processor has no AVX-512 BF16 and VNNI"},
    };
    const char *wanted = getenv("ATTN_CPU");
    if (!wanted || !*wanted) return best_level();
    for (int i = 0; i < ATTN_CPU_LEVELS; i++) {
        if (strcmp(wanted, levels[i].name) != 0) continue;
        const attn_kernels *kernels = attn_kernels_level((attn_cpu_level)i);
        if (!kernels) *problem = levels[i].missing;
        return kernels;
    }
    *problem = "ATTN_CPU names no level: it is one of scalar, neon, avx2, avx512, avx512vnni, "
               "avx512bf16";
    return NULL;
}
