/* Bodies that run a number of times that is known become plain nodes: the branch of an If whose
 * condition is known, the rounds of a Loop, the steps of a Scan. Each round is a copy of the body
 * in front of the node, in which
 *
 *   Loop  body inputs: round, condition, values that go round; results: condition, those values,
 *         and what is stacked, one element a round, along a new first dimension
 *   Scan  body inputs: values that go round, one slice of each scanned input; results: those
 *         values, and what is stacked along its axis
 *
 * unroll_copy.c makes the copies. Sequences, of which such bodies are fond, go at the same time
 * (sequence.c). */
#include "runtime/onnx/unroll.h"

#include <string.h>

enum {
    MAX_ROUNDS = 4096,
    MAX_COPIES = 1 << 16, /* of nodes, in all; each round counts as two more */
    MAX_PROBES = 8,       /* of the graph in front of a node that needs one */
};

typedef struct unroll {
    attn_ir *ir;
    int probes;
    size_t copies;
    attn_sequences sequences;
} unroll;

/* ---- rounds --------------------------------------------------------------------------------- */

/* A node whose body becomes rounds. */
typedef struct rounds {
    unroll *all;
    attn_ir *ir;
    attn_ir_node *node;
    attn_ir_body *body;
    size_t nodes; /* of the body */
    size_t carried, stacks, done;
    size_t first;            /* of the carried in the body's results */
    attn_ir_value **state;   /* [carried] */
    attn_ir_value **stacked; /* [room][stacks] */
    size_t room;
} rounds;

static void *get(attn_ir *ir, size_t count, size_t size)
{
    void *memory = attn_arena_get(ir->arena, count, size, ir->err);
    if (!memory) ir->failed = true;
    return memory;
}

/* One more round. */
static attn_status make_room(rounds *r)
{
    unroll *u = r->all;
    if (r->done == MAX_ROUNDS || r->nodes + 2 > MAX_COPIES - u->copies)
        return attn_ir_fail(r->ir, r->node, "unrolled, it is more than %d rounds or %d nodes",
                            MAX_ROUNDS, MAX_COPIES);
    u->copies += r->nodes + 2;
    if (r->done < r->room) return ATTN_OK;
    size_t room = r->room ? 2 * r->room : 8;
    attn_ir_value **larger = get(r->ir, room * (r->stacks + 1), sizeof *larger);
    if (!larger) return ATTN_NO_MEMORY;
    if (r->done) memcpy(larger, r->stacked, r->done * r->stacks * sizeof *larger);
    r->stacked = larger;
    r->room = room;
    return ATTN_OK;
}

/* The body's inputs have their copies. */
static void run_round(rounds *r)
{
    attn_unroll_copy(r->ir, r->body, NULL, r->node);
    for (size_t i = 0; i < r->carried; i++)
        r->state[i] = attn_unroll_copied(r->body->result[r->first + i]);
    for (size_t i = 0; i < r->stacks; i++)
        r->stacked[r->done * r->stacks + i] =
            attn_unroll_copied(r->body->result[r->first + r->carried + i]);
    r->done++;
}

/* What all rounds gave of a stacked result. */
static attn_ir_value *stack(rounds *r, size_t which, int64_t axis, bool backwards)
{
    attn_ir_value **list = get(r->ir, r->done, sizeof *list);
    for (size_t i = 0; list && i < r->done; i++) {
        size_t round = backwards ? r->done - 1 - i : i;
        list[i] = r->stacked[round * r->stacks + which];
    }
    const char *name = r->node->out[r->carried + which]->name;
    return list ? attn_unroll_join(r->ir, r->node, list, r->done, axis, true, name) : NULL;
}

/* The node's outputs are what the rounds gave. */
static attn_status finish(rounds *r, const int64_t *axes, const int64_t *backwards)
{
    attn_ir_node *n = r->node;
    for (size_t i = 0; i < n->outputs && !r->ir->failed; i++) {
        attn_ir_value *by = NULL;
        if (!n->out[i] || (!n->out[i]->uses && !n->out[i]->results)) continue;
        size_t k = i - r->carried;
        if (i >= r->carried && !r->done)
            return attn_ir_fail(r->ir, n, "runs not once, so that output %zu has no elements", i);
        by = i < r->carried ? r->state[i]
                            : stack(r, k, axes ? axes[k] : 0, backwards && backwards[k]);
        attn_ir_replace(r->ir, n->out[i], by);
    }
    if (!r->ir->failed) attn_ir_remove(r->ir, n);
    return attn_ir_status(r->ir);
}

