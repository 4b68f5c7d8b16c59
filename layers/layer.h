/* The interface of a layer.
 *
 * A layer is a const struct of functions over plain data: `parse` turns the attributes of a node
 * of the description into its params struct, `infer` gives output shapes and scratch sizes for
 * input shapes, `run` computes. A layer owns nothing, allocates nothing, and cannot fail in run:
 * whatever a hostile file can say, parse and infer have refused.
 *
 * Shapes in this interface are those of one item. The batch is not a dimension: a value is either
 * batched (each item of the batch has its own data) or the same for every item (a weight, say);
 * a layer loops over the items by attn_item(), or, where its operation is one over rows, takes
 * the rows of all items at once by attn_rows().
 *
 * Only f32 and i32 values flow between layers.
 *
 * To add a layer: one file with one `const attn_layer attn_layer_<name>`, one line in
 * registry.def, one section in models/FORMAT.md.
 */
#ifndef ATTN_LAYER_H
#define ATTN_LAYER_H

#include "layers/kernels/kernels.h"
#include "runtime/attn.h"
#include "runtime/base/status.h"

/* The five steps of attention, and what is none of them. */
typedef enum attn_step {
    ATTN_STEP_ENCODE,
    ATTN_STEP_SCORE,
    ATTN_STEP_NORMALIZE,
    ATTN_STEP_SELECT,
    ATTN_STEP_HEAD,
    ATTN_STEP_SHARED,
    ATTN_STEP_ATTENTION, /* score, normalize and select in one */
} attn_step;

/* ---- shapes and data --------------------------------------------------------------------- */

typedef struct attn_shape {
    attn_dtype dtype; /* ATTN_F32 or ATTN_I32 */
    int rank;
    size_t dim[ATTN_MAX_RANK];
} attn_shape;

enum { ATTN_MAX_OPERANDS = 64 }; /* inputs, and outputs, of a node */

/* An operand of run. */
typedef struct attn_value {
    attn_shape shape; /* of one item */
    size_t count;     /* elements of one item */
    size_t stride;    /* elements from item to item: count, or 0 if the same for every item */
    void *data;
} attn_value;

/* ---- weights ----------------------------------------------------------------------------- */

/* A tensor of the weight file, validated. data has no particular alignment. */
typedef struct attn_weight {
    const char *name;
    attn_dtype dtype;
    int rank;
    size_t dim[ATTN_MAX_RANK];
    const void *data;
    size_t bytes;
    const struct attn_file *mapping; /* not NULL: the mapped file that data lies in */
    const char *file;                /* for messages */
    const char *unsupported; /* NULL, or the format's name of a dtype that attn does not read
                              * ("F64"): dtype then says U8, and no layer may use the tensor */
    const struct attn_integers *integers; /* not NULL: data is integers with scales, which
                                           * attn_weight_to_f32 makes floats of; dtype says U8 */
    const struct attn_blocks *blocks;     /* not NULL: data is blocks of a GGUF file (gguf.h), which
                                           * attn_weight_to_f32 makes floats of; dtype says U8 */
    const char *part_of;                  /* not NULL: belongs to the tensor of this name */
    const char *problem;                  /* not NULL: why no layer may use the tensor */
} attn_weight;

typedef enum attn_form {
    ATTN_PLAIN,    /* contiguous f32 */
    ATTN_ROWS,     /* some rows of a table at a time: contiguous f32, or as the file has it */
    ATTN_PANELS,   /* packed by attn_kernels.pack as [k, n] */
    ATTN_INTEGERS, /* contiguous i32, where PLAIN has f32; of a tensor of integers */
    ATTN_SPREAD,   /* f32 rows [n, k], attn_spread_rows(n, k) floats apart */
} attn_form;

/* Rows [rows, k] that a product reads side by side: the stride that they should have, in floats, or
 * k if they may follow each other. Rows a multiple of 4096 bytes apart share one set of a
 * first-level cache, which holds fewer of them than a tile has; a line more between them spreads
 * them. */
