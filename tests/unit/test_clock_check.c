/* test_clock_check.c: a clock that can't be right is named. */
#include "service/clock_check.h"
#include "unit.h"

enum { BUILT_S = 1800000000, SKEW_S = 30 };

static void a_clock_is_held_against_the_programs_day_and_the_databases_clock(void **state)
{
    static const struct {
        int64_t now_ms, shared_ms;
        const char *says; /* NULL: it may be right */
    } rows[] = {
        { BUILT_S * 1000LL, 0, NULL },
        { BUILT_S * 1000LL - 1, 0, "earlier than the day" },
        { 0, 0, "earlier than the day" },
        { 1801000000000, 1801000000000, NULL },
        { 1801000030000, 1801000000000, NULL },
        { 1801000030001, 1801000000000, "30 s ahead of the database's" },
        { 1800999970000, 1801000000000, NULL },
        { 1800999969000, 1801000000000, "31 s behind the database's" },
        { 1801007200000, 1801000000000, "7200 s ahead of" },
        { 1790000000000, 1801000000000, "earlier than the day" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = clock_judge(&arena, BUILT_S, rows[i].now_ms, rows[i].shared_ms, SKEW_S);
        assert_row((err.code == ERR_OK) == !rows[i].says, rows[i].says ? rows[i].says : "good");
        if (rows[i].says)
            assert_row(strstr(err.why, rows[i].says), err.why);
    }
}

RUN(TEST(a_clock_is_held_against_the_programs_day_and_the_databases_clock))
