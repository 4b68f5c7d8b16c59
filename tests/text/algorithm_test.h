/* A tokenizer's model alone, from the JSON of its "model" object: ' stands for ". */
#ifndef ATTN_TESTS_ALGORITHM_H
#define ATTN_TESTS_ALGORITHM_H

#include "runtime/inputs/tokenizer/algorithm.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

typedef struct algorithm_test {
    attn_memory memory;
    attn_arena arena;
    attn_vocabulary vocabulary;
    const attn_algorithm *algorithm;
    void *self;
    attn_tokenizer_work work;
    attn_pieces pieces;
} algorithm_test;

static inline void algorithm_close(algorithm_test *t)
{
    if (t->algorithm->close_work) t->algorithm->close_work(&t->work);
    attn_pieces_free(&t->pieces);
    attn_arena_free(&t->arena);
    assert_int_equal(t->memory.used, 0);
}

/* Closed again if it fails. */
static inline attn_status algorithm_build(algorithm_test *t, const attn_algorithm *algorithm,
                                          const cJSON *model, attn_error *err)
{
    *t = (algorithm_test){.algorithm = algorithm};
    attn_memory_init(&t->memory, NULL, 0);
    attn_arena_init(&t->arena, &t->memory);
    t->work.memory = t->pieces.memory = &t->memory;
    t->self = attn_arena_get(&t->arena, 1, algorithm->size, err);
    assert_non_null(t->self);
    attn_status status =
        algorithm->build(t->self, model, "bad.json", &t->vocabulary, &t->arena, err);
    if (status) algorithm_close(t);
    return status;
}

static inline cJSON *algorithm_json(const char *text)
{
    cJSON *root;
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    for (size_t i = 0; i <= length; i++) copy[i] = text[i] == '\'' ? '"' : text[i];
    attn_error err = {0};
    if (attn_json_parse("bad.json", copy, length, &root, &err)) fail_msg("%s", err.text);
    free(copy);
    return root;
}

static inline attn_status algorithm_open(algorithm_test *t, const attn_algorithm *algorithm,
                                         const char *text, attn_error *err)
{
    cJSON *root = algorithm_json(text);
    attn_status status = algorithm_build(t, algorithm, root, err);
    cJSON_Delete(root);
    return status;
}

/* The pieces stay in t->pieces. */
static inline attn_status algorithm_encode(algorithm_test *t, const char *text, size_t length,
                                           attn_error *err)
{
    t->pieces.count = 0;
    return t->algorithm->encode(t->self, &t->vocabulary, text, length, &t->work, &t->pieces, err);
}

#endif
