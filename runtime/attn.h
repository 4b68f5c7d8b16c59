/* attn: a runtime for small attention models.
 *
 * The one public header. The life of a model:
 *
 *     attn_model_open      folder or description file -> immutable model, shared by threads
 *     attn_session_open    model -> session: thread pool, plan and memory of one caller
 *     attn_set_input/_image   name the data of each input
 *     attn_prepare         plan for these shapes; peak memory is known and bounded here
 *     attn_run             run the plan; allocates nothing
 *     attn_output          look at the results; valid until the next attn_prepare or attn_run
 *
 * Whoever opens closes; every close function accepts NULL. A fallible function returns
 * attn_status and, if `err` is not NULL, fills err->status and one line of text that names the
 * file, the place and the values. On failure an opened object is set to NULL.
 * The library never prints, exits or aborts.
 *
 * Threads: a model may be used by any number of threads at once; a session by one at a time.
 */
#ifndef ATTN_H
#define ATTN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define ATTN_API
#else
#define ATTN_API __attribute__((visibility("default")))
#endif

#define ATTN_VERSION "0.1.0"

/* ---- status ------------------------------------------------------------------------------ */

/* Codes and texts from one list. */
#define ATTN_STATUS_LIST(X)                                                                        \
    X(ATTN_OK, "done")                                                                             \
    X(ATTN_NO_MEMORY, "out of memory")                                                             \
    X(ATTN_BAD_ARGUMENT, "wrong use of the library")                                               \
    X(ATTN_IO, "a file cannot be read or written")                                                 \
    X(ATTN_BAD_FILE, "a file is malformed")                                                        \
    X(ATTN_BAD_MODEL, "description, config and weights do not fit together")                       \
    X(ATTN_BAD_INPUT, "an input does not fit the model")                                           \
    X(ATTN_LIMIT, "a limit would be exceeded")

typedef enum attn_status {
#define ATTN_STATUS_ENUM(code, text) code,
    ATTN_STATUS_LIST(ATTN_STATUS_ENUM)
#undef ATTN_STATUS_ENUM
} attn_status;

typedef struct attn_error {
    attn_status status;
    char text[512]; /* one line, no line feed, always terminated */
} attn_error;

/* "ATTN_BAD_FILE" and "a file is malformed" of a status; never NULL. */
ATTN_API const char *attn_status_name(attn_status status);
ATTN_API const char *attn_status_text(attn_status status);
ATTN_API const char *attn_version(void);

/* ---- tensors ----------------------------------------------------------------------------- */

#define ATTN_MAX_RANK 8

typedef enum attn_dtype {
    ATTN_F32,
    ATTN_F16,
    ATTN_BF16,
    ATTN_I64,
    ATTN_I32,
    ATTN_U8,
    ATTN_BOOL,
} attn_dtype;

ATTN_API size_t attn_dtype_size(attn_dtype dtype);      /* bytes of an element */
ATTN_API const char *attn_dtype_name(attn_dtype dtype); /* "f32" */

/* A view of an array: C order, contiguous, data aligned for its dtype. It owns nothing. */
typedef struct attn_tensor {
    attn_dtype dtype;
    int rank;
    size_t dim[ATTN_MAX_RANK];
    void *data;
} attn_tensor;

/* ---- memory ------------------------------------------------------------------------------ */

/* alloc returns memory aligned to 64 bytes, or NULL; release accepts NULL. Both may be called
 * from the threads that use the model. Files are mapped, not allocated. */
typedef struct attn_allocator {
    void *(*alloc)(void *user, size_t size);
    void (*release)(void *user, void *memory);
    void *user;
} attn_allocator;

/* One limit for several: what is opened with the same budget takes its part from it before it
 * allocates. Zero it but for `limit`; it must outlive what was opened with it, and may be shared by
 * threads. `held` can be looked at. Not in it: mapped files, and trees of JSON and decoded texts,
 * which are bounded by the files and texts that they come from (the tree of a tokenizer.json is in,
 * as long as it is there). */
#define ATTN_HOLDER_LIST(X)                                                                        \
    X(ATTN_HELD_BY_MODEL, "the model")                                                             \
    X(ATTN_HELD_BY_TOKENIZER, "the tokenizer")                                                     \
    X(ATTN_HELD_BY_SESSION, "the session")                                                         \
    X(ATTN_HELD_BY_GENERATION, "the generation")                                                   \
    X(ATTN_HELD_BY_COMMAND, "the command")

