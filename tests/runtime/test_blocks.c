/* The memory planner on made-up records. */
#include "tests/check.h"

#include "runtime/plan.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 400 };

static unsigned seed = 7;

static size_t next(size_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static size_t rounded(size_t size)
{
    return (size + 63) / 64 * 64;
}

/* The largest sum of sizes in use at one step: no plan can take less. */
static size_t peak(const attn_block *block, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t live = 0;
        for (size_t j = 0; j < count; j++)
            if (block[j].first <= block[i].first && block[i].first <= block[j].last)
                live += rounded(block[j].size);
        if (live > most) most = live;
    }
    return most;
}

static void check(const attn_block *block, size_t count, size_t total)
{
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const attn_block *a = &block[i];
        assert_int_equal(a->offset % 64, 0);
        assert_true(a->offset + a->size <= total);
        if (a->size && a->offset + rounded(a->size) > end) end = a->offset + rounded(a->size);
        for (size_t j = 0; j < i; j++) {
            const attn_block *b = &block[j];
            bool meet = a->first <= b->last && b->first <= a->last && a->size && b->size;
            if (meet && a->offset < b->offset + b->size && b->offset < a->offset + a->size)
                fail_msg("blocks %zu and %zu overlap", i, j);
        }
    }
    assert_int_equal(end, total);
    assert_true(total >= peak(block, count));
}

/* Lifetimes: any; short ones, as those of a chain of layers; many equal sizes. */
static void fill(attn_block *block, size_t count, int style)
{
    for (size_t i = 0; i < count; i++) {
        size_t first = style == 1 ? i : next(100);
        block[i] = (attn_block){.size = style == 2     ? 4096 * next(3)
                                        : next(8) == 0 ? next(100000)
                                                       : next(2000),
                                .first = first,
                                .last = first + next(style == 1 ? 4 : 40),
                                .offset = 12345};
    }
}

static void random_records(void **state)
{
    (void)state;
    static attn_block block[MOST];
    static size_t order[2 * MOST];
    double worst[3] = {1, 1, 1}, sum[3] = {0};
    enum { ROUNDS = 60 };
    for (int style = 0; style < 3; style++) {
        for (int round = 0; round < ROUNDS; round++) {
            size_t count = 1 + next(MOST), total, again;
            fill(block, count, style);
            assert_true(attn_plan_blocks(block, count, order, &total));
            check(block, count, total);
            size_t least = peak(block, count);
            double ratio = least ? (double)total / (double)least : 1;
            sum[style] += ratio / ROUNDS;
            if (ratio > worst[style]) worst[style] = ratio;
            size_t offset = block[count / 2].offset;
            assert_true(attn_plan_blocks(block, count, order, &again));
            assert_int_equal(again, total);
            assert_int_equal(block[count / 2].offset, offset);
        }
        print_message("style %d: total / peak of live bytes: mean %.4f, worst %.4f\n", style,
                      sum[style], worst[style]);
        assert_true(worst[style] < 1.5);
    }
}

static void small_cases(void **state)
{
    (void)state;
    size_t order[8], total = 9;
    assert_true(attn_plan_blocks(NULL, 0, order, &total));
    assert_int_equal(total, 0);

    attn_block zero[2] = {{.size = 0, .first = 0, .last = 3}, {.size = 0, .first = 1, .last = 1}};
    assert_true(attn_plan_blocks(zero, 2, order, &total));
    assert_int_equal(total, 0);

    /* 100 is in use throughout, the others one after the other. */
    attn_block chain[3] = {{.size = 64, .first = 0, .last = 0},
                           {.size = 100, .first = 0, .last = 1},
                           {.size = 1, .first = 1, .last = 1}};
    assert_true(attn_plan_blocks(chain, 3, order, &total));
    assert_int_equal(total, 192);
    assert_int_equal(chain[1].offset, 0);
    assert_int_equal(chain[0].offset, 128);
    assert_int_equal(chain[2].offset, 128);

    /* Touching lifetimes meet: the last step of one is the first of the other. */
    attn_block meet[2] = {{.size = 64, .first = 0, .last = 2}, {.size = 64, .first = 2, .last = 3}};
    assert_true(attn_plan_blocks(meet, 2, order, &total));
    assert_int_equal(total, 128);

    /* A gap between two placed blocks is used if it is large enough, to the byte. */
    attn_block gap[4] = {{.size = 640, .first = 0, .last = 0},
                         {.size = 320, .first = 0, .last = 1},
                         {.size = 640, .first = 1, .last = 1},
                         {.size = 64, .first = 0, .last = 9}};
    assert_true(attn_plan_blocks(gap, 4, order, &total));
    check(gap, 4, total);
    assert_int_equal(total, 640 + 320 + 64);
}

static void overflow(void **state)
{
    (void)state;
    size_t order[6], total;
    attn_block one = {.size = SIZE_MAX};
    assert_false(attn_plan_blocks(&one, 1, order, &total));
    one.size = SIZE_MAX - 64;
    assert_true(attn_plan_blocks(&one, 1, order, &total));
    attn_block two[2] = {{.size = SIZE_MAX / 2}, {.size = SIZE_MAX / 2 + 1}};
    assert_false(attn_plan_blocks(two, 2, order, &total));
    attn_block three[3] = {{.size = SIZE_MAX / 4}, {.size = SIZE_MAX / 4}, {.size = SIZE_MAX / 4}};
    assert_true(attn_plan_blocks(three, 3, order, &total));
    check(three, 3, total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_records),
                                       cmocka_unit_test(small_cases), cmocka_unit_test(overflow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