enum { ATTN_SPREAD_FLOATS = 16 };
static inline size_t attn_spread_rows(size_t rows, size_t k)
{
    enum { MOST_WAYS = 8, PAGE = 1024 };
    return k && k % PAGE == 0 && rows >= MOST_WAYS ? k + ATTN_SPREAD_FLOATS : k;
}

/* A weight as a layer uses it: parse fills all but data; the runtime converts or packs it and
 * sets data before the first run. Members of params structs. */
typedef struct attn_param {
    const attn_weight *source; /* NULL: the node has no such weight */
    attn_form form;
    int rank; /* of what the layer sees: source's shape, or the rows taken from it */
    size_t dim[ATTN_MAX_RANK];
    size_t first;  /* index of the first element in source */
    size_t k, n;   /* PANELS: the matrix [k, n] that is packed; SPREAD: n rows of k; */
    bool k_is_row; /* ... element (i, j) is row i, column j of source, otherwise row j, column i */
    bool any_type; /* PANELS: the layer takes panels of every type, not of f32 alone */
    attn_panel_type type; /* PANELS: f32, or what --dtype or the file asks for; known in infer */
    const float *data; /* PLAIN; INTEGERS; SPREAD; ROWS: may be NULL, and then widen() makes it from
                          source */
    void (*widen)(const attn_weight *source, size_t first, size_t count, float *to); /* ROWS */
    const void *panels;                                                              /* PANELS */
} attn_param;

/* PANELS: the panel that column j, a multiple of kernels->panel, begins. */
static inline const void *attn_panel(const attn_kernels *kernels, const attn_param *p, size_t j)
{
    return (const char *)p->panels + j / kernels->panel * kernels->panel_bytes(p->type, p->k);
}

/* ---- parse ------------------------------------------------------------------------------- */

/* The node that is being parsed: its attributes (expressions already evaluated), operands and
 * weights. Every attribute must be read by the layer; the runtime refuses what is left over.
 * Each function returns ATTN_OK, or an error that names file, node, key and values. `read_*`
 * leave *value as it was if the key is absent (set the default first); `need_*` demand it. A number
 * or flag that is null (as a config may say) counts as absent. */
typedef struct attn_reader attn_reader;

attn_status attn_read_size(attn_reader *r, const char *key, size_t min, size_t max, size_t *value);
attn_status attn_need_size(attn_reader *r, const char *key, size_t min, size_t max, size_t *value);
attn_status attn_read_int(attn_reader *r, const char *key, long min, long max, long *value);
attn_status attn_need_int(attn_reader *r, const char *key, long min, long max, long *value);
/* Finite numbers in [min, max]. */
attn_status attn_read_float(attn_reader *r, const char *key, double min, double max, float *value);
attn_status attn_need_float(attn_reader *r, const char *key, double min, double max, float *value);
attn_status attn_read_bool(attn_reader *r, const char *key, bool *value);
/* One of a list of words, which ends with NULL: *value is its index. */
attn_status attn_read_word(attn_reader *r, const char *key, const char *const *words, int *value);
/* A text as it stands; NULL if the key is absent. */
attn_status attn_read_text(attn_reader *r, const char *key, const char **text);
attn_status attn_need_word(attn_reader *r, const char *key, const char *const *words, int *value);
/* An integer or a list of at most `most` integers in [min, max]; *count is 0 if the key is absent.
 * A list entry may be the name of a symbolic dimension: it is stored as ATTN_SYMBOL(i), and
 * attn_resolve_dim() gives its size in infer. Only where `symbols` is true; only there may a list
 * be empty. */
attn_status attn_read_ints(attn_reader *r, const char *key, long min, long max, bool symbols,
                           int most, long *values, int *count);
#define ATTN_SYMBOL_BASE (-(1L << 60)) /* below every integer that a list may have */
#define ATTN_SYMBOL(i) (ATTN_SYMBOL_BASE - (long)(i))