typedef enum attn_holder {
#define ATTN_HOLDER_ENUM(code, text) code,
    ATTN_HOLDER_LIST(ATTN_HOLDER_ENUM)
#undef ATTN_HOLDER_ENUM
        ATTN_HOLDERS
} attn_holder;

typedef struct attn_budget {
    size_t limit; /* bytes; 0: none */
    size_t used;
    size_t held[ATTN_HOLDERS];
} attn_budget;

/* ---- model ------------------------------------------------------------------------------- */

typedef struct attn_model attn_model;

/* What the matrices of linear and patch_embed layers are kept and multiplied in. Everything else
 * (norms, biases, embeddings) stays f32; but the products of attention are those of bf16 in
 * ATTN_IN_BF16 and ATTN_IN_INT8. */
typedef enum attn_precision {
    ATTN_AS_FILE, /* as the file says: f32, f16 and bf16 give the bits of f32 arithmetic on the
                   * file's exact values; what `attn pack` wrote runs as it was packed */
    ATTN_IN_F32,
    ATTN_IN_BF16, /* weights and inputs rounded to bf16, sums in f32 */
    ATTN_IN_F16,  /* weights rounded to f16 */
    ATTN_IN_INT8, /* integers, one scale per output; inputs too, one scale per row */
    ATTN_IN_INT4, /* weights in groups of 32 integers with one scale */
} attn_precision;

typedef struct attn_model_options {
    const attn_allocator *allocator; /* NULL: malloc; the struct is copied */
    size_t max_memory;               /* bytes for the model's own memory; 0: no limit */
    attn_precision precision;
    bool plain_import; /* an .onnx file: operator by operator, none recognised as part of a layer */
    attn_budget *budget; /* NULL, or what the model, its sessions and generators share */
} attn_model_options;

/* Opens `path`: a folder with attn.json, or with a config.json that a built-in description
 * matches; or a description file, whose weights lie beside it. Everything is checked here:
 * description, config, weights and every shape that does not depend on the input.
 * options may be NULL. */
ATTN_API attn_status attn_model_open(attn_model **out, const char *path,
                                     const attn_model_options *options, attn_error *err);
ATTN_API void attn_model_close(attn_model *model);
ATTN_API const char *attn_model_name(const attn_model *model);
/* NULL, or one line for the user: a file of kept panels (`attn pack --panels`) lies beside the
 * weights, and why it is not used. Nothing is wrong but the time it would have saved. */
ATTN_API const char *attn_model_notice(const attn_model *model);

/* ---- session ----------------------------------------------------------------------------- */

typedef struct attn_session attn_session;

typedef struct attn_session_options {
    unsigned threads;    /* 0: one per core this process may use */
    size_t max_memory;   /* bytes for one session (arena, state and caches); 0: no limit */
    size_t context;      /* rows of the caches, if the model has any (models/FORMAT.md, State): all
                          * that one text may have. 0: nothing is kept, each run stands alone */
    bool keep_attention; /* keep every attention map for attn_get_map */
    bool no_fusion;      /* run each layer of the description as it stands (for tracing) */
} attn_session_options;

/* The model must outlive the session. options may be NULL. */
ATTN_API attn_status attn_session_open(attn_session **out, const attn_model *model,
                                       const attn_session_options *options, attn_error *err);
ATTN_API void attn_session_close(attn_session *session);

/* Names the data of input `name`; it is read by every attn_run that follows and must live so long.
 * The shape is the input's shape in the description, or that shape with one leading dimension
 * more: the batch, which all batched inputs share. `name` NULL: the model's only input,
 * or the only one without a default.
 * `value` NULL: the input is set no more; its default stands for it, if the description has one.
 * Errors: no such input; rank or dtype do not fit (f32 inputs take any dtype, i32 inputs take i64,
 * i32, u8, bool). Sizes are compared by attn_prepare. */
ATTN_API attn_status attn_set_input(attn_session *session, const char *name,
                                    const attn_tensor *value, attn_error *err);

/* Reads an image file and turns it into input `name` as the description's "image" or the folder's
 * preprocessor_config.json says. The session keeps the data. `name` NULL: the model's only image
 * input. */
ATTN_API attn_status attn_set_image(attn_session *session, const char *name, const char *file,
                                    attn_error *err);

/* Plans for the inputs that are set; those without a default must be. Everything that can fail for
 * reasons of shape or memory fails here: shapes that do not fit a layer, a bound that would be
 * exceeded. */
