/*  [ header, padded to HEAD bytes | params->bytes of panels, as attn_params_fill lays them out ]
 *
 * Everything in the header must be what this process would write now; that is the whole check. */
#define _DEFAULT_SOURCE /* madvise */

#include "runtime/weights/kept.h"

#include "runtime/base/hash.h"
#include "runtime/threads.h"
#include "runtime/weights/gguf.h"
#include "runtime/weights/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HEAD = 4096,
    BLOCK = 1 << 22,      /* bytes that are hashed as one */
    SAMPLES = 64,         /* of each weight file, so many places ... */
    SOME_BYTES = 1 << 16, /* of a file that says in many places what it holds */
    SAMPLE_BYTES = 64     /* ... of so many bytes */
};

typedef struct header {
    char magic[8];
    uint32_t format, head; /* 1; HEAD: also tells the byte order */
    char version[16];      /* of attn */
    char kernels[16];
    uint64_t packing; /* hash of what the kernels make of a small matrix */
    uint64_t weights; /* hash of the weight files: size, time, header, samples */
    uint64_t params;  /* hash of the list of parameters and their places */
    uint64_t bytes;   /* of the panels */
    uint64_t panels;  /* hash of them */
    uint64_t self;    /* hash of all above */
} header;

/* ---- what the header says ------------------------------------------------------------------ */

static uint64_t hash_text(uint64_t seed, const char *text)
{
    return attn_hash(seed, text, strlen(text));
}

/* packed: room for a panel. */
static uint64_t hash_blocks(const attn_kernels *kernels, uint64_t hash, unsigned char *packed)
{
    enum { K = 64, COLUMNS = 3 };
    int8_t q[K * COLUMNS];
    float scale[K / 16 * COLUMNS];
    for (int i = 0; i < K * COLUMNS; i++) q[i] = (int8_t)(i * 7 % 16);
    for (int i = 0; i < K / 16 * COLUMNS; i++) scale[i] = (float)(i + 1);
    for (int type = ATTN_PANEL_PACKED; type < ATTN_PANEL_DOTS; type++) {
        kernels->pack_blocks((attn_panel_type)type, packed, q, scale, scale, K, COLUMNS);
        hash = attn_hash(hash, packed, kernels->panel_bytes((attn_panel_type)type, K));
    }
    return hash;
}

/* The layout of panels, whatever it is, as it shows in a matrix of each type. */
static uint64_t hash_packing(const attn_kernels *kernels)
{
    enum { K = 70, ROOM = 1 << 16 };
    static const size_t columns = 3;
    float w[3 * K];
    _Alignas(64) unsigned char packed[ROOM];
    uint64_t hash = kernels->panel;
    for (size_t i = 0; i < columns * K; i++) w[i] = (float)((int)(i * 37 % 101) - 50) / 64;
    for (int type = 0; type < ATTN_PANEL_PACKED; type++) {
        size_t bytes = kernels->panel_bytes((attn_panel_type)type, K);
        if (bytes > ROOM) continue;
        memset(packed, 0, bytes);
        kernels->pack((attn_panel_type)type, packed, w, K, columns, 1, K);
        hash = attn_hash(hash, packed, bytes);
    }
    return hash_blocks(kernels, hash, packed);
}

/* Of the file: what says which tensors it has; of an ONNX file, which has no such part, some of it.
 * Checked when it was parsed. */
static size_t header_bytes(const attn_weights *w, const attn_file *file)
{
    const unsigned char *data = file->data;
    uint64_t length = 0;
    if (w->imported) return file->size < SOME_BYTES ? file->size : SOME_BYTES;
    if (w->gguf) return w->gguf->header;
    for (int b = 7; b >= 0; b--) length = length << 8 | data[b];
    return 8 + (size_t)length;
}

static uint64_t hash_weights(const attn_weights *w)
{
    uint64_t hash = w->files;
    for (size_t i = 0; i < w->files; i++) {
        const attn_file *file = &w->file[i];
        const unsigned char *data = file->data;
        const uint64_t numbers[] = {file->size, (uint64_t)file->seconds,
                                    (uint64_t)file->nanoseconds};
        hash = attn_hash(hash, numbers, sizeof numbers);
        hash = attn_hash(hash, data, header_bytes(w, file));
        size_t step = file->size / SAMPLES;
        for (size_t s = 0; step >= SAMPLE_BYTES && s < SAMPLES; s++) {
            hash = attn_hash(hash, data + s * step + (step - SAMPLE_BYTES), SAMPLE_BYTES);
            /* A place that is read may map megabytes around it. */
            if (s % 4 == 3) attn_file_forget(file, data, file->size);
        }
    }
    return hash;
}