/* Integers that shapes depend on: a list as above (`key`), or the elements of an i32 value that the
 * attribute "<key>_from" names, which must be known when a run is planned (attn_infer.known): a
 * constant, or what was computed from shapes and constants alone. Not both. */
enum { ATTN_MAX_INTS = 2 * ATTN_MAX_RANK };
typedef struct attn_ints {
    int operand; /* the value's place among the inputs, or -1: they are in value */
    int count;   /* 0 if both keys are absent, or the list is empty */
    bool given;  /* one of the keys is there */
    long min, max;
    long value[ATTN_MAX_INTS];
    const char *key;
} attn_ints;
attn_status attn_read_known_ints(attn_reader *r, const char *key, long min, long max,
                                 attn_ints *ints);

/* A number or a list of at most `most` numbers, where the texts "inf", "-inf" and "nan" are
 * numbers, too. *values lives as long as the model, and may be written to; NULL and 0 if the key is
 * absent. */
attn_status attn_read_numbers(attn_reader *r, const char *key, size_t most, double **values,
                              size_t *count, bool *is_list);

bool attn_has_key(const attn_reader *r, const char *key);

/* An attribute that is an object, such as a config's "rope_scaling". Between the two calls the
 * functions above read the object's keys instead of the node's; leaving it refuses a key that was
 * not read, unless its value is null. *found: false, and nothing to leave, if the attribute is
 * absent or null. */
attn_status attn_enter_object(attn_reader *r, const char *key, bool *found);
attn_status attn_leave_object(attn_reader *r);

/* The operands: "in" and "out" of the node. These check the number: min <= number <= max. */
attn_status attn_need_inputs(attn_reader *r, size_t min, size_t max, size_t *number);
attn_status attn_need_outputs(attn_reader *r, size_t min, size_t max, size_t *number);
/* A further operand that an attribute names, such as "padding": "mask". It is appended to the
 * inputs; *index is its place there, or -1 if the key is absent. Call after attn_need_inputs. */
attn_status attn_read_operand(attn_reader *r, const char *key, int *index);
/* The name of the model's cache, as in "past": "past": the node's rows stand at the positions from
 * attn_run_context.past on, or it keeps rows of its own there. *takes_part: is the key there? */
attn_status attn_read_cache(attn_reader *r, const char *key, bool *takes_part);

/* The weight whose name the attribute `key` gives, with `suffix` ("" or ".weight" ...) appended.
 * If the key is absent param->source is NULL. rank: the rank it must have, or -1 for any.
 * PLAIN form, whole tensor. */
attn_status attn_read_weight(attn_reader *r, const char *key, const char *suffix, int rank,
                             attn_param *param);
attn_status attn_need_weight(attn_reader *r, const char *key, const char *suffix, int rank,
                             attn_param *param);
/* The same for a weight that a layer takes in parts (attn_take_rows): *whole has its source and
 * dimensions, and is not bound. */
attn_status attn_read_whole(attn_reader *r, const char *key, int rank, attn_param *whole);
/* Rows [first, first + count) of its last dimension's length k, as f32 panels of [k, count]. */
attn_status attn_take_rows(attn_reader *r, const attn_param *whole, size_t first, size_t count,
                           attn_param *param);
/* A bias beside the weight that `key` names: "<name>.bias", rank 1. The attribute "bias" decides:
 * true or absent: it must exist; false: none (source NULL); a text: that tensor. */
attn_status attn_read_bias(attn_reader *r, const char *key, attn_param *param);
/* A matrix for gemm as [in, out] in PANELS form: "<name>.weight" is [out, in], or [in, out] if the
 * attribute "transposed" is true. The attribute "rows": [first, count] takes outputs
 * first .. first + count of a fused tensor; a bias read after it takes the same ones. */
attn_status attn_need_matrix(attn_reader *r, const char *key, size_t *in, size_t *out,
                             attn_param *param);

