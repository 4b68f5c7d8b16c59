/* attention with leading dimensions: the bits of each attention alone, whatever stands for the
 * masks in front, the threads and the batch. */
#define _XOPEN_SOURCE 700

#include "runtime/session.h"
#include "tests/check.h"
#include "tests/runtime/folder.h"

enum { A = 2, B = 3, ITEMS = A * B, Q = 5, K = 7, HEADS = 2, DIM = 8, BATCH = 2 };

#define PLAIN                                                                                      \
    "{'format':'attn/1','name':'t','inputs':{'q':{'shape':[5,16]},'k':{'shape':[7,8]},"            \
    "'v':{'shape':[7,8]},'pad':{'shape':[7],'dtype':'i32'},'bias':{'shape':[2,5,7]},"              \
    "'mask':{'shape':[1,7],'dtype':'i32'}},'graph':[{'layer':'attention','in':['q','k','v'],"      \
    "'out':['y','w'],'heads':2,'kv_heads':1,'padding':'pad','bias':'bias','mask':'mask'}],"        \
    "'outputs':{'y':{},'w':{}}}"
#define LEAD                                                                                       \
    "{'format':'attn/1','name':'t','inputs':{'q':{'shape':[2,3,5,16]},'k':{'shape':[2,3,7,8]},"    \
    "'v':{'shape':[2,3,7,8]},'pad':{'shape':[2,3,7],'dtype':'i32'},'bias':{'shape':[%s2,5,7]},"    \
    "'mask':{'shape':[1,1,1,1,7],'dtype':'i32'}},'graph':[{'layer':'attention',"                   \
    "'in':['q','k','v'],'out':['y','w'],'heads':2,'kv_heads':1,'padding':'pad','bias':'bias',"     \
    "'mask':'mask'}],'outputs':{'y':{},'w':{}}}"

static float q[BATCH * ITEMS * Q * HEADS * DIM], k[BATCH * ITEMS * K * DIM],
    v[BATCH * ITEMS * K * DIM], bias[ITEMS * HEADS * Q * K];
static int32_t pad[BATCH * ITEMS * K], mask[K] = {1, 1, 0, 1, 1, 1, 1};

static void fill(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int)(seed >> 16) / 32768.0f - 1;
    }
}

static attn_model *open_text(folder *f, const char *text)
{
    attn_error err;
    attn_model *m;
    folder_make(f);
    folder_json(f, "attn.json", text);
    if (attn_model_open(&m, f->path, NULL, &err)) fail_msg("%s", err.text);
    return m;
}

static void set(attn_session *s, const char *name, attn_dtype dtype, void *data, int rank,
                const size_t *dim)
{
    attn_error err;
    attn_tensor t = {.dtype = dtype, .rank = rank, .data = data};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    if (attn_set_input(s, name, &t, &err)) fail_msg("%s", err.text);
}

static void get(attn_session *s, attn_tensor *y, attn_tensor *w)
{
    attn_error err;
    if (attn_prepare(s, &err) || attn_run(s, &err) || attn_output(s, "y", y, &err) ||
        attn_output(s, "w", w, &err))
        fail_msg("%s", err.text);
}

/* One attention, with item `at` of everything. */
static void run_alone(attn_session *s, size_t at, bool own_bias, float *y, float *w)
{
    static const size_t q_dim[] = {Q, HEADS * DIM}, k_dim[] = {K, DIM}, pad_dim[] = {K};
    static const size_t bias_dim[] = {HEADS, Q, K}, mask_dim[] = {1, K};
    attn_tensor a, b;
    set(s, "q", ATTN_F32, q + at * Q * HEADS * DIM, 2, q_dim);
    set(s, "k", ATTN_F32, k + at * K * DIM, 2, k_dim);
    set(s, "v", ATTN_F32, v + at * K * DIM, 2, k_dim);
    set(s, "pad", ATTN_I32, pad + at * K, 1, pad_dim);
    set(s, "bias", ATTN_F32, bias + (own_bias ? at % ITEMS * HEADS * Q * K : 0), 3, bias_dim);
    set(s, "mask", ATTN_I32, mask, 2, mask_dim);
    get(s, &a, &b);
    memcpy(y, a.data, sizeof(float) * Q * HEADS * DIM);
    memcpy(w, b.data, sizeof(float) * HEADS * Q * K);
}

