/* The folder of `attn pack`: made under another name beside it, and renamed when it is whole. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/weights/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct folder {
    char path[400]; /* under which it is made */
    attn_error *err;
} folder;

static attn_status fail(const folder *f, const char *path)
{
    return attn_fail(f->err, ATTN_IO, "%s: %s", path, strerror(errno));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *name, const char *end)
{
    size_t a = strlen(name), b = strlen(end);
    return a >= b && strcmp(name + a - b, end) == 0;
}

/* name: it may be "MODULE/FILE". */
static attn_status create(const folder *f, const char *name, char *path, size_t size,
                          attn_output_file *out)
{
    if (snprintf(path, size, "%s/%s", f->path, name) >= (int)size)
        return attn_fail(f->err, ATTN_IO, "%s: the name is too long", name);
    *out = (attn_output_file){open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), path};
    return out->fd < 0 ? fail(f, path) : ATTN_OK;
}

/* Written through to the disk, so that a full one is noticed. */
static attn_status finish(const folder *f, const attn_output_file *out, attn_status status)
{
    if (!status && fsync(out->fd) != 0 && errno != EINVAL) status = fail(f, out->path);
    if (close(out->fd) != 0 && !status) status = fail(f, out->path);
    return status;
}

static attn_status write_text(const folder *f, const char *name, const void *data, size_t size)
{
    char path[600];
    attn_output_file out;
    ATTN_TRY(create(f, name, path, sizeof path, &out));
    return finish(f, &out, attn_write_at(&out, 0, data, size, f->err));
}

static attn_status copy_file(const folder *f, const char *from, const char *name)
{
    attn_file file;
    ATTN_TRY(attn_file_map(&file, from, f->err));
    attn_status status = write_text(f, name, file.data, file.size);
    attn_file_unmap(&file);
    return status;
}

/* Configs, labels, preprocessing, tokenizers: all that lies beside weights and is no weights. An
 * ONNX file may lie anywhere: of what is beside it, the names that say what they are. */
static bool is_companion(const attn_model *m, const char *name)
{
    static const char *const known[] = {"config.json",
                                        "config_sentence_transformers.json",
                                        "sentence_bert_config.json",
                                        "modules.json",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "generation_config.json",
                                        "preprocessor_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "vocab.json",
                                        "vocab.txt",
                                        "merges.txt",
                                        "tokenizer.model",
                                        "spiece.model",
                                        "sentencepiece.bpe.model",
                                        NULL};
    static const char *const ends[] = {".json", ".txt", ".model", ".spm", ".jinja", NULL};
    for (int i = 0; m->imported && known[i]; i++)
        if (strcmp(name, known[i]) == 0) return true;
    if (m->imported || name[0] == '.' || ends_with(name, ".index.json")) return false;
    for (int i = 0; ends[i]; i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

/* "1_Pooling", "2_Dense": a module of sentence-transformers, which modules.json names. */
static bool is_module(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits && name[digits] == '_' && name[digits + 1];
}

/* The files of a module; a folder without any is none. */
static attn_status copy_module(const folder *f, const attn_model *m, const char *name)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[600], to[600];
        if (snprintf(from, sizeof from, "%s/%s/%s", m->folder, name, files[i]) >=
                (int)sizeof from ||
            snprintf(to, sizeof to, "%s/%s", f->path, name) >= (int)sizeof to)
            return attn_fail(f->err, ATTN_IO, "%s: the name is too long", name);
        if (!attn_file_exists(from)) continue;
        if (mkdir(to, 0777) != 0 && errno != EEXIST) return fail(f, to);
        snprintf(to, sizeof to, "%s/%s", name, files[i]);
        ATTN_TRY(copy_file(f, from, to));
    }
    return ATTN_OK;
}

