#include "runtime/base/embedded.h"

#include "runtime/inputs/npz.h"

attn_status attn_embedded_open(const attn_embedded *e, attn_memory *memory, char **text,
                               attn_error *err)
{
    void *room;
    ATTN_TRY(attn_alloc(memory, e->bytes + 1, "the built-in files", &room, err));
    if (!attn_inflate(e->packed, e->packed_bytes, room, e->bytes)) {
        attn_release(memory, room, e->bytes + 1);
        return attn_fail(err, ATTN_BAD_FILE, "the built-in files are damaged");
    }
    *text = room;
    (*text)[e->bytes] = 0;
    return ATTN_OK;
}
