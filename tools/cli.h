/* What the sub-commands share: options, messages, inputs. */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include "runtime/session.h"

enum { EXIT_DONE = 0, EXIT_BAD = 1, EXIT_USAGE = 2 };

/* The arguments of a command, read by cli_options and then in order. */
typedef struct cli {
    const char *command; /* "classify" */
    const char *usage;   /* "MODEL IMAGE... [--top K]" */
    size_t count;        /* positional arguments */
    const char **argument;
    /* the options of every command */
    unsigned threads;
    attn_precision precision;
    bool json, quiet;
} cli;

typedef enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_NUMBER, CLI_REAL, CLI_LIST } cli_kind;

enum { CLI_LIST_MAX = 64 };

typedef struct cli_list {
    size_t count;
    const char *item[CLI_LIST_MAX];
} cli_list;

/* An option of one command: "--top", a number in [min, max]; of a CLI_REAL min = max is any number.
 * target: bool, const char *, size_t, float or cli_list by kind. */
typedef struct cli_option {
    const char *name;
    cli_kind kind;
    void *target;
    size_t min, max;
} cli_option;

/* Sorts argv into options and positional arguments (in place). options: ended by a NULL name.
 * False, with a message printed, for wrong usage; *status is then the exit status. */
bool cli_options(cli *c, int argc, char **argv, const cli_option *options, int *status);

/* Prints "attn: <text>" to standard error; returns EXIT_BAD. */
int cli_error(const attn_error *err);
/* The same of one of several inputs; with --json an entry of the results (NULL: none), too. */
int cli_refused(cJSON *results, const char *input, const attn_error *err);
int cli_usage(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The options of a model that the command line gives. */
attn_model_options cli_model_options(const cli *c);

/* The model, with the common options; prints its notice. */
attn_status cli_open_model(const cli *c, const char *path, attn_model **model, attn_error *err);

/* The model and a session on it, with the common options. */
attn_status cli_open(const cli *c, const char *path, const attn_session_options *options,
                     attn_model **model, attn_session **session, attn_error *err);

/* What --max-mem gives to all that the command opens and allocates. */
attn_budget *cli_budget(void);
/* The command's own memory, within it. */
attn_memory *cli_memory(void);

/* An input as the command line names it: NAME=VALUE, or VALUE for the only input. VALUE is a .npy
 * file, a JSON array such as [[1,2],[3,4]], or, for an image input, an image file. */
typedef struct cli_input {
    const char *name;  /* NULL: the only input */
    const char *value; /* the text after "=" */
    const char *photo; /* the image file, if it is one */
    attn_tensor tensor;
    size_t bytes; /* of tensor.data, ours */
} cli_input;

attn_status cli_set_input(attn_session *session, const char *text, cli_input *input,
                          attn_error *err);
void cli_free_input(cli_input *input);

/* JSON to standard output, with a line feed; the tree is freed. EXIT_BAD if it is NULL (memory). */
int cli_print_json(cJSON *root, int status);
/* A tensor as nested lists (f32 and integers). */
cJSON *cli_tensor_json(const attn_tensor *t);
/* "[3, 224, 224]" as a list. */
cJSON *cli_shape_json(const size_t *dim, int rank);

/* A bar on standard error, only if it is a terminal and not --quiet. */
void cli_progress(const cli *c, size_t done, size_t total);

double cli_seconds(void); /* a monotonic clock */

/* The commands: argv without "attn COMMAND". */
int cmd_classify(int argc, char **argv);
int cmd_read(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_answer(int argc, char **argv);
int cmd_fill(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_describe(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_pack(int argc, char **argv);

#endif
