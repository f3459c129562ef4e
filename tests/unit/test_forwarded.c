/* test_forwarded.c: who called a proxy, by what it says (wire/forwarded.c), and what becomes of it (wire/peer.c). */
#include "wire/forwarded.h"
#include "http/head.h"
#include "wire/peer.h"
#include "unit.h"

static struct networks trusted;

static int trust_some(void **state)
{
    (void)state;
    assert_null(networks_read(STR("10.0.0.0/8, 127.0.0.1, 2001:db8:1::/48"), &trusted));
    return 0;
}

static void the_caller_is_the_right_most_address_that_is_not_trusted(void **state)
{
    static const struct {
        const char *forwarded, *x_for, *x_proto, *client; /* client NULL: nobody can tell */
        bool is_https;
    } rows[] = {
        /* X-Forwarded-For */
        { NULL, "203.0.113.9", NULL, "203.0.113.9", false },
        { NULL, "1.2.3.4, 203.0.113.9", NULL, "203.0.113.9", false },
        { NULL, "127.0.0.1, 203.0.113.9", NULL, "203.0.113.9", false },
        { NULL, "203.0.113.9, 10.1.1.1,10.2.2.2", NULL, "203.0.113.9", false },
        { NULL, "1.2.3.4, 203.0.113.9, 10.1.1.1", "https", "203.0.113.9", true },
        { NULL, "10.1.1.1, 10.2.2.2", NULL, "10.1.1.1", false }, /* all are proxies: the one that spoke first */
        { NULL, "127.0.0.1", NULL, "127.0.0.1", false },
        { NULL, "203.0.113.9:4711", NULL, "203.0.113.9", false },
        { NULL, "2001:db8::9", NULL, "2001:db8::9", false },
        { NULL, "[2001:db8::9]:4711", NULL, "2001:db8::9", false },
        { NULL, "203.0.113.9, [2001:db8:1::1]", NULL, "203.0.113.9", false },
        { NULL, "::ffff:203.0.113.9", NULL, "203.0.113.9", false },
        { NULL, "nonsense, 203.0.113.9", NULL, "203.0.113.9", false },
        { NULL, "\", 203.0.113.9", NULL, "203.0.113.9", false },
        { NULL, "203.0.113.9, nonsense", NULL, NULL, false },
        { NULL, "203.0.113.9, unknown", NULL, NULL, false },
        { NULL, "203.0.113.9, _hidden, 10.1.1.1", NULL, NULL, false },
        { NULL, "203.0.113.9 10.1.1.1", NULL, NULL, false },
        { NULL, "", NULL, NULL, false },
        { NULL, " , ,", NULL, NULL, false },
        { NULL, "[203.0.113.9]", NULL, NULL, false },
        { NULL, "[2001:db8::9", NULL, NULL, false },
        { NULL, "[2001:db8::9]x", NULL, NULL, false },
        /* X-Forwarded-Proto */
        { NULL, "203.0.113.9", "https", "203.0.113.9", true },
        { NULL, "203.0.113.9", "HTTPS", "203.0.113.9", true },
        { NULL, "203.0.113.9", "https, http", "203.0.113.9", false },
        { NULL, "203.0.113.9", "http, https", "203.0.113.9", true },
        { NULL, "203.0.113.9", "httpsx", "203.0.113.9", false },
        { NULL, NULL, "https", NULL, true },
        /* Forwarded */
        { "for=203.0.113.9", NULL, NULL, "203.0.113.9", false },
        { "For=\"203.0.113.9:4711\";Proto=https;by=10.0.0.1;host=\"a,b\"", NULL, NULL, "203.0.113.9", true },
        { "for=\"[2001:db8::9]:4711\"", NULL, NULL, "2001:db8::9", false },
        { "for=1.2.3.4;proto=https, for=203.0.113.9;proto=http, for=10.1.1.1;proto=https", NULL, NULL, "203.0.113.9",
          false },
        { "for=1.2.3.4;proto=http, for=203.0.113.9;proto=https, for=10.1.1.1;proto=http", NULL, NULL, "203.0.113.9",
          true },
        { ";;for=203.0.113.9;", NULL, NULL, "203.0.113.9", false },
        { "proto=https;for=203.0.113.9", "203.0.113.9", "http", "203.0.113.9", true },
        { "for=203.0.113.9:4711", NULL, NULL, NULL, false }, /* a colon needs quotes */
        { "for=unknown", NULL, NULL, NULL, false },
        { "for=_SEVKISEK", NULL, NULL, NULL, false },
        { "by=10.0.0.1", NULL, NULL, NULL, false },
        { "203.0.113.9", NULL, NULL, NULL, false },
        { "for=203.0.113.9 ;proto=https", NULL, NULL, NULL, false },
        { "for = 203.0.113.9", NULL, NULL, NULL, false },
        { "for=203.0.113.9;for=127.0.0.1", NULL, NULL, NULL, false },
        { "for=203.0.113.9, for=127.0.0.1;x", NULL, NULL, NULL, false },
        { "for=\", for=203.0.113.9", NULL, NULL, "203.0.113.9", false },
        { "for=\"x, for=\"[2001:db8::9]\"", NULL, NULL, NULL, false }, /* a quote that swallows what a proxy added */
        { "for=\"\\203.0.113.9\"", NULL, NULL, NULL, false },
        /* both: a proxy that adds to one may have passed on the other */
        { "for=127.0.0.1", "203.0.113.9", NULL, NULL, false },
        { "for=203.0.113.9", "1.2.3.4", NULL, NULL, false },
        { "for=203.0.113.9", "nonsense", NULL, NULL, false },
        { "nonsense", "203.0.113.9", NULL, NULL, false },
        { "for=203.0.113.9", "1.2.3.4, 203.0.113.9", NULL, "203.0.113.9", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct forwarded_fields fields = { str_of(rows[i].forwarded), str_of(rows[i].x_for),
                                                 str_of(rows[i].x_proto) };
        const struct forwarded got = forwarded_read(&fields, &trusted);
        const char *row = arena_printf(&arena, "row %zu: %s; %s; %s", i, rows[i].forwarded ? rows[i].forwarded : "-",
                                       rows[i].x_for ? rows[i].x_for : "-", rows[i].x_proto ? rows[i].x_proto : "-")
                              .at;
        char text[INET6_ADDRSTRLEN];
        assert_row(got.is_known == (rows[i].client != NULL), row);
        if (got.is_known)
            assert_string_equal(address_write(&got.client, text), rows[i].client);
        assert_row(got.is_https == rows[i].is_https, row);
    }
}

static void only_a_trusted_proxy_names_its_caller(void **state)
{
    static const struct {
        const char *connection, *lines, *address;
        bool is_local;
    } rows[] = {
        { "127.0.0.1", "", "127.0.0.1", true },
        { "192.0.2.7", "", "192.0.2.7", false },
        /* trusted */
        { "127.0.0.1", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", false },
        { "127.0.0.1", "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\n", "203.0.113.9", false },
        { "127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", false },
        { "127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n", "127.0.0.1", true },
        { "127.0.0.1", "X-Forwarded-For: nonsense\r\n", "127.0.0.1", false },
        { "127.0.0.1", "Forwarded: for=unknown\r\n", "127.0.0.1", false },
        { "127.0.0.1", "x-forwarded-host: h\r\n", "127.0.0.1", false },
        { "127.0.0.1", "Via: 1.1 p\r\n", "127.0.0.1", false },
        { "127.0.0.1", "X-Real-IP: 127.0.0.1\r\n", "127.0.0.1", false },
        { "10.0.0.3", "X-Forwarded-For: 127.0.0.1\r\n", "127.0.0.1", true },
        /* not trusted */
        { "::1", "X-Forwarded-For: 127.0.0.1\r\n", "::1", false },
        { "192.0.2.7", "X-Forwarded-For: 127.0.0.1\r\n", "192.0.2.7", false },
        { "192.0.2.7", "Forwarded: for=127.0.0.1\r\n", "192.0.2.7", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address other_side;
        struct head head;
        assert_ok(head_read(&arena, arena_printf(&arena, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].lines), &head));
        assert_true(address_read(str_of(rows[i].connection), &other_side));
        const struct peer connection = { str_of(rows[i].connection), address_is_loopback(&other_side), false };
        const struct peer got = peer_find(&connection, head.headers, &trusted, &arena);
        assert_str(got.address, rows[i].address);
        assert_row(got.is_on_this_machine == rows[i].is_local, rows[i].lines);
    }
}

RUN_WITH(trust_some, NULL, TEST(the_caller_is_the_right_most_address_that_is_not_trusted),
         TEST(only_a_trusted_proxy_names_its_caller))
