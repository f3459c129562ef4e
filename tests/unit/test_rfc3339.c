/* test_rfc3339.c: points in time, and what looks like one and is none. */
#include "base/rfc3339.h"
#include "unit.h"

static void a_time_is_read_as_the_standard_writes_it(void **state)
{
    static const struct {
        const char *text;
        int64_t at_s; /* -1: refused */
    } rows[] = {
        { "2026-11-25T02:28:30Z", 1795573710 },
        { "2026-11-25T02:28:30.123456Z", 1795573710 },
        { "2026-11-25T02:28:30+00:00", 1795573710 },
        { "2026-11-25T02:28:30-00:00", 1795573710 },
        { "2026-11-25T07:58:30+05:30", 1795573710 },
        { "2026-11-24T18:28:30.5-08:00", 1795573710 },
        { "2026-11-25t02:28:30z", 1795573710 },
        { "2026-11-25 02:28:30Z", 1795573710 },
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01T00:00:00-01:00", 3600 },
        { "2016-12-31T23:59:60Z", 1483228800 },
        { "2024-02-29T00:00:00Z", 1709164800 },
        { "2000-02-29T00:00:00Z", 951782400 },
        { "9999-12-31T23:59:59Z", 253402300799 },
        { "1970-01-01T00:00:00+01:00", -1 },
        { "1969-12-31T23:59:59Z", -1 },
        { "2023-02-29T00:00:00Z", -1 },
        { "2100-02-29T00:00:00Z", -1 },
        { "2026-04-31T00:00:00Z", -1 },
        { "2026-13-01T00:00:00Z", -1 },
        { "2026-00-01T00:00:00Z", -1 },
        { "2026-01-00T00:00:00Z", -1 },
        { "2026-11-25T24:00:00Z", -1 },
        { "2026-11-25T02:60:30Z", -1 },
        { "2026-11-25T02:28:61Z", -1 },
        { "2026-11-25T02:28:30", -1 },
        { "2026-11-25T02:28Z", -1 },
        { "2026-11-25T02:28:30.Z", -1 },
        { "2026-11-25T02:28:30,5Z", -1 },
        { "2026-11-25T02:28:30+0530", -1 },
        { "2026-11-25T02:28:30+05", -1 },
        { "2026-11-25T02:28:30+24:00", -1 },
        { "2026-11-25T02:28:30+05:60", -1 },
        { "2026-11-25T02:28:30ZZ", -1 },
        { "2026-11-25T02:28:30Z ", -1 },
        { " 2026-11-25T02:28:30Z", -1 },
        { "2026-11-25", -1 },
        { "20261125T022830Z", -1 },
        { "+2026-11-25T02:28:30Z", -1 },
        { "", -1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t at_s = -1;
        assert_row(rfc3339_read(str_of(rows[i].text), &at_s) == (rows[i].at_s >= 0), rows[i].text);
        assert_row(at_s == rows[i].at_s, rows[i].text);
    }
}

static void a_nul_is_no_part_of_one(void **state)
{
    int64_t at_s = -1;
    (void)state;
    assert_false(rfc3339_read(STR("2026-11-25T02:28:30\0"), &at_s));
    assert_false(rfc3339_read(STR("2026-11-25\00002:28:30Z"), &at_s));
}

static void a_time_is_written_to_the_second(void **state)
{
    (void)state;
    assert_str(rfc3339_write(&arena, 0), "1970-01-01T00:00:00Z");
    assert_str(rfc3339_write(&arena, 1795574400), "2026-11-25T02:40:00Z");
}

RUN(cmocka_unit_test(a_time_is_read_as_the_standard_writes_it), cmocka_unit_test(a_nul_is_no_part_of_one),
    TEST(a_time_is_written_to_the_second))
