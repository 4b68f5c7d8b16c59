#include "layers/layer.h"

#include <string.h>

#define LAYER(name) extern const attn_layer attn_layer_##name;
#include "layers/registry.def"
#undef LAYER

const attn_layer *const attn_layers[] = {
#define LAYER(name) &attn_layer_##name,
#include "layers/registry.def"
#undef LAYER
    NULL,
};

const attn_layer *attn_layer_find(const char *name)
{
    for (const attn_layer *const *layer = attn_layers; *layer; layer++)
        if (strcmp((*layer)->name, name) == 0) return *layer;
    return NULL;
}