/* skip: operands of the node in front of the carried ones. False: it is not as it should be. */
static bool begin(rounds *r, unroll *u, attn_ir_node *n, size_t skip, size_t carried, size_t first)
{
    *r = (rounds){.all = u, .ir = u->ir, .node = n, .carried = carried, .first = first};
    if (n->bodies != 1 || skip + carried > n->inputs) return false;
    r->body = n->body[0];
    if (first + carried > r->body->results) return false;
    r->stacks = r->body->results - first - carried;
    if (n->outputs > carried + r->stacks) return false;
    r->nodes = attn_unroll_count(r->body);
    r->state = get(u->ir, carried, sizeof *r->state);
    for (size_t i = 0; r->state && i < carried; i++) {
        r->state[i] = n->in[skip + i];
        if (!r->state[i]) return false;
    }
    return r->state != NULL;
}

/* ---- If ------------------------------------------------------------------------------------- */

static attn_status choose_branch(unroll *u, attn_ir_node *n)
{
    int64_t condition;
    if (n->bodies != 2 || !attn_unroll_known(attn_ir_in(n, 0), &condition)) return ATTN_OK;
    attn_ir_body *body = n->body[condition ? 0 : 1];
    size_t nodes = attn_unroll_count(body);
    if (body->results != n->outputs || body->inputs || nodes > MAX_COPIES - u->copies)
        return ATTN_OK;
    u->copies += nodes;
    attn_unroll_copy(u->ir, body, NULL, n);
    for (size_t i = 0; i < n->outputs && !u->ir->failed; i++)
        if (n->out[i]) attn_ir_replace(u->ir, n->out[i], attn_unroll_copied(body->result[i]));
    attn_unroll_forget(body);
    if (!u->ir->failed) attn_ir_remove(u->ir, n);
    return attn_ir_status(u->ir);
}

/* ---- Loop ----------------------------------------------------------------------------------- */

static void begin_round(rounds *r)
{
    attn_ir_body *b = r->body;
    const attn_onnx_value *said = b->input[0]->declared;
    int rank = said && said->shaped && said->rank == 1 ? 1 : 0;
    b->input[0]->copy =
        attn_unroll_number(r->ir, b->input[0]->name, (int64_t)r->done, rank, ATTN_ONNX_INT64);
    b->input[1]->copy = attn_unroll_number(r->ir, b->input[1]->name, 1, 0, ATTN_ONNX_BOOL);
    for (size_t i = 0; i < r->carried; i++) b->input[2 + i]->copy = r->state[i];
}

/* All rounds, until the condition or the number of them ends it; *known: both were known. */
static attn_status run_rounds(rounds *r, int64_t most, int64_t go, bool *known)
{
    *known = true;
    while (*known && go && (int64_t)r->done < most) {
        ATTN_TRY(make_room(r));
        begin_round(r);
        run_round(r);
        ATTN_TRY(attn_ir_status(r->ir));
        *known = attn_unroll_known(attn_unroll_copied(r->body->result[0]), &go);
    }
    return ATTN_OK;
}

static attn_status unroll_loop(unroll *u, attn_ir_node *n)
{
    rounds r;
    bool known;
    int64_t most = INT64_MAX, go = 1;
    size_t skip = n->inputs < 2 ? n->inputs : 2, carried = n->inputs - skip;
    if (!begin(&r, u, n, skip, carried, 1) || r.body->inputs != 2 + carried) return ATTN_OK;
    if (attn_ir_in(n, 0) && !attn_unroll_known(n->in[0], &most)) return ATTN_OK;
    if (attn_ir_in(n, 1) && !attn_unroll_known(n->in[1], &go)) return ATTN_OK;
    attn_status status = run_rounds(&r, most, go, &known);
    attn_unroll_forget(r.body);
    return status || !known ? status : finish(&r, NULL, NULL);
}

/* ---- Scan ----------------------------------------------------------------------------------- */

/* The list of `count` integers; NULL: it is left out. False: it has another length. */
static bool list_of(const attn_ir_node *n, const char *name, size_t count, const int64_t **list)
{
    size_t length;
    *list = attn_ir_ints(n, name, &length);
    if (length == 0) *list = NULL;
    return !*list || length == count;
}

static void begin_step(rounds *r, size_t steps, const int64_t *axes, const int64_t *backwards)
{
    for (size_t i = 0; i < r->carried; i++) r->body->input[i]->copy = r->state[i];
    for (size_t i = r->carried; i < r->body->inputs; i++) {
        size_t k = i - r->carried;
        bool back = backwards && backwards[k];
        int64_t at = (int64_t)(back ? steps - 1 - r->done : r->done);
        attn_ir_value *in[] = {r->node->in[i],
                               attn_unroll_number(r->ir, "step", at, 0, ATTN_ONNX_INT64)};
        attn_ir_node *node = attn_unroll_insert(r->ir, r->node, "Gather", r->body->input[i]->name,
                                                2, in, &r->body->input[i]->copy);
        attn_ir_set_int(r->ir, node, "axis", axes ? axes[k] : 0);
    }
}