/* An error at this node: "FILE: graph[3] (linear): <text>". */
attn_status attn_reader_fail(attn_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- infer ------------------------------------------------------------------------------- */

/* A part of what a node keeps of one item from run to run: lanes, in each of which every `rows`
 * rows take the next `bytes` bytes. */
typedef struct attn_cache_part {
    size_t lanes;
    size_t lane_bytes; /* a multiple of 64; room for `context` rows */
    size_t rows, bytes;
} attn_cache_part;

enum { ATTN_CACHE_PARTS = 3 }; /* of a node */

typedef struct attn_infer {
    size_t inputs;
    const attn_shape *in; /* [inputs]: the order of "in", then further operands */
    size_t outputs;
    attn_shape *out; /* [outputs]: to be filled */
    size_t batch;    /* items of a run; 1 if nothing is batched */
    size_t workers;  /* threads, at least 1 */
    const attn_kernels *kernels;
    attn_panel_type products; /* what attention's products are computed with: F32, or BF16_DOT if
                                 the precision that was asked for allows it */
    const size_t *symbols;    /* sizes of the symbolic dimensions */
    /* [inputs]: the elements of an operand that is known as the plan is made, the same for every
     * item; NULL of the others, which are known in run alone. A node all of whose operands are
     * known is run as the plan is made, and what it gives is known to those that follow. */
    const void *const *known;
    /* Of the model's cache, for nodes that take part in it (attn_read_cache). One plan serves every
     * position: what depends on it is for run, but for nodes that set by_past. */
    size_t context;     /* rows that the session keeps; 0: none, each run stands alone, at row 0 */
    size_t appended;    /* rows of this run; past + appended <= context, if there is one */
    size_t past;        /* rows before it, as the plan is made */
    bool by_past;       /* to be set where an output's shape depends on past */
    size_t cache_parts; /* to be filled: what the node keeps, if there is a context */
    attn_cache_part cache[ATTN_CACHE_PARTS];
    /* Bytes of scratch to be filled (0 before): shared by all workers, and for each worker. */
    size_t scratch, worker_scratch;
    /* An upper estimate of the multiply-adds of one item, for `attn inspect` and `bench`. */
    double flops;
    const char *place; /* "FILE: graph[3] (linear)" */
    attn_error *err;
} attn_infer;

/* An error at this node (ATTN_BAD_MODEL), with its place. */
attn_status attn_infer_fail(attn_infer *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The operand must have this dtype, and a rank in [min, max]. */
attn_status attn_want(attn_infer *c, size_t input, attn_dtype dtype, int min_rank, int max_rank);
/* The operand's elements, or an error at this node: `what` ("the shape") depends on the data. */
attn_status attn_want_known(attn_infer *c, size_t input, const char *what, const void **data);
/* The integers of attn_read_known_ints: at most `most` into out[0..*count). Each is checked against
 * its min and max. */
attn_status attn_infer_ints(attn_infer *c, const attn_ints *ints, int most, long *out, int *count);
/* value, or the size of the symbolic dimension that it stands for. */
static inline long attn_resolve_dim(const attn_infer *c, long value)
{
    return value <= ATTN_SYMBOL_BASE ? (long)c->symbols[ATTN_SYMBOL_BASE - value] : value;
}
/* count * size into *bytes, rounded up to 64 and added to what is there; an error on overflow. */
attn_status attn_add_scratch(attn_infer *c, size_t count, size_t size, size_t *bytes);

/* ---- run --------------------------------------------------------------------------------- */

typedef void (*attn_task)(void *arg, size_t task, size_t worker);

typedef struct attn_run_context {
    const attn_value *in;
    attn_value *out;
    size_t outputs; /* the node's, or one more (ATTN_SHOWS_WEIGHTS) */
    size_t batch;   /* items of out: 1 if out is not batched */
    const attn_kernels *kernels;
    attn_panel_type products; /* as in infer */
    const size_t *symbols;    /* as in infer */
    size_t past;              /* rows of the model's cache before this run: the position of row 0 */
    size_t text;              /* rows that the whole text has, as far as is known; or 0 */
    size_t context;           /* as in infer */
    char *cache;              /* the node's parts of item 0, one after the other, 64-byte aligned */
    size_t cache_stride;      /* bytes from item to item */
    size_t workers;
    void *scratch; /* 64-byte aligned, as many bytes as infer asked for */
    char *worker_scratch;
    size_t worker_scratch_size; /* bytes from worker to worker */
    /* Calls task(arg, i, worker) for every i < tasks, on several threads; returns when all are
     * done. The tasks must write to different places. worker < workers. */
    void (*parallel)(void *pool, size_t tasks, attn_task task, void *arg);
    void *pool;
} attn_run_context;

/* What attn_infer_ints gave. */
int attn_run_ints(const attn_run_context *c, const attn_ints *ints, long *out);

static inline float *attn_item(const attn_value *v, size_t item)
{
    return (float *)v->data + item * v->stride;
}
static inline int32_t *attn_item_i32(const attn_value *v, size_t item)
{
    return (int32_t *)v->data + item * v->stride;
}
/* Rows of the last dimension in one item. */
static inline size_t attn_rows(const attn_value *v)
{
    size_t last = v->shape.rank ? v->shape.dim[v->shape.rank - 1] : 1;
    return last ? v->count / last : 0;
}
static inline void *attn_worker_scratch(const attn_run_context *c, size_t worker)
{
    return c->worker_scratch + worker * c->worker_scratch_size;
}
/* How to cut `count` things into tasks of at least about `grain`: nearly equal ones, and enough for
 * the workers to balance. Task t is [t * *size, min(count, (t + 1) * *size)). The result never
 * depends on it. */
static inline size_t attn_split(size_t count, size_t grain, size_t workers, size_t *size)
{
    size_t most = grain ? count / grain : count, tasks = workers > 1 ? workers * 4 : 1;
    if (tasks > most) tasks = most;
    if (tasks > workers) tasks -= tasks % workers;
    if (tasks == 0) tasks = 1;
    *size = count / tasks + (count % tasks != 0);
    if (*size == 0) *size = 1;
    return (count + *size - 1) / *size;
}

/* ---- the layer --------------------------------------------------------------------------- */

enum {
    ATTN_IN_PLACE = 1,      /* out[0] may be the very buffer of in[0], if their sizes are equal */
    ATTN_IN_PLACE_LAST = 4, /* the same for the last of at least two inputs, if no other input is
                               in that buffer */
    ATTN_BY_SHAPE = 16,     /* what it gives depends on the shapes of its inputs alone */
    ATTN_CHOOSES = 32,      /* input 0, one integer, must be known: if it is not 0 input 1 is taken,
                               else input 2; what only the other one needs is not computed */
    ATTN_TAKES_EMPTY = 64,  /* inputs that are known as the plan is made, and what it gives of them,
                               may have no elements; all others always have some */
    ATTN_NEVER_KNOWN = 8,   /* not to be run as the plan is made, whatever its operands are */
    ATTN_SHOWS_WEIGHTS = 2, /* one more output than the node names is possible: the attention
                               weights, which the runtime asks for to keep them */
};

typedef struct attn_layer {
    const char *name;
    attn_step step;
    unsigned flags;
    size_t params_size; /* of its params struct, which starts zeroed */
    attn_status (*parse)(attn_reader *r, void *params);
    attn_status (*infer)(attn_infer *c, const void *params);
    void (*run)(const attn_run_context *c, const void *params);
    /* NULL but for layers without inputs whose one output exists already, as a weight does: where
     * its elements lie (4 bytes each, aligned for them). Such a node is no step of a run. */
    const void *(*constant)(const void *params);
    /* NULL but for layers that take part in the cache and rotate texts of more rows than this, or
     * than 0 none, otherwise: what was kept of a shorter text is then of no use. */
    size_t (*turn)(const void *params);
} attn_layer;

/* NULL if there is no such layer. */
const attn_layer *attn_layer_find(const char *name);
/* All of them, ended by NULL. */
extern const attn_layer *const attn_layers[];

#endif
