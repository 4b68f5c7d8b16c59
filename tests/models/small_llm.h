/* A small language model of random numbers in a folder of its own: two layers, learned positions,
 * grouped queries, a gated MLP. */
#ifndef TESTS_SMALL_LLM_H
#define TESTS_SMALL_LLM_H

#include "tests/models/models_test.h"
#include "tests/runtime/folder.h"

enum { LLM_VOCAB = 40, LLM_CONTEXT = 96, LLM_LAYERS = 2, LLM_TENSORS = 24 };

typedef struct llm_shape {
    size_t dim, heads, kv_heads, head_dim;
    const char *more; /* attributes of the attention, ",'window':5" */
} llm_shape;

typedef struct llm_tensor {
    char name[40];
    size_t rows, columns; /* columns 0: of rank 1 */
} llm_tensor;

static inline size_t llm_tensors(const llm_shape *s, llm_tensor *list)
{
    size_t n = 0, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    list[n++] = (llm_tensor){"embed.weight", LLM_VOCAB, s->dim};
    list[n++] = (llm_tensor){"positions", LLM_CONTEXT, s->dim};
    for (int i = 0; i < LLM_LAYERS; i++) {
        const llm_tensor layer[] = {
            {"norm.weight", s->dim, 0},        {"q.weight", q, s->dim},
            {"k.weight", kv, s->dim},          {"v.weight", kv, s->dim},
            {"o.weight", s->dim, q},           {"gate.weight", 2 * s->dim, s->dim},
            {"up.weight", 2 * s->dim, s->dim}, {"down.weight", s->dim, 2 * s->dim}};
        for (size_t t = 0; t < sizeof layer / sizeof *layer; t++) {
            list[n] = layer[t];
            snprintf(list[n++].name, sizeof layer[t].name, "l%d.%.20s", i, layer[t].name);
        }
    }
    return n;
}

/* model.safetensors: every element from a generator of its own. */
static inline void llm_weights(const folder *f, const llm_shape *s)
{
    llm_tensor list[LLM_TENSORS];
    size_t tensors = llm_tensors(s, list), end = 0, used = 0;
    char *header = malloc(8192);
    assert_non_null(header);
    header[used++] = '{';
    for (size_t i = 0; i < tensors; i++) {
        size_t count = list[i].rows * (list[i].columns ? list[i].columns : 1);
        char shape[60];
        snprintf(shape, sizeof shape, list[i].columns ? "%zu,%zu" : "%zu", list[i].rows,
                 list[i].columns);
        used += (size_t)snprintf(header + used, 8192 - used,
                                 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                                 "\"data_offsets\":[%zu,%zu]}",
                                 i ? "," : "", list[i].name, shape, end, end + 4 * count);
        end += 4 * count;
    }
    header[used++] = '}';
    while (used % 8) header[used++] = ' ';
    char *all = malloc(8 + used + end);
    assert_non_null(all);
    uint64_t length = used;
    memcpy(all, &length, 8);
    memcpy(all + 8, header, used);
    uint32_t seed = 7;
    for (size_t i = 0; i < end / 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        float value = ((float)(seed >> 8) / 8388608.0f - 1) * 0.7f;
        memcpy(all + 8 + used + 4 * i, &value, 4);
    }
    folder_bytes(f, "model.safetensors", all, 8 + used + end);
    free(header);
    free(all);
}

static inline void llm_make(folder *f, const llm_shape *s)
{
    char text[4096];
    folder_make(f);
    snprintf(
        text, sizeof text,
        "{'format':'attn/1','name':'small llm','symbols':{'seq':{}},"
        "'inputs':{'ids':{'kind':'tokens','shape':['seq'],'range':[0,%d]},"
        " 'keep':{'shape':['seq'],'dtype':'i32','default':1}},"
        "'state':{'past':{'kind':'cache','rows':'seq','max':%d}},"
        "'graph':["
        "{'layer':'embedding','in':'ids','out':'x','weight':'embed'},"
        "{'layer':'add','in':'x','out':'x','weight':'positions','slice_rows':true,'past':'past'},"
        "{'repeat':%d,'index':'i','prefix':'l{i}.','graph':["
        " {'layer':'rms_norm','in':'x','out':'h','weight':'norm','eps':1e-6},"
        " {'layer':'linear','in':'h','out':'q','weight':'q','bias':false},"
        " {'layer':'linear','in':'h','out':'k','weight':'k','bias':false},"
        " {'layer':'linear','in':'h','out':'v','weight':'v','bias':false},"
        " {'layer':'attention','in':['q','k','v'],'out':'h','heads':%zu,'kv_heads':%zu,"
        "  'causal':true,'cache':'past'%s},"
        " {'layer':'linear','in':'h','out':'h','weight':'o','bias':false},"
        " {'layer':'add','in':['x','h'],'out':'x'},"
        " {'layer':'rms_norm','in':'x','out':'h','weight':'norm','eps':1e-6},"
        " {'layer':'linear','in':'h','out':'g','weight':'gate','bias':false},"
        " {'layer':'silu','in':'g','out':'g'},"
        " {'layer':'linear','in':'h','out':'u','weight':'up','bias':false},"
        " {'layer':'mul','in':['g','u'],'out':'h'},"
        " {'layer':'linear','in':'h','out':'h','weight':'down','bias':false},"
        " {'layer':'add','in':['x','h'],'out':'x'}]},"
        "{'layer':'linear','in':'x','out':'logits','weight':'embed','bias':false}],"
        "'outputs':{'logits':{}}}",
        LLM_VOCAB - 1, LLM_CONTEXT, LLM_LAYERS, s->heads, s->kv_heads, s->more ? s->more : "");
    folder_json(f, "attn.json", text);
    llm_weights(f, s);
}

/* ids: [batch, seq] rows of which lie `stride` apart, from column `first` on. logits: the rows of
 * the run, [batch, seq, LLM_VOCAB], copied to to + (item * stride + first) * LLM_VOCAB. */
static inline attn_status llm_run(attn_session *session, const int32_t *ids, const int32_t *keep,
                                  size_t batch, size_t stride, size_t first, size_t seq, float *to,
                                  attn_error *err)
{
    static int32_t part[512], flags[512]; /* they must live until the next run */
    attn_tensor in = {ATTN_I32, 2, {batch, seq}, part}, masked = {ATTN_I32, 2, {batch, seq}, flags},
                out;
    assert_true(batch * seq <= 512);
    for (size_t b = 0; b < batch; b++)
        for (size_t i = 0; i < seq; i++) {
            part[b * seq + i] = ids[b * stride + first + i];
            flags[b * seq + i] = keep ? keep[b * stride + first + i] : 1;
        }
    ATTN_TRY(attn_set_input(session, "ids", &in, err));
    ATTN_TRY(attn_set_input(session, "keep", keep ? &masked : NULL, err));
    ATTN_TRY(attn_prepare(session, err));
    ATTN_TRY(attn_run(session, err));
    ATTN_TRY(attn_output(session, "logits", &out, err));
    for (size_t b = 0; b < batch; b++)
        memcpy(to + (b * stride + first) * LLM_VOCAB, (const float *)out.data + b * seq * LLM_VOCAB,
               seq * LLM_VOCAB * sizeof *to);
    return ATTN_OK;
}

#endif