static uint64_t hash_params(const attn_params *params)
{
    uint64_t hash = params->uses;
    for (size_t i = 0; i < params->uses; i++) {
        const attn_use *use = &params->use[i];
        const attn_param *p = *use->param;
        const uint64_t numbers[] = {(uint64_t)p->form,
                                    (uint64_t)p->type,
                                    p->first,
                                    p->k,
                                    p->n,
                                    p->k_is_row,
                                    use->offset,
                                    use->bytes,
                                    attn_param_elements(p)};
        if (use->bytes) hash = attn_hash(hash_text(hash, p->source->name), numbers, sizeof numbers);
    }
    return hash;
}

/* All but the hash of the panels. */
static header make_header(const attn_model *m)
{
    header h = {.magic = "attnkept", .format = 1, .head = HEAD, .bytes = m->params.bytes};
    snprintf(h.version, sizeof h.version, "%s", ATTN_VERSION);
    snprintf(h.kernels, sizeof h.kernels, "%s", m->kernels->name);
    h.packing = hash_packing(m->kernels);
    h.weights = hash_weights(&m->weights);
    h.params = hash_params(&m->params);
    return h;
}

static uint64_t hash_self(const header *h)
{
    return attn_hash(0, h, offsetof(header, self));
}

/* ---- the panels' hash: block by block, on all CPUs ------------------------------------------- */

typedef struct block_job {
    const char *data;
    size_t size;
    bool mapped;
    uint64_t *hash; /* [blocks] */
} block_job;

static void hash_block(void *arg, size_t block, size_t worker)
{
    const block_job *j = arg;
    const char *from = j->data + block * BLOCK;
    size_t size = j->size - block * BLOCK < BLOCK ? j->size - block * BLOCK : BLOCK;
    (void)worker;
#if defined(MADV_POPULATE_READ)
    /* One call in place of a thousand page faults. */
    if (j->mapped)
        madvise((void *)(uintptr_t)from, size, MADV_POPULATE_READ); /* may fail: then they fault */
#endif
    j->hash[block] = attn_hash(block, from, size);
}

static attn_status hash_panels(attn_model *m, const void *data, bool mapped, uint64_t *hash,
                               attn_error *err)
{
    size_t blocks = m->params.bytes / BLOCK + 1; /* the last one may be empty */
    void *hashes;
    ATTN_TRY(attn_alloc(&m->memory, blocks * sizeof(uint64_t), "hashing the panels", &hashes, err));
    block_job j = {.data = data, .size = m->params.bytes, .mapped = mapped, .hash = hashes};
    attn_pool *pool = attn_params_pool(m->params.bytes, &m->memory);
    if (pool)
        attn_pool_run(pool, blocks, hash_block, &j);
    else
        for (size_t i = 0; i < blocks; i++) hash_block(&j, i, 0);
    attn_pool_close(pool, &m->memory);
    *hash = attn_hash(0, hashes, blocks * sizeof(uint64_t));
    attn_release(&m->memory, hashes, blocks * sizeof(uint64_t));
    return ATTN_OK;
}

/* ---- open ---------------------------------------------------------------------------------- */

const char *attn_kept_path(attn_model *m, attn_error *err)
{
    const char *precision = attn_precision_name(m->precision);
    return attn_arena_printf(&m->arena, err, "%s.%s%s%s.panels", m->weights_name, m->kernels->name,
                             *precision ? "-" : "", precision);
}

