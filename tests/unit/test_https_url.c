/* test_https_url.c: URLs that strangers name: one form, and every trick that hides another host in one. */
#include "wire/https_url.h"
#include "unit.h"

static void a_url_is_taken_apart(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
        const char *target;
        bool is_address;
    } rows[] = {
        { "https://client.example/jwks.json", "client.example", 443, "/jwks.json", false },
        { "https://client.example", "client.example", 443, "", false },
        { "https://client.example/", "client.example", 443, "/", false },
        { "https://client.example?a=b", "client.example", 443, "?a=b", false },
        { "https://client.example:8443/a?b=c@d:e/f", "client.example", 8443, "/a?b=c@d:e/f", false },
        { "https://client.example:1/", "client.example", 1, "/", false },
        { "https://client.example:65535", "client.example", 65535, "", false },
        { "HTTPS://CLIENT.Example/A", "CLIENT.Example", 443, "/A", false },
        { "https://localhost/", "localhost", 443, "/", false }, /* its address is judged when it is known */
        { "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", false },
        { "https://1password.example/", "1password.example", 443, "/", false },
        { "https://8.8.8.8/", "8.8.8.8", 443, "/", true },
        { "https://127.0.0.1:8443/", "127.0.0.1", 8443, "/", true },
        { "https://[::1]/", "::1", 443, "/", true },
        { "https://[2001:DB8::1]:444/x", "2001:DB8::1", 444, "/x", true },
        { "https://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", 443, "", true },
        { "https://example.com/%2e%2E/..;a=b,c!$&'()*+~_-[]", "example.com", 443, "/%2e%2E/..;a=b,c!$&'()*+~_-[]",
          false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct https_url url;
        assert_row(!https_url_read(str_of(rows[i].text), &url), rows[i].text);
        assert_str(url.host, rows[i].host);
        assert_int_equal(url.port, rows[i].port);
        assert_str(url.target, rows[i].target);
        assert_row(url.is_address == rows[i].is_address, rows[i].text);
    }
}