ATTN_API attn_status attn_prepare(attn_session *session, attn_error *err);

/* Runs the prepared plan. Allocates nothing. Fails only if attn_prepare was not called for these
 * inputs, if an integer input holds a value outside its declared range, or if the caches are full
 * (ATTN_LIMIT). */
ATTN_API attn_status attn_run(attn_session *session, attn_error *err);

/* The result `name` (NULL: the only one) of the last run. A batched result has the batch as its
 * first dimension. The data belongs to the session. */
ATTN_API attn_status attn_output(const attn_session *session, const char *name, attn_tensor *out,
                                 attn_error *err);

/* Sets the state that lives across runs back to zero, and forgets what the caches keep. */
ATTN_API void attn_reset(attn_session *session);

/* Models with a cache, in a session with a `context`: a run appends its rows, those of its tokens
 * say, after the `past` rows of the runs before; all that the model says of them is what it would
 * say in one run, bit for bit. Too many rows are an error (ATTN_LIMIT) of attn_prepare or attn_run.
 *   past     rows that are kept
 *   rewind   keeps the first `past` of them and forgets the others (ATTN_BAD_ARGUMENT: there are
 *            not so many)
 *   reorder  the caches then have `count` items, the batch of the runs that follow; item i is what
 *            item parent[i] was. For beams: {0, 0, 0} makes three of one. It allocates only where
 *            there have not been so many items; after it attn_prepare is due, if count is another.
 *            Errors: no cache yet, a parent that does not exist, memory. */
ATTN_API size_t attn_past(const attn_session *session);
ATTN_API attn_status attn_rewind(attn_session *session, size_t past, attn_error *err);
ATTN_API attn_status attn_reorder(attn_session *session, const size_t *parent, size_t count,
                                  attn_error *err);

/* Bytes that the session holds: arena, state and input buffers. Known after attn_prepare. */
ATTN_API size_t attn_session_memory(const attn_session *session);

typedef struct attn_class {
    size_t index;
    const char *label; /* from the folder's labels, or NULL; belongs to the model */
    float probability; /* softmax of the logits, or what the description says of this output:
                        * the sigmoid of each (of one class alone, too), or the logit itself */
} attn_class;

/* The k most probable classes of batch item `item` of output `name`, most probable first (equal
 * ones by index). Writes min(k, classes) entries and their number to *count. */
ATTN_API attn_status attn_top(const attn_session *session, const char *name, size_t item, size_t k,
                              attn_class *top, size_t *count, attn_error *err);

/* Text that a model reads in a picture: an output of kind slots (each row is a character or a
 * filler) or ctc (equal rows in a row are one character, and the blank is none). */
typedef struct attn_character {
    const char *text;  /* UTF-8, from the description's "keys"; belongs to the model */
    size_t index;      /* its column */
    size_t row;        /* the row, of several the first */
    float probability; /* as of attn_class */
} attn_character;

/* The characters of batch item `item` of output `name` (NULL: the only one of such a kind): the
 * first `room` of them are written, and how many there are to *count. The text is their texts, one
 * after the other. confidence (or NULL): the mean of the probabilities, of slots those of the
 * fillers too; 0 if there is none. Errors: no such output or item, before attn_run, a row without a
 * largest number. */
ATTN_API attn_status attn_read(const attn_session *session, const char *name, size_t item,
                               size_t room, attn_character *character, size_t *count,
                               float *confidence, attn_error *err);

/* With keep_attention: how many attention maps the last run has kept, and the map `index`, in the
 * order of the graph. weights: [heads, queries, keys] (an attention pooling: [keys]), with the
 * batch in front if there is one; the data belongs to the session. */
typedef struct attn_map {
    const char *node; /* the layer's name, "encoder.layer.0.attention" */
    attn_tensor weights;
} attn_map;
ATTN_API size_t attn_map_count(const attn_session *session);
ATTN_API attn_status attn_get_map(const attn_session *session, size_t index, attn_map *map,
                                  attn_error *err);

/* ---- choosing a token --------------------------------------------------------------------- */

/* How a token is chosen from a row of logits; all zero: the most probable one, of equal ones the
 * first. What is set works in the order of this list, as transformers' processors do. */
