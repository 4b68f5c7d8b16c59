/* attn generate: from the command line to a generator, and what it prints. */
#ifndef TOOLS_GENERATE_H
#define TOOLS_GENERATE_H

#include "runtime/attn_text.h"
#include "tools/cli_text.h"

typedef struct generate {
    const cli *cli;
    /* as given */
    const char *prompt, *file, *ids_text, *system, *template_name;
    bool chat, raw, echo;
    cli_list stop;
    attn_generator_options options;
    /* opened */
    attn_model *model;
    attn_tokenizer *tokenizer; /* NULL with --ids */
    attn_text_stream *stream;  /* the same */
    attn_generator *generator;
    int32_t *ids; /* the prompt */
    size_t count;
    int32_t stop_id[ATTN_MAX_STOPS];
} generate;

/* generate_prompt.c: everything that can fail before the first token. */
attn_status generate_open(generate *g, attn_error *err);
void generate_close(generate *g);

/* generate_run.c: writes the text as it comes; returns the exit status. */
int generate_run(generate *g);

#endif
