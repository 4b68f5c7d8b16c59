/* Tokens' classes to entities: neighbours of one tag are one, until a "B-" begins the next. */
#include "tools/text_tasks.h"

static const char *label_of(const attn_port *port, size_t index)
{
    return index < port->label_count ? port->labels[index] : NULL;
}

/* "B-PER" is the tag PER and begins; "I-PER" and "PER" are the tag PER. */
static const char *tag_of(const char *label, bool *begins)
{
    *begins = label && strncmp(label, "B-", 2) == 0;
    return label && (*begins || strncmp(label, "I-", 2) == 0) ? label + 2 : label;
}

static bool same_tag(const text_entity *entity, const char *tag, size_t index)
{
    if (!tag || !entity->label) return !tag && !entity->label && entity->index == index;
    return strcmp(entity->label, tag) == 0;
}

size_t text_entities(const text_model *m, const attn_port *port, const attn_tensor *logits,
                     const attn_encoding *e, float *scratch, text_entity *out)
{
    size_t labels = logits->dim[1], count = 0, tokens = 0;
    double sum = 0;
    for (size_t t = 0; t < e->count; t++) {
        size_t best = 0;
        bool begins;
        if (e->special[t]) continue;
        text_softmax(m, (const float *)logits->data + t * labels, scratch, labels);
        for (size_t i = 1; i < labels; i++)
            if (scratch[i] > scratch[best]) best = i;
        const char *tag = tag_of(label_of(port, best), &begins);
        if (count == 0 || begins || !same_tag(&out[count - 1], tag, best)) {
            out[count++] = (text_entity){.label = tag, .index = best, .first = e->offset[t][0]};
            sum = 0;
            tokens = 0;
        }
        sum += (double)scratch[best];
        out[count - 1].score = (float)(sum / (double)++tokens);
        out[count - 1].end = e->offset[t][1];
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!out[i].label || strcmp(out[i].label, "O") != 0) out[kept++] = out[i];
    return kept;
}