typedef struct attn_sampling {
    float repetition_penalty; /* logits of ids that the text so far holds, the prompt included, are
                               * divided by it if positive, else multiplied; 0 or 1: none */
    float frequency_penalty;  /* subtracted as often as the id was generated */
    float presence_penalty;   /* subtracted once if the id was generated */
    float temperature;        /* logits are divided by it; 0: the most probable one is taken */
    size_t top_k;             /* the k most probable, and those equal to the last; 0: all */
    float top_p;              /* the most probable that together reach it; 0 or 1: all */
    float min_p;              /* those at least so probable, compared with the best; 0: all */
    uint64_t seed;            /* the same seed gives the same tokens, on every machine */
} attn_sampling;

/* When a beam search ends, as transformers' early_stopping says. */
typedef enum attn_early_stopping {
    ATTN_STOP_LIKELY,      /* false: when no running beam is likely to beat a finished one */
    ATTN_STOP_WHEN_FULL,   /* true: when as many sequences as beams have finished */
    ATTN_STOP_NEVER_EARLY, /* "never": when no running beam can beat a finished one */
} attn_early_stopping;

/* ---- generation --------------------------------------------------------------------------- */

/* The ids that the folder's generation_config.json, or else config.json, names; or the metadata of
 * the GGUF file. */
enum { ATTN_MAX_STOPS = 64 };
typedef struct attn_special_ids {
    int32_t bos; /* begins a text; -1: none is named */
    size_t stops;
    int32_t stop[ATTN_MAX_STOPS]; /* end a text ("eos_token_id") */
} attn_special_ids;
ATTN_API attn_status attn_model_special_ids(const attn_model *model, attn_special_ids *ids,
                                            attn_error *err);

typedef struct attn_generator_options {
    attn_sampling sampling;
    size_t max_tokens; /* so many at most; 0: 256, or what the model's context leaves */
    size_t beams;      /* 2 and more: beam search, which takes no sampling but the repetition
                        * penalty; all tokens come when it has ended */
    float length_penalty;
    attn_early_stopping early_stopping;
    size_t stops;
    const int32_t *stop; /* ids that end the text; NULL: those of attn_model_special_ids */
    size_t context;      /* tokens that are kept; 0: the prompt's and max_tokens */
    size_t block;        /* tokens of the prompt that are run at once; 0: 256 */
    bool window;         /* where the context is full, the older half of it is dropped and the newer
                          * run again; without it a text that may outgrow it is an error */
    bool no_cache;       /* every token runs the whole text again */
    unsigned threads;
    size_t max_memory; /* bytes of the generator and its session; 0: no limit */
} attn_generator_options;

/* What the folder's generation_config.json asks for (do_sample, temperature, top_k, top_p, min_p,
 * repetition_penalty, num_beams, length_penalty, early_stopping, max_new_tokens, with transformers'
 * defaults), over what *options holds; no such file: nothing is changed. */
ATTN_API attn_status attn_generation_config(const attn_model *model,
                                            attn_generator_options *options, attn_error *err);

typedef enum attn_finish {
    ATTN_GOES_ON,
    ATTN_FINISH_STOP,   /* the last token is one of the stop ids */
    ATTN_FINISH_LENGTH, /* there are max_tokens */
} attn_finish;

/* Writes on from a prompt of token ids. The model has one input of tokens, and an output "logits"
 * (or only one): those of the last token, [vocabulary], or of each, [seq, vocabulary].
 *
 *     attn_generator_open    checks the ids and lengths, and takes all the memory that is needed
 *     attn_generator_start   runs the prompt
 *     attn_generator_next    the next token, until *finish is not ATTN_GOES_ON
 *
 * The same tokens come whatever the threads, the block and the use of the cache. The model must
 * outlive the generator. options may be NULL: greedy. Errors: an id that the model does not take, a
 * text longer than its context (ATTN_LIMIT), no memory for it (ATTN_LIMIT), logits with NaN. */
typedef struct attn_generator attn_generator;
ATTN_API attn_status attn_generator_open(attn_generator **out, const attn_model *model,
                                         const int32_t *prompt, size_t count,
                                         const attn_generator_options *options, attn_error *err);
ATTN_API void attn_generator_close(attn_generator *generator);
ATTN_API attn_status attn_generator_start(attn_generator *generator, attn_error *err);
/* *id: the token, also where it ends the text; -1 after the end. Starts if that was not done. */
ATTN_API attn_status attn_generator_next(attn_generator *generator, int32_t *id,
                                         attn_finish *finish, attn_error *err);
/* Bytes that it holds: known after attn_generator_open. */
ATTN_API size_t attn_generator_memory(const attn_generator *generator);

#ifdef __cplusplus
}
#endif
#endif