static void a_url_that_two_readers_could_read_differently_is_refused(void **state)
{
    static const struct str bad[] = {
        /* another scheme, or none */
        ROW(""),
        ROW("https://"),
        ROW("http://client.example/"),
        ROW("file:///etc/passwd"),
        ROW("gopher://127.0.0.1:6379/_FLUSHALL"),
        ROW("ftp://client.example/"),
        ROW("dict://client.example/"),
        ROW("data:application/json,{}"),
        ROW("//client.example/"),
        ROW("client.example"),
        ROW("https:client.example"),
        ROW("https:/client.example"),
        ROW("https:\\\\client.example"),
        ROW("https:///client.example"),
        ROW("https://?client.example"),
        ROW(" https://client.example/"),
        ROW("\thttps://client.example/"),
        ROW("url:https://client.example/"),
        ROW("ht\ntps://client.example/"),
        /* a user, a password, a fragment */
        ROW("https://user@client.example/"),
        ROW("https://user:password@client.example/"),
        ROW("https://client.example@127.0.0.1/"),
        ROW("https://client.example:443@127.0.0.1/"),
        ROW("https://@127.0.0.1/"),
        ROW("https://a@b@c/"),
        ROW("https://client.example/#fragment"),
        ROW("https://client.example#@127.0.0.1/"),
        ROW("https://client.example/#"),
        /* other spellings of IPv4 */
        ROW("https://2130706433/"),
        ROW("https://0x7f000001/"),
        ROW("https://0X7F000001/"),
        ROW("https://017700000001/"),
        ROW("https://0/"),
        ROW("https://127.1/"),
        ROW("https://127.0.1/"),
        ROW("https://0177.0.0.1/"),
        ROW("https://0x7f.0.0.1/"),
        ROW("https://127.0.0.0x1/"),
        ROW("https://127.0.0.01/"),
        ROW("https://127.000.000.001/"),
        ROW("https://127.0.0.256/"),
        ROW("https://127.0.0.1.1/"),
        ROW("https://1.2.3.4.5.6.7.8/"),
        ROW("https://127.0.0.1./"),
        ROW("https://client.example.0x/"),
        ROW("https://client.127/"),
        ROW("https://4294967296/"),
        /* IPv6 */
        ROW("https://::1/"),
        ROW("https://[::1"),
        ROW("https://::1]/"),
        ROW("https://[]/"),
        ROW("https://[127.0.0.1]/"),
        ROW("https://[client.example]/"),
        ROW("https://[::1]a/"),
        ROW("https://a[::1]/"),
        ROW("https://[[::1]]/"),
        ROW("https://[::1]:/"),
        ROW("https://[::1]]/"),
        ROW("https://[fe80::1%25eth0]/"),
        ROW("https://[fe80::1%eth0]/"),
        ROW("https://[::1%2500]/"),
        ROW("https://[v1.a]/"),
        ROW("https://[::ffff:127.1]/"),
        ROW("https://[1:2:3:4:5:6:7:8:9]/"),
        /* names */
        ROW("https://client.example./"),
        ROW("https://.client.example/"),
        ROW("https://client..example/"),
        ROW("https://./"),
        ROW("https://-client.example/"),
        ROW("https://client-.example/"),
        ROW("https://client_a.example/"),
        ROW("https://client%2eexample/"),
        ROW("https://%31%32%37.0.0.1/"),
        ROW("https://127.0.0.1%2f.example/"),
        ROW("https://127.0.0.1%00.example/"),
        ROW("https://client.example%20/"),
        ROW("https://client\xe3\x80\x82"
            "example/"), /* an ideographic full stop, which IDNA makes a dot */
        ROW("https://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/"), /* circled digits, which NFKC makes digits */
        ROW("https://b\xc3\xbc"
            "cher.example/"),
        ROW("https://client\xc2\xad.example/"),
        ROW("https://*.example/"),
        ROW("https://client.example,127.0.0.1/"),
        ROW("https://client.example;127.0.0.1/"),
        ROW("https://client.example&127.0.0.1/"),
        ROW("https://$(id).example/"),
        ROW("https://a23456789a123456789a123456789a123456789a123456789a123456789a1234.example/"), /* 64 */
        /* ports */
        ROW("https://client.example:/"),
        ROW("https://client.example:0/"),
        ROW("https://client.example:00443/"),
        ROW("https://client.example:65536/"),
        ROW("https://client.example:4294967739/"), /* 443 and 2^32 */
        ROW("https://client.example:-1/"),
        ROW("https://client.example:+443/"),
        ROW("https://client.example:443a/"),
        ROW("https://client.example: 443/"),
        ROW("https://client.example:443:443/"),
        ROW("https://client.example:%34%34%33/"),
        ROW("https://:443/"),
        /* characters */
        ROW("https://client.example\\@127.0.0.1/"),
        ROW("https://client.example\\.127.0.0.1/"),
        ROW("https://client.example/a\\b"),
        ROW("https://client.example/a b"),
        ROW("https://client.example/a\tb"),
        ROW("https://client.example/a\nb"),
        ROW("https://client.example/\r\nHost: 127.0.0.1"),
        ROW("https://client\t.example/"),
        ROW("https://client.example\0.evil/"),
        ROW("https://client.example/\0"),
        ROW("https://client.example/\x7f"),
        ROW("https://client.example/\xc3\xbc"),
        ROW("https://client.example/%"),
        ROW("https://client.example/%2"),
        ROW("https://client.example/%zz"),
        ROW("https://client.example/<a>"),
        ROW("https://client.example/\""),
        ROW("https://client.example/`"),
        ROW("https://client.example/{a}"),
        ROW("https://client.example/a|b"),
        ROW("https://client.example/^"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct https_url url = { .port = 7 };
        char *copy = exactly(bad[i]);
        assert_row(https_url_read((struct str){ copy, bad[i].len }, &url) && url.port == 7, bad[i].at);
        free(copy);
    }
}

static void a_url_has_at_most_2048_bytes_and_a_name_253(void **state)
{
    char text[HTTPS_URL_MAX + 1], name[300];
    struct https_url url;
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "https://client.example/", 23);
    assert_null(https_url_read((struct str){ text, HTTPS_URL_MAX }, &url));
    assert_non_null(https_url_read((struct str){ text, HTTPS_URL_MAX + 1 }, &url));
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    for (size_t len = 252; len <= 254; len++) {
        const struct str whole = arena_printf(&arena, "https://%.*s/", (int)len, name);
        assert_true(!https_url_read(whole, &url) == (len <= 253));
    }
}

RUN(TEST(a_url_is_taken_apart), TEST(a_url_that_two_readers_could_read_differently_is_refused),
    TEST(a_url_has_at_most_2048_bytes_and_a_name_253))
