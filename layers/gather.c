/* attn_run_gather: strided copies. */
#include "layers/support.h"

#include <stdint.h>
#include <string.h>

enum { TILE = 16 };

/* A dimension of y: its size, and the steps of one of it in x and in y. */
typedef struct gather_dim {
    size_t size, x, y;
} gather_dim;

/* What is left of a gather when dimensions that follow one another in x as in y are joined. The
 * last one is the row, contiguous in y. If it is not contiguous in x, and another one is, that is
 * the one before it, and both are copied in tiles of TILE x TILE, so that each line of the cache
 * that is read or written is used as a whole; otherwise row after row. */
typedef struct gather_job {
    const char *x;
    char *y;
    size_t first;
    int rank; /* at least 1 */
    gather_dim dim[ATTN_GATHER_RANK + 1];
    bool tiled;
    size_t units, each; /* rows, or rows of tiles; of a task */
} gather_job;

static void join_dims(gather_job *job, const attn_gather *g)
{
    size_t y = 1;
    gather_dim joined[ATTN_GATHER_RANK + 1]; /* from the last one on */
    int count = 0;
    for (int i = g->rank - 1; i >= 0; i--) {
        gather_dim d = {g->dim[i], g->step[i], y};
        y *= d.size;
        if (d.size == 1) continue;
        gather_dim *inner = count ? &joined[count - 1] : NULL;
        if (inner && d.x == inner->x * inner->size)
            inner->size *= d.size;
        else
            joined[count++] = d;
    }
    if (count == 0) joined[count++] = (gather_dim){1, 1, 1};
    job->rank = count;
    for (int i = 0; i < count; i++) job->dim[i] = joined[count - 1 - i];
}

/* The dimension that is contiguous in x, and large enough to gain by it, goes before the last. */
static void choose_tiles(gather_job *job)
{
    int last = job->rank - 1;
    if (job->dim[last].x <= 1) return;
    for (int i = 0; i < last; i++) {
        gather_dim d = job->dim[i];
        if (d.x != 1 || d.size < 4) continue;
        memmove(&job->dim[i], &job->dim[i + 1], (size_t)(last - 1 - i) * sizeof d);
        job->dim[last - 1] = d;
        job->tiled = true;
        return;
    }
}

/* The steps stand in variables of their own: what is written through y could be the job. */
static void copy_row(const gather_job *job, size_t from, size_t to)
{
    size_t n = job->dim[job->rank - 1].size, step = job->dim[job->rank - 1].x;
    const char *x = job->x;
    char *y = job->y + to * 4;
    if (step == 1) {
        memcpy(y, x + from * 4, n * 4);
        return;
    }
    if (step == 0) { /* twice as many with each copy */
        memcpy(y, x + from * 4, 4);
        for (size_t done = 1; done < n; done *= 2)
            memcpy(y + done * 4, y, (n - done < done ? n - done : done) * 4);
        return;
    }
    for (size_t i = 0; i < n; i++, from += step) memcpy(y + i * 4, x + from * 4, 4);
}

typedef uint32_t quad __attribute__((vector_size(16)));

/* 4 x 4 elements: row i of y is column i of x. Steps in bytes. */
static inline void turn_square(char *y, size_t step_y, const char *x, size_t step_x)
{
    quad a, b, c, d;
    memcpy(&a, x, sizeof a);
    memcpy(&b, x + step_x, sizeof b);
    memcpy(&c, x + 2 * step_x, sizeof c);
    memcpy(&d, x + 3 * step_x, sizeof d);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
         cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    quad ef = __builtin_shufflevector(a, b, 2, 6, 3, 7),
         gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    a = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    b = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    c = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
    d = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
    memcpy(y, &a, sizeof a);
    memcpy(y + step_y, &b, sizeof b);
    memcpy(y + 2 * step_y, &c, sizeof c);
    memcpy(y + 3 * step_y, &d, sizeof d);
}

/* Rows [row, end) of the dimension before the last, at most TILE. */
static void copy_tiles(const gather_job *job, size_t from, size_t to, size_t row, size_t end)
{
    size_t n = job->dim[job->rank - 1].size, step = job->dim[job->rank - 1].x * 4;
    size_t row_step = job->dim[job->rank - 2].y * 4, rows = end - row;
    const char *x = job->x + (from + row) * 4;
    char *y = job->y + to * 4 + row * row_step;
    for (size_t j = 0; j < n; j += TILE, x += TILE * step, y += TILE * 4) {
        size_t columns = n - j < TILE ? n - j : TILE, i = 0;
        for (; i + 4 <= rows; i += 4) {
            size_t k = 0;
            for (; k + 4 <= columns; k += 4)
                turn_square(y + i * row_step + k * 4, row_step, x + i * 4 + k * step, step);
            for (size_t r = i; r < i + 4 && k < columns; r++)
                for (size_t e = k; e < columns; e++)
                    memcpy(y + r * row_step + e * 4, x + r * 4 + e * step, 4);
        }
        for (; i < rows; i++)
            for (size_t k = 0; k < columns; k++)
                memcpy(y + i * row_step + k * 4, x + i * 4 + k * step, 4);
    }
}

static void gather_task(void *arg, size_t task, size_t worker)
{
    const gather_job *job = arg;
    (void)worker;
    int outer = job->rank - (job->tiled ? 2 : 1); /* dimensions that are counted through */
    size_t rows = job->tiled ? job->dim[outer].size : 1, tiles = (rows + TILE - 1) / TILE;
    size_t unit = task * job->each,
           end = unit + job->each < job->units ? unit + job->each : job->units;
    size_t index[ATTN_GATHER_RANK + 1], from = job->first, to = 0, rest = unit / tiles;
    for (int i = outer - 1; i >= 0; i--) {
        index[i] = rest % job->dim[i].size;
        from += index[i] * job->dim[i].x;
        to += index[i] * job->dim[i].y;
        rest /= job->dim[i].size;
    }
    for (size_t tile = unit % tiles; unit < end; unit++) {
        size_t row = tile * TILE;
        if (job->tiled)
            copy_tiles(job, from, to, row, row + TILE < rows ? row + TILE : rows);
        else
            copy_row(job, from, to);
        if (++tile < tiles) continue;
        tile = 0;
        for (int i = outer - 1; i >= 0; i--) {
            from += job->dim[i].x;
            to += job->dim[i].y;
            if (++index[i] < job->dim[i].size) break;
            from -= index[i] * job->dim[i].x;
            to -= index[i] * job->dim[i].y;
            index[i] = 0;
        }
    }
}

void attn_run_gather(const attn_run_context *c, const attn_gather *g)
{
    gather_job job = {.x = g->x, .y = g->y, .first = g->first, .units = 1};
    join_dims(&job, g);
    choose_tiles(&job);
    int last = job.rank - 1;
    size_t cost = job.dim[last].size;
    for (int i = 0; i < last; i++) job.units *= job.dim[i].size;
    if (job.tiled) {
        size_t rows = job.dim[last - 1].size;
        job.units = job.units / rows * ((rows + TILE - 1) / TILE);
        cost *= rows < TILE ? rows : TILE;
    }
    size_t tasks = attn_split(job.units, attn_grain(cost), c->workers, &job.each);
    c->parallel(c->pool, tasks, gather_task, &job);
}