/* The steps of which all scanned inputs are; 0: that is not known. */
static size_t steps_of(const attn_ir_node *n, size_t first, const int64_t *axes)
{
    size_t steps = 0, size;
    for (size_t i = first; i < n->inputs; i++) {
        if (!attn_unroll_size(n->in[i], axes ? axes[i - first] : 0, &size)) return 0;
        if (steps && size != steps) return 0;
        steps = size;
    }
    return steps;
}

static attn_status unroll_scan(unroll *u, attn_ir_node *n)
{
    rounds r;
    const int64_t *axes, *backwards, *out_axes, *out_backwards;
    int64_t scans = attn_ir_int(n, "num_scan_inputs", 0);
    if (n->version < 9 || scans < 1 || (uint64_t)scans > n->inputs) return ATTN_OK;
    size_t carried = n->inputs - (size_t)scans;
    if (!begin(&r, u, n, 0, carried, 0) || r.body->inputs != n->inputs) return ATTN_OK;
    if (!list_of(n, "scan_input_axes", (size_t)scans, &axes) ||
        !list_of(n, "scan_input_directions", (size_t)scans, &backwards) ||
        !list_of(n, "scan_output_axes", r.stacks, &out_axes) ||
        !list_of(n, "scan_output_directions", r.stacks, &out_backwards))
        return attn_ir_fail(u->ir, n, "a list of axes or directions has the wrong length");
    size_t steps = steps_of(n, carried, axes);
    if (!steps) return ATTN_OK;
    attn_status status = ATTN_OK;
    r.nodes += (size_t)scans;
    while (r.done < steps && !status) {
        status = make_room(&r);
        if (status) break;
        begin_step(&r, steps, axes, backwards);
        run_round(&r);
        status = attn_ir_status(u->ir);
    }
    attn_unroll_forget(r.body);
    return status ? status : finish(&r, out_axes, out_backwards);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* What is known of the values in front of a node of the main graph: it is probed as far as there.
 */
static attn_status probe_before(unroll *u, attn_ir_node *n)
{
    attn_ir *ir = u->ir;
    attn_ir_body whole = *ir->main;
    attn_error *outer = ir->err, err = {.status = ATTN_OK};
    attn_ir_node *last = n->previous;
    u->probes++;
    ir->main->last = last;
    ir->main->results = 0;
    ir->main->result = get(ir, n->inputs, sizeof(attn_ir_value *));
    ir->main->result_name = get(ir, n->inputs, sizeof(char *));
    for (size_t i = 0; i < n->inputs && !ir->failed; i++) {
        if (!n->in[i] || n->in[i]->constant || attn_is_sequence(&u->sequences, n->in[i])) continue;
        ir->main->result[ir->main->results] = n->in[i];
        ir->main->result_name[ir->main->results++] = n->in[i]->name;
    }
    last->next = NULL;
    ir->err = &err;
    attn_status status = ir->main->results && !ir->failed ? attn_ir_probe(ir) : ATTN_OK;
    ir->err = outer;
    last->next = n;
    *ir->main = whole;
    if (status != ATTN_NO_MEMORY && status != ATTN_LIMIT) return ATTN_OK;
    if (outer) *outer = err;
    return status;
}

/* It is dead then, if it could be done. */
static attn_status unroll_node(unroll *u, attn_ir_node *n)
{
    if (attn_ir_is(n, "If")) return choose_branch(u, n);
    if (attn_ir_is(n, "Loop")) return unroll_loop(u, n);
    if (attn_ir_is(n, "Scan")) return unroll_scan(u, n);
    return attn_sequence_resolve(u->ir, &u->sequences, n);
}

/* Whether it is a node that a probe could help with, or that cannot stay. */
static bool wants_probe(const attn_ir_node *n)
{
    return attn_ir_is(n, "Loop") || attn_ir_is(n, "Scan") || attn_is_sequence_node(n);
}

static attn_status unroll_body(unroll *u, attn_ir_body *body)
{
    attn_ir_node *next;
    for (attn_ir_node *n = body->first; n; n = next) {
        attn_ir_node *before = n->previous;
        next = n->next;
        if (!n->bodies && !attn_is_sequence_node(n)) continue;
        ATTN_TRY(unroll_node(u, n));
        if (!n->dead && body == u->ir->main && n->previous && wants_probe(n) &&
            u->probes < MAX_PROBES) {
            ATTN_TRY(probe_before(u, n));
            ATTN_TRY(unroll_node(u, n));
        }
        if (n->dead) next = before ? before->next : body->first; /* copies may have bodies, too */
        for (size_t i = 0; i < n->bodies && !n->dead; i++) ATTN_TRY(unroll_body(u, n->body[i]));
    }
    return ATTN_OK;
}

attn_status attn_ir_unroll(attn_ir *ir)
{
    unroll u = {.ir = ir, .sequences = {.lists = {.arena = ir->arena}}};
    ATTN_TRY(unroll_body(&u, ir->main));
    ATTN_TRY(attn_ir_status(ir));
    attn_ir_sweep(ir);
    return attn_sequence_check(ir, &u.sequences, ir->main);
}