static void check(const char *leads, bool own_bias, unsigned threads, size_t batch)
{
    static const size_t q_dim[] = {BATCH, A, B, Q, HEADS * DIM}, k_dim[] = {BATCH, A, B, K, DIM};
    static const size_t pad_dim[] = {BATCH, A, B, K}, bias_dim[] = {A, B, HEADS, Q, K};
    static const size_t mask_dim[] = {1, 1, 1, 1, K};
    char text[1200];
    folder f[2];
    attn_error err;
    attn_session *s, *alone;
    attn_tensor y, w;
    float want_y[Q * HEADS * DIM], want_w[HEADS * Q * K];
    snprintf(text, sizeof text, LEAD, leads);
    attn_model *m = open_text(&f[0], text), *plain = open_text(&f[1], PLAIN);
    attn_session_options options = {.threads = threads};
    if (attn_session_open(&s, m, &options, &err) || attn_session_open(&alone, plain, NULL, &err))
        fail_msg("%s", err.text);
    int skip = batch > 1 ? 0 : 1;
    set(s, "q", ATTN_F32, q, 5 - skip, q_dim + skip);
    set(s, "k", ATTN_F32, k, 5 - skip, k_dim + skip);
    set(s, "v", ATTN_F32, v, 5 - skip, k_dim + skip);
    set(s, "pad", ATTN_I32, pad, 4 - skip, pad_dim + skip);
    set(s, "bias", ATTN_F32, bias, own_bias ? 5 : 3, bias_dim + (own_bias ? 0 : 2));
    set(s, "mask", ATTN_I32, mask, 5, mask_dim);
    get(s, &y, &w);
    assert_int_equal(y.rank, (int)(batch > 1) + 4);
    assert_int_equal(w.rank, (int)(batch > 1) + 5);
    for (size_t i = 0; i < batch * ITEMS; i++) {
        run_alone(alone, i, own_bias, want_y, want_w);
        assert_memory_equal((float *)y.data + i * Q * HEADS * DIM, want_y, sizeof want_y);
        assert_memory_equal((float *)w.data + i * HEADS * Q * K, want_w, sizeof want_w);
    }
    attn_session_close(s);
    attn_session_close(alone);
    attn_model_close(m);
    attn_model_close(plain);
    folder_remove(&f[0]);
    folder_remove(&f[1]);
}

static void test_leads(void **state)
{
    (void)state;
    fill(q, sizeof q / sizeof *q, 1);
    fill(k, sizeof k / sizeof *k, 2);
    fill(v, sizeof v / sizeof *v, 3);
    fill(bias, sizeof bias / sizeof *bias, 4);
    for (size_t i = 0; i < sizeof pad / sizeof *pad; i++) pad[i] = (i * 7 + i / 5) % 4 != 0;
    for (unsigned threads = 1; threads <= 3; threads += 2)
        for (size_t batch = 1; batch <= BATCH; batch++) {
            check("2,3,", true, threads, batch);
            check("", false, threads, batch);
        }
}

static void test_errors(void **state)
{
    (void)state;
    static const char *const leads[] = {"1,3,", "3,", "2,2,"};
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        char text[1200];
        folder f;
        attn_error err;
        attn_model *m;
        snprintf(text, sizeof text, LEAD, leads[i]);
        folder_make(&f);
        folder_json(&f, "attn.json", text);
        assert_int_equal(attn_model_open(&m, f.path, NULL, &err), ATTN_BAD_MODEL);
        if (!strstr(err.text,
                    "which does not fit the leading dimensions of input 0, [2, 3, 5, 16]"))
            fail_msg("%s", err.text);
        folder_remove(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_leads), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
