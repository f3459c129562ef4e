/* test_headers.c: a list of header fields, and what is found in it. */
#include "unit.h"
#include "wire/headers.h"

static const struct header list[] = {
    { { "Host", 4 }, { "a", 1 } },           { { "cookie", 6 }, { "a=1", 3 } }, { { "Accept", 6 }, { "x/y", 3 } },
    { { "X-Empty", 7 }, { "", 0 } },         { { "DPoP", 4 }, { "a.b.c", 5 } }, { { "ACCEPT", 6 }, { "", 0 } },
    { { "accept", 6 }, { "z/*;q=0.5", 9 } }, { { "Cookie", 6 }, { "b=2", 3 } }, { { "dpop", 4 }, { "d.e.f", 5 } },
};
static const struct headers headers = { list, COUNT(list) };

static void a_field_is_found_by_its_name_in_any_case(void **state)
{
    static const char *const names[] = { "Host", "host", "HOST", "hOST" };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct str value = headers_value(headers, &arena, str_of(names[i]));
        assert_ptr_equal(value.at, list[0].value.at); /* where it lies: nothing is made of it */
        assert_int_equal(value.len, 1);
    }
}

static void what_did_not_come_is_not_what_came_empty(void **state)
{
    static const char *const absent[] = { "Hos", "Hostt", "", "X-None", "Hos\0" };
    (void)state;
    for (size_t i = 0; i < COUNT(absent); i++) {
        assert_null(headers_value(headers, &arena, str_of(absent[i])).at);
        assert_int_equal(headers_count(headers, str_of(absent[i])), 0);
    }
    const struct str empty = headers_value(headers, &arena, STR("x-empty"));
    assert_non_null(empty.at);
    assert_int_equal(empty.len, 0);
    assert_int_equal(headers_count(headers, STR("x-empty")), 1);
    assert_null(headers_value((struct headers){ NULL, 0 }, &arena, STR("Host")).at);
}

static void several_lines_are_one_list_in_their_order(void **state)
{
    (void)state;
    assert_str(headers_value(headers, &arena, STR("Accept")), "x/y, , z/*;q=0.5");
    assert_int_equal(headers_count(headers, STR("Accept")), 3);
    assert_str(headers_value(headers, &arena, STR("Cookie")), "a=1; b=2");
    /* what may come once shows that it came twice: no JWT has a comma (RFC 9449 section 4.3) */
    assert_str(headers_value(headers, &arena, STR("DPoP")), "a.b.c, d.e.f");
    assert_int_equal(headers_count(headers, STR("DPoP")), 2);
}

RUN(TEST(a_field_is_found_by_its_name_in_any_case), TEST(what_did_not_come_is_not_what_came_empty),
    TEST(several_lines_are_one_list_in_their_order))