static attn_status copy_companions(const folder *f, const attn_model *m)
{
    DIR *list = opendir(m->folder);
    attn_status status = list ? ATTN_OK : fail(f, m->folder);
    for (struct dirent *entry; !status && list && (entry = readdir(list));) {
        char path[600];
        if (is_module(entry->d_name)) status = copy_module(f, m, entry->d_name);
        /* The description is written by its own name. */
        if (!is_companion(m, entry->d_name) || strcmp(entry->d_name, "attn.json") == 0) continue;
        if (snprintf(path, sizeof path, "%s/%s", m->folder, entry->d_name) >= (int)sizeof path)
            status = attn_fail(f->err, ATTN_IO, "%s: the name is too long", entry->d_name);
        else if (attn_file_exists(path))
            status = copy_file(f, path, entry->d_name);
    }
    if (list) closedir(list);
    if (!status && m->imported)
        status = write_text(f, "attn.json", m->imported, strlen(m->imported));
    else if (!status && !m->builtin)
        status = copy_file(f, m->description_name, "attn.json");
    return status;
}

/* The name of the weight file to be written. */
static const char *target_name(const attn_model *m)
{
    bool other = m->imported || ends_with(m->weights_name, ".json");
    return other ? "model.safetensors" : base_name(m->weights_name);
}

static attn_status write_weights(const folder *f, attn_model *m, attn_pack_report *report)
{
    const char *name = base_name(m->weights_name);
    char path[600];
    attn_output_file out;
    if (ends_with(name, ".json")) {
        if (strcmp(name, "model.safetensors.index.json") != 0)
            return attn_fail(
                f->err, ATTN_BAD_MODEL,
                "%s: the description asks for shards by this name, and pack writes one "
                "file",
                m->weights_name);
    }
    name = target_name(m);
    ATTN_TRY(create(f, name, path, sizeof path, &out));
    return finish(f, &out, attn_pack_weights(m, &out, report, f->err));
}

/* The folder that is being made, with all that is in it. */
static void remove_folder(const char *path)
{
    DIR *list = opendir(path);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        char file[800];
        if (snprintf(file, sizeof file, "%s/%s", path, entry->d_name) >= (int)sizeof file) continue;
        if (is_module(entry->d_name)) remove_folder(file);
        unlink(file);
    }
    if (list) closedir(list);
    rmdir(path);
}

/* "a//" and "a" are the same folder; its sibling needs the bare name. */
static size_t bare_length(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    return length;
}

static attn_status check_target(const char *path, attn_error *err)
{
    DIR *list = opendir(path);
    if (!list && errno == ENOENT) return ATTN_OK;
    if (!list) return attn_fail(err, ATTN_IO, "%s: %s", path, strerror(errno));
    size_t entries = 0;
    while (entries < 3 && readdir(list)) entries++; /* "." and ".." */
    closedir(list);
    if (entries < 3) return ATTN_OK;
    return attn_fail(err, ATTN_IO, "%s: is there already, and not empty", path);
}

attn_status attn_pack_folder(attn_model *model, const char *path, attn_pack_report *report,
                             attn_error *err)
{
    folder f = {.err = err};
    size_t length = bare_length(path);
    *report = (attn_pack_report){0};
    if (!model->weights_name)
        return attn_fail(err, ATTN_BAD_MODEL, "%s: has no weights to pack", model->folder);
    if (model->weights.gguf)
        return attn_fail(err, ATTN_BAD_MODEL,
                         "%s: a GGUF file is not packed into a folder; it runs as it is, and "
                         "--dtype or --panels take it",
                         model->weights_name);
    ATTN_TRY(check_target(path, err));
    if (snprintf(f.path, sizeof f.path, "%.*s.partial-%ld", (int)length, path, (long)getpid()) >=
            (int)sizeof f.path ||
        snprintf(report->file, sizeof report->file, "%.*s/%s", (int)length, path,
                 target_name(model)) >= (int)sizeof report->file)
        return attn_fail(err, ATTN_IO, "%.200s: the name is too long", path);
    if (mkdir(f.path, 0777) != 0) return fail(&f, f.path);
    attn_status status = write_weights(&f, model, report);
    if (!status) status = copy_companions(&f, model);
    if (!status && rename(f.path, path) != 0) status = fail(&f, path);
    if (status) remove_folder(f.path);
    return status;
}