/* *fault: NULL if the file is what the model needs now, else what is wrong with it. */
static attn_status find_fault(attn_model *m, const attn_file *file, const char **fault,
                              attn_error *err)
{
    header want = make_header(m), have;
    *fault = "it is cut off";
    if (file->size < HEAD) return ATTN_OK;
    memcpy(&have, file->data, sizeof have);
    *fault = "it is no file of kept panels";
    if (memcmp(have.magic, want.magic, sizeof have.magic) != 0 || have.head != HEAD) return ATTN_OK;
    *fault = "it is of another version of attn";
    if (have.format != want.format || memcmp(have.version, want.version, sizeof have.version) != 0)
        return ATTN_OK;
    *fault = "its header is damaged";
    if (have.self != hash_self(&have)) return ATTN_OK;
    *fault = "it is for other kernels";
    if (memcmp(have.kernels, want.kernels, sizeof have.kernels) != 0 ||
        have.packing != want.packing)
        return ATTN_OK;
    *fault = "the weight file has changed since";
    if (have.weights != want.weights) return ATTN_OK;
    *fault = "the description wants other weights";
    if (have.params != want.params || have.bytes != want.bytes) return ATTN_OK;
    *fault = "it is cut off";
    if (file->size - HEAD != want.bytes) return ATTN_OK;
    ATTN_TRY(hash_panels(m, (const char *)file->data + HEAD, true, &want.panels, err));
    *fault = want.panels == have.panels ? NULL : "its panels are damaged";
    return ATTN_OK;
}

static attn_status set_notice(attn_model *m, const char *path, const char *why, attn_error *err)
{
    m->notice = attn_arena_printf(
        &m->arena, err, "%s: not used, %s; attn pack --panels writes it again", path, why);
    return m->notice ? ATTN_OK : ATTN_NO_MEMORY;
}

attn_status attn_kept_open(attn_model *m, attn_error *err)
{
    const char *fault;
    attn_error inner;
    if (!m->weights_name || !m->params.bytes) return ATTN_OK;
    const char *path = attn_kept_path(m, err);
    if (!path) return ATTN_NO_MEMORY;
    if (!attn_file_exists(path)) return ATTN_OK;
    if (attn_file_map(&m->kept, path, &inner)) return set_notice(m, path, "it cannot be read", err);
    attn_file_expect_all(&m->kept);
    ATTN_TRY(find_fault(m, &m->kept, &fault, err));
    if (!fault) {
        m->kept_name = path;
        return ATTN_OK;
    }
    attn_file_unmap(&m->kept);
    return set_notice(m, path, fault, err);
}

const void *attn_kept_panels(const attn_model *m)
{
    return (const char *)m->kept.data + HEAD;
}

/* ---- write --------------------------------------------------------------------------------- */

/* What has been written is what was meant. And the system forgets the pages that writing left in
 * its cache and reads them again, as every start will: in huge pages, if it can. The next start
 * then maps them at a hundredth of the cost. */
static attn_status read_back(attn_model *m, const attn_output_file *out, uint64_t expected,
                             attn_error *err)
{
    attn_file file;
    uint64_t panels = 0;
    posix_fadvise(out->fd, 0, 0, POSIX_FADV_DONTNEED);
    ATTN_TRY(attn_file_map(&file, out->path, err));
    attn_file_expect_all(&file);
    attn_status status = ATTN_OK;
    if (file.size == HEAD + m->params.bytes)
        status = hash_panels(m, (const char *)file.data + HEAD, true, &panels, err);
    attn_file_unmap(&file);
    if (status || panels == expected) return status;
    return attn_fail(err, ATTN_IO, "%s: what is read is not what was written", out->path);
}

static attn_status write_all(attn_model *m, const attn_output_file *out, attn_error *err)
{
    union {
        header h;
        char bytes[HEAD];
    } head = {.h = make_header(m)};
    ATTN_TRY(hash_panels(m, m->packed, false, &head.h.panels, err));
    head.h.self = hash_self(&head.h);
    ATTN_TRY(attn_write_at(out, 0, head.bytes, sizeof head.bytes, err));
    ATTN_TRY(attn_write_at(out, HEAD, m->packed, m->params.bytes, err));
    if (fsync(out->fd) != 0 && errno != EINVAL)
        return attn_fail(err, ATTN_IO, "%s: %s", out->path, strerror(errno));
    return read_back(m, out, head.h.panels, err);
}

attn_status attn_kept_write(attn_model *m, const char *path, attn_error *err)
{
    char *partial = attn_arena_printf(&m->arena, err, "%s.partial-%ld", path, (long)getpid());
    if (!partial) return ATTN_NO_MEMORY;
    attn_output_file out = {open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), partial};
    if (out.fd < 0) return attn_fail(err, ATTN_IO, "%s: %s", partial, strerror(errno));
    attn_status status = write_all(m, &out, err);
    if (close(out.fd) != 0 && !status)
        status = attn_fail(err, ATTN_IO, "%s: %s", partial, strerror(errno));
    if (!status && rename(partial, path) != 0)
        status = attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    if (status) unlink(partial);
    return status;
}
