/* test_fetch.c: fetching what strangers name, from a real HTTPS server. It listens on 127.0.0.1, which is allowed here,
 * and on 127.0.0.2, which is not: so a trick that works would be seen there. Names are looked up in a table of ours. */
#include "net/fetch.h"
#include "base/clock.h"
#include "base/settings.h"
#include "observe/log.h"
#include "tls_server.h"
#include <dlfcn.h>
#include <netdb.h>

static struct tls_server *server;
static struct fetch *fetch;
static struct settings settings;

/* --- names ------------------------------------------------------------------------------------------------------- */

/* What a name leads to; in the second look-up and all that follow, to `later`, if there is one. */
static const struct name {
    const char *name, *addresses, *later;
} names[] = {
    { "good.example", "127.0.0.1", NULL },
    { "wrong.example", "127.0.0.1", NULL }, /* not in the certificate */
    { "good-bad.example", "127.0.0.1,127.0.0.2", NULL },
    { "bad-good.example", "127.0.0.2,127.0.0.1", NULL },
    { "bad-bad.example", "127.0.0.2,10.0.0.1,::1", NULL },
    { "good-then-bad.example", "127.0.0.1", "127.0.0.2" },
    { "bad-then-good.example", "127.0.0.2", "127.0.0.1" },
    { "hangs.example", NULL, NULL },
};
static atomic_int lookups[COUNT(names)];

typedef int getaddrinfo_function(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static getaddrinfo_function *real_getaddrinfo(void)
{
    getaddrinfo_function *real;
    void *at = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &at, sizeof at);
    return real;
}

/* freeaddrinfo() takes a list of several answers as it takes one. */
static int look_up(struct str addresses, const char *service, struct addrinfo **found)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo **end = found;
    struct str one;
    char text[64];
    while (str_next_item(&addresses, ',', &one)) {
        snprintf(text, sizeof text, "%.*s", (int)one.len, one.at);
        if (real_getaddrinfo()(text, service, &hints, end) != 0)
            return EAI_NONAME;
        end = &(*end)->ai_next;
    }
    return 0;
}

/* "special-7.example" leads to the seventh of these. */
static const char *const special[] = {
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.2",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.2",
    "::ffff:127.0.0.2",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.2",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:2::",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
};

/* In libc's place for all of the process. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **found)
{
    for (size_t i = 0; name && i < COUNT(names); i++) {
        if (strcasecmp(name, names[i].name) != 0)
            continue;
        const bool is_first = atomic_fetch_add(&lookups[i], 1) == 0;
        if (!names[i].addresses)
            clock_sleep_ms(8000);
        const char *addresses = is_first || !names[i].later ? names[i].addresses : names[i].later;
        return addresses ? look_up(str_of(addresses), service, found) : EAI_AGAIN;
    }
    const struct str prefix = STR("special-");
    struct str rest = str_of(name), number;
    int64_t at = 0;
    if (str_has_prefix(rest, prefix) && str_cut(&rest, '.', &number) &&
        str_number((struct str){ number.at + prefix.len, number.len - prefix.len }, (int64_t)COUNT(special) - 1, &at))
        return look_up(str_of(special[at]), service, found);
    return real_getaddrinfo()(name, service, hints, found);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

#define JSON_200 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define KEYS "{\"keys\":[]}"

static const char *answer_text; /* what is answered to all that is not below */

static atomic_bool was_ended; /* the connection of /ended, by us */

static void answer_endlessly(SSL *to, const char *piece, int64_t pause_ms)
{
    while (tls_write(to, piece))
        clock_sleep_ms(pause_ms);
}

static void answer(struct tls_server *to, struct str request, SSL *ssl)
{
    char head[256];
    (void)to;
    if (str_has_prefix(request, STR("GET /keys ")) || str_has_prefix(request, STR("POST /keys "))) {
        snprintf(head, sizeof head, JSON_200 "Content-Length: %zu\r\n\r\n" KEYS, strlen(KEYS));
        (void)tls_write(ssl, head);
    } else if (str_has_prefix(request, STR("GET /ended "))) {
        (void)tls_write(ssl, JSON_200 "Content-Length: 2\r\n\r\n{}");
        atomic_store(&was_ended, SSL_read(ssl, head, sizeof head) <= 0);
    } else if (str_has_prefix(request, STR("GET /drip "))) {
        (void)tls_write(ssl, JSON_200 "Content-Length: 60000\r\n\r\n");
        answer_endlessly(ssl, "a", 20);
    } else if (str_has_prefix(request, STR("GET /drip-of-headers "))) {
        (void)tls_write(ssl, JSON_200);
        answer_endlessly(ssl, "A: b\r\n", 100);
    } else if (str_has_prefix(request, STR("GET /endless "))) {
        (void)tls_write(ssl, JSON_200 "\r\n");
        answer_endlessly(ssl, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0);
    } else if (str_has_prefix(request, STR("GET /endless-chunks "))) {
        (void)tls_write(ssl, JSON_200 "Transfer-Encoding: chunked\r\n\r\n");
        answer_endlessly(ssl, "10\r\naaaaaaaaaaaaaaaa\r\n", 0);
    } else {
        (void)tls_write(ssl, answer_text);
    }
}

static int begin(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_JSON);
    folder_make();
    static char ca_file[300];
    snprintf(ca_file, sizeof ca_file, "%s/ca.pem", folder);
    server = tls_start(ca_file,
                       "DNS:good.example,DNS:good-bad.example,DNS:bad-good.example,DNS:bad-bad.example,"
                       "DNS:good-then-bad.example,DNS:bad-then-good.example,DNS:hangs.example,DNS:localhost,"
                       "IP:127.0.0.1,IP:127.0.0.2",
                       answer);
    settings = (struct settings){ .fetch_allow = "127.0.0.1", .fetch_ca_file = ca_file };
    return (int)fetch_open(&settings, &fetch).code;
}

static int end(void **state)
{
    (void)state;
    fetch_close(fetch);
    tls_stop(server);
    folder_remove();
    return 0;
}

static struct err get_by(struct fetch *by, const char *host, const char *path, struct fetched *out)
{
    return fetch_jwks(by, &arena, arena_printf(&arena, "https://%s:%d%s", host, server->port, path), out);
}

static struct err get(const char *host, const char *path)
{
    struct fetched fetched;
    return get_by(fetch, host, path, &fetched);
}

static bool says(struct err err, const char *what)
{
    return err.code && strstr(err.why, what);
}

static struct fetch *fresh_fetch(void)
{
    struct fetch *fresh = NULL;
    assert_ok(fetch_open(&settings, &fresh));
    return fresh;
}

/* --- what is fetched --------------------------------------------------------------------------------------------- */

static void a_key_set_is_fetched_by_name_and_by_address(void **state)
{
    static const char *const hosts[] = { "good.example", "127.0.0.1", "localhost", "GOOD.Example" };
    (void)state;
    setenv("https_proxy", "http://127.0.0.1:1", 1); /* which is not asked */
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct fetched fetched;
        assert_code(get_by(fetch, hosts[i], "/keys", &fetched), ERR_OK, hosts[i]);
        assert_str(fetched.body, KEYS);
        assert_int_equal(fetched.lifetime_s, FETCH_LIFETIME_S);
    }
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(atomic_load(&server->came[1]), 0);
}

static void a_request_says_no_more_than_it_must(void **state)
{
    (void)state;
    answer_text = JSON_200 "Content-Length: 2\r\n\r\n{}";
    assert_ok(get("good.example", "/keys?a=%2f&b=/../c"));
    const char *expected = arena_printf(&arena,
                                        "GET /keys?a=%%2f&b=/../c HTTP/1.1\r\nHost: good.example:%d\r\n"
                                        "User-Agent: token-service\r\n"
                                        "Accept: application/jwk-set+json, application/json\r\n\r\n",
                                        server->port)
                               .at;
    pthread_mutex_lock(&server->lock);
    const struct str last = arena_copy(&arena, str_of(server->last));
    pthread_mutex_unlock(&server->lock);
    assert_str(last, expected);
}

static void no_connection_is_kept(void **state)
{
    const int64_t begun_ms = clock_ms();
    (void)state;
    assert_ok(get("good.example", "/ended"));
    while (!atomic_load(&was_ended) && clock_ms() - begun_ms < FETCH_TIME_MS)
        clock_sleep_ms(1);
    assert_true(atomic_load(&was_ended));
}

static void a_form_is_posted_once_and_any_status_is_an_answer(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200 },
        { "HTTP/1.1 204 None\r\n\r\n", 204 },
        { "HTTP/1.1 302 Found\r\nLocation: /keys\r\nContent-Length: 0\r\n\r\n", 302 },
        { "HTTP/1.1 400 Bad\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nno!", 400 },
        { "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503 },
    };
    const struct str url = arena_printf(&arena, "https://good.example:%d/logout", server->port);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int status = 0, before = atomic_load(&server->requests);
        answer_text = rows[i].text;
        assert_code(fetch_post(fetch, &arena, url, STR("logout_token=a.b.c"), &status), ERR_OK, rows[i].text);
        assert_int_equal(status, rows[i].status);
        assert_int_equal(atomic_load(&server->requests), before + 1);
    }
    pthread_mutex_lock(&server->lock);
    const bool is_form = strstr(server->last, "\r\nContent-Type: application/x-www-form-urlencoded\r\n") &&
                         strstr(server->last, "\r\n\r\nlogout_token=a.b.c");
    pthread_mutex_unlock(&server->lock);
    assert_true(is_form);
    int status = 0, before = atomic_load(&server->requests);
    answer_text = ""; /* the connection ends without an answer */
    assert_code(fetch_post(fetch, &arena, url, STR("a=b"), &status), ERR_UNAVAILABLE, "no answer");
    assert_int_equal(atomic_load(&server->requests), before + 1);
}

/* --- where no request goes --------------------------------------------------------------------------------------- */

/* Each would lead to 127.0.0.2, or to this server by a way that is not allowed, if somebody read it so. $: the port. */
static void no_trick_in_a_url_makes_a_connection(void **state)
{
    static const char *const tricks[] = {
        "https://127.0.0.2:$/keys",
        "https://2130706434:$/keys",
        "https://0x7f000002:$/keys",
        "https://017700000002:$/keys",
        "https://0177.0.0.2:$/keys",
        "https://0x7f.0.0.2:$/keys",
        "https://127.2:$/keys",
        "https://127.0.2:$/keys",
        "https://127.0.0.02:$/keys",
        "https://127.000.000.002:$/keys",
        "https://127.0.0.2.:$/keys",
        "https://good.example.:$/keys",
        "https://[::ffff:127.0.0.2]:$/keys",
        "https://[::ffff:7f00:2]:$/keys",
        "https://[::127.0.0.2]:$/keys",
        "https://[64:ff9b::127.0.0.2]:$/keys",
        "https://[2002:7f00:2::]:$/keys",
        "https://[::1]:$/keys",
        "https://[::]:$/keys",
        "https://[fe80::1%25lo]:$/keys",
        "https://0.0.0.0:$/keys",
        "https://0:$/keys",
        "https://good.example@127.0.0.2:$/keys",
        "https://good.example%40127.0.0.2:$/keys",
        "https://user:password@good.example:$/keys",
        "https://:@127.0.0.1:$/keys",
        "https://127.0.0.2\\@good.example:$/keys",
        "https://good.example\\.127.0.0.2:$/keys",
        "https://127.0.0.2#@good.example:$/keys",
        "https://good.example:$/keys#fragment",
        "https://good.example:$/ke ys",
        "https://good.example:$/keys\r\nHost: 127.0.0.2",
        "https://good.\texample:$/keys",
        "https://good.\nexample:$/keys",
        " https://good.example:$/keys",
        "https://good\343\200\202example:$/keys",                    /* an ideographic full stop */
        "https://127\357\274\2160\357\274\2160\357\274\2162:$/keys", /* full-width ones */
        "https://\342\221\240\342\221\241\342\221\246.0.0.2:$/keys", /* circled digits */
        "https://%31%32%37.0.0.2:$/keys",
        "https://good%2eexample:$/keys",
        "https://good.example:0$/keys",
        "https://good.example:+$/keys",
        "https://good.example:$:443/keys",
        "https:/good.example:$/keys",
        "https:good.example:$/keys",
        "https:///good.example:$/keys",
        "//good.example:$/keys",
        "good.example:$/keys",
        "http://good.example:$/keys",
        "http://127.0.0.1:$/keys",
        "HTTP://localhost:$/keys",
        "gopher://127.0.0.1:$/_GET",
        "ftp://127.0.0.1:$/keys",
        "dict://127.0.0.1:$/keys",
        "file:///etc/passwd?$",
        "data:application/json,$",
        "ldap://127.0.0.1:$/",
        "jar:https://good.example:$!/keys",
    };
    const int came = atomic_load(&server->came[0]);
    (void)state;
    for (size_t i = 0; i < COUNT(tricks); i++) {
        struct fetched fetched;
        const char *port = strchr(tricks[i], '$');
        const struct str url = arena_printf(&arena, "%.*s%d%s", (int)(port - tricks[i]), tricks[i], server->port,
                                            port + 1);
        const struct err err = fetch_jwks(fetch, &arena, url, &fetched);
        assert_code(err, ERR_INVALID_REQUEST, url.at);
    }
    assert_int_equal(atomic_load(&server->came[0]), came);
    assert_int_equal(atomic_load(&server->came[1]), 0);
}

static void a_name_that_leads_to_an_address_for_special_use_makes_no_connection(void **state)
{
    (void)state;
    assert_true(says(get("bad-bad.example", "/keys"), "for special use"));
    for (size_t i = 0; i < COUNT(special); i++) {
        const char *host = arena_printf(&arena, "special-%zu.example", i).at;
        const int64_t begun_ms = clock_ms();
        assert_row(says(get(host, "/keys"), "for special use"), special[i]);
        assert_row(clock_ms() - begun_ms < FETCH_TIME_MS, special[i]); /* refused, and not tried */
    }
    assert_int_equal(atomic_load(&server->came[1]), 0);
}

static void of_a_name_with_good_and_bad_addresses_only_a_good_one_is_called(void **state)
{
    const int came = atomic_load(&server->came[0]);
    (void)state;
    assert_ok(get("good-bad.example", "/keys"));
    assert_ok(get("bad-good.example", "/keys"));
    assert_int_equal(atomic_load(&server->came[0]), came + 2);
    assert_int_equal(atomic_load(&server->came[1]), 0);
}

static void a_name_that_means_another_address_by_now_is_judged_by_that(void **state)
{
    (void)state;
    struct fetch *first = fresh_fetch(), *second = fresh_fetch(); /* names are remembered for a minute */
    struct fetched fetched;
    assert_ok(get_by(first, "good-then-bad.example", "/keys", &fetched));
    assert_true(says(get_by(second, "good-then-bad.example", "/keys", &fetched), "for special use"));
    assert_true(says(get_by(first, "bad-then-good.example", "/keys", &fetched), "for special use"));
    assert_ok(get_by(second, "bad-then-good.example", "/keys", &fetched));
    assert_int_equal(atomic_load(&server->came[1]), 0);
    fetch_close(first);
    fetch_close(second);
}

static void without_a_setting_this_machine_is_not_called(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost", "good.example", "bad-good.example" };
    const struct settings bare = { .fetch_allow = "", .fetch_ca_file = settings.fetch_ca_file };
    struct fetch *strict = NULL;
    const int came = atomic_load(&server->came[0]);
    (void)state;
    assert_ok(fetch_open(&bare, &strict));
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct fetched fetched;
        assert_row(says(get_by(strict, hosts[i], "/keys", &fetched), "for special use"), hosts[i]);
    }
    assert_int_equal(atomic_load(&server->came[0]), came);
    fetch_close(strict);
}

static void a_certificate_must_be_trusted_and_for_the_name(void **state)
{
    const struct settings system = { .fetch_allow = "127.0.0.1", .fetch_ca_file = "" };
    struct fetch *trusting_the_system = NULL;
    struct fetched fetched;
    const int requests = atomic_load(&server->requests);
    (void)state;
    assert_true(says(get("wrong.example", "/keys"), "its certificate is not trusted"));
    assert_ok(fetch_open(&system, &trusting_the_system));
    assert_true(says(get_by(trusting_the_system, "good.example", "/keys", &fetched), "its certificate is not trusted"));
    fetch_close(trusting_the_system);
    assert_int_equal(atomic_load(&server->requests), requests);
}

static void a_file_of_certificates_that_cannot_be_used_is_named_at_the_start(void **state)
{
    const struct settings wrong = { .fetch_allow = "", .fetch_ca_file = "/nowhere/ca.pem" };
    struct fetch *none = NULL;
    (void)state;
    const struct err err = fetch_open(&wrong, &none);
    assert_code(err, ERR_INVALID_REQUEST, "no such file");
    assert_true(says(err, "TOKEN_FETCH_CA_FILE (/nowhere/ca.pem)"));
    assert_null(none);
}

/* --- answers that are none --------------------------------------------------------------------------------------- */

static void an_answer_that_is_not_200_and_json_is_refused(void **state)
{
    static const struct {
        const char *text, *fails;
    } rows[] = {
        { JSON_200 "Content-Length: 2\r\n\r\n{}", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\nContent-Length: 2\r\n\r\n{}", NULL },
        { "HTTP/1.1 200 OK\r\ncontent-type: Application/JSON ; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}", NULL },
        { "HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.2/\r\nContent-Length: 0\r\n\r\n", "redirect" },
        { "HTTP/1.1 302 Found\r\nLocation: /keys\r\nContent-Length: 0\r\n\r\n", "redirect" },
        { "HTTP/1.1 307 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "redirect" },
        { "HTTP/1.1 308 Moved\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "redirect" },
        { "HTTP/1.1 204 None\r\nContent-Type: application/json\r\n\r\n", "not 200" },
        { "HTTP/1.1 206 Partial\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "not 200" },
        { "HTTP/1.1 203 Other\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "not 200" },
        { "HTTP/1.1 404 None\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "not 200" },
        { "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "not 200" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "Content-Type" },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n{}", "Content-Type" },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nContent-Length: 2\r\n\r\n{}", "Content-Type" },
        { "HTTP/1.1 200 OK\r\nContent-Type: application/jsonp\r\nContent-Length: 2\r\n\r\n{}", "Content-Type" },
        { "HTTP/1.1 200 OK\r\nContent-Type: application/jwt\r\nContent-Length: 2\r\n\r\n{}", "Content-Type" },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html, application/json\r\nContent-Length: 2\r\n\r\n{}",
          "Content-Type" },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
          "Content-Type" },
        { JSON_200 "Content-Length: 9\r\n\r\n{}", "ended before" },
        { "", "ended before" },
        { "SSH-2.0-OpenSSH\r\n", "malformed" },
        { "<html>", "malformed" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const int before = atomic_load(&server->requests);
        answer_text = rows[i].text;
        const struct err err = get("good.example", "/");
        assert_row(rows[i].fails ? err.code == ERR_UNAVAILABLE && says(err, rows[i].fails) : !err.code,
                   arena_printf(&arena, "%s: %s", rows[i].text, err.why ? err.why : "OK").at);
        assert_int_equal(atomic_load(&server->requests), before + 1);
    }
    assert_int_equal(atomic_load(&server->came[1]), 0);
}

static void a_type_of_key_sets_is_none_of_other_json(void **state)
{
    struct fetched fetched;
    const struct str url = arena_printf(&arena, "https://good.example:%d/", server->port);
    (void)state;
    answer_text = "HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\nContent-Length: 2\r\n\r\n[]";
    assert_true(says(fetch_json(fetch, &arena, url, &fetched), "Content-Type"));
    answer_text = JSON_200 "Content-Length: 2\r\n\r\n[]";
    assert_ok(fetch_json(fetch, &arena, url, &fetched));
    assert_str(fetched.body, "[]");
}

static void a_coded_body_is_not_decoded(void **state)
{
    struct fetched fetched;
    (void)state;
    answer_text = JSON_200 "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01";
    assert_ok(get_by(fetch, "good.example", "/", &fetched));
    assert_str(fetched.body, "\x1f\x8b\x08\x01");
}

static void a_lifetime_is_what_the_headers_say_within_its_bounds(void **state)
{
    static const struct {
        const char *header;
        int64_t lifetime_s;
    } rows[] = {
        { "", FETCH_LIFETIME_S },
        { "Cache-Control: max-age=600\r\n", 600 },
        { "cache-control: public, MAX-AGE=\"600\", immutable\r\n", 600 },
        { "Cache-Control: max-age=60\r\n", 60 },
        { "Cache-Control: max-age=59\r\n", 60 },
        { "Cache-Control: max-age=0\r\n", 60 },
        { "Cache-Control: max-age=-1\r\n", 60 },
        { "Cache-Control: max-age=1e9\r\n", 60 },
        { "Cache-Control: max-age=86400\r\n", 86400 },
        { "Cache-Control: max-age=86401\r\n", 86400 },
        { "Cache-Control: max-age=31536000\r\n", 86400 },
        { "Cache-Control: max-age=99999999999999999999999\r\n", 60 },
        { "Cache-Control: max-age=600, max-age=90\r\n", 90 },
        { "Cache-Control: max-age=600\r\nCache-Control: max-age=90\r\n", 90 },
        { "Cache-Control: no-cache, max-age=600\r\n", 60 },
        { "Cache-Control: max-age=600\r\nCache-Control: no-store\r\n", 60 },
        { "Cache-Control: s-maxage=600, x-max-age=700\r\n", FETCH_LIFETIME_S },
        { "Cache-Control: public\r\n", FETCH_LIFETIME_S },
        { "Expires: Thu, 01 Jan 2099 00:00:00 GMT\r\n", FETCH_LIFETIME_S },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fetched fetched;
        answer_text = arena_printf(&arena, JSON_200 "%sContent-Length: 2\r\n\r\n{}", rows[i].header).at;
        assert_code(get_by(fetch, "good.example", "/", &fetched), ERR_OK, rows[i].header);
        assert_row(fetched.lifetime_s == rows[i].lifetime_s, rows[i].header);
    }
}

static void an_answer_has_at_most_64_kb_and_one_without_end_is_cut_off(void **state)
{
    const int64_t begun_ms = clock_ms();
    (void)state;
    for (int size = FETCH_SIZE_MAX; size <= FETCH_SIZE_MAX + 1; size++) {
        answer_text = arena_printf(&arena, JSON_200 "Content-Length: %d\r\n\r\n%*d", size, size, 1).at;
        const struct err err = get("good.example", "/");
        assert_true(size > FETCH_SIZE_MAX ? says(err, "too long") : !err.code);
    }
    assert_true(says(get("good.example", "/endless"), "too long"));
    assert_true(says(get("good.example", "/endless-chunks"), "too long"));
    assert_true(clock_ms() - begun_ms < FETCH_TIME_MS);
}

/* --- time -------------------------------------------------------------------------------------------------------- */

struct slow {
    pthread_t thread;
    const char *host, *path;
    bool is_refused;
    int64_t took_ms;
};

static void *get_slowly(void *arg)
{
    struct slow *slow = arg;
    struct arena own;
    struct fetched fetched;
    const int64_t begun_ms = clock_ms();
    arena_init(&own, NULL, 0);
    const struct str url = arena_printf(&own, "https://%s:%d%s", slow->host, server->port, slow->path);
    slow->is_refused = says(fetch_jwks(fetch, &own, url, &fetched), "in time");
    slow->took_ms = clock_ms() - begun_ms;
    arena_release(&own);
    return NULL;
}

/* All at once, since each takes its five seconds. */
static void five_seconds_are_all_that_a_fetch_may_take(void **state)
{
    struct slow slow[] = { { .host = "good.example", .path = "/drip" },
                           { .host = "good.example", .path = "/drip-of-headers" },
                           { .host = "hangs.example", .path = "/keys" },
                           { .host = "127.0.0.1", .path = "/silent" } };
    const int requests = atomic_load(&server->requests);
    (void)state;
    for (size_t i = 0; i < COUNT(slow); i++) {
        while (i == 3 && atomic_load(&server->requests) < requests + 2) /* until both drips have begun */
            clock_sleep_ms(1);
        atomic_store(&server->is_silent, i == 3);
        assert_int_equal(pthread_create(&slow[i].thread, NULL, get_slowly, &slow[i]), 0);
    }
    for (size_t i = 0; i < COUNT(slow); i++)
        pthread_join(slow[i].thread, NULL);
    atomic_store(&server->is_silent, false);
    for (size_t i = 0; i < COUNT(slow); i++) {
        assert_row(slow[i].is_refused, slow[i].path);
        assert_row(slow[i].took_ms >= FETCH_TIME_MS - 100 && slow[i].took_ms < FETCH_TIME_MS + 2500, slow[i].path);
    }
}

RUN_WITH(begin, end, TEST(a_key_set_is_fetched_by_name_and_by_address), TEST(a_request_says_no_more_than_it_must),
         TEST(no_connection_is_kept), TEST(a_form_is_posted_once_and_any_status_is_an_answer),
         TEST(no_trick_in_a_url_makes_a_connection),
         TEST(a_name_that_leads_to_an_address_for_special_use_makes_no_connection),
         TEST(of_a_name_with_good_and_bad_addresses_only_a_good_one_is_called),
         TEST(a_name_that_means_another_address_by_now_is_judged_by_that),
         TEST(without_a_setting_this_machine_is_not_called), TEST(a_certificate_must_be_trusted_and_for_the_name),
         TEST(a_file_of_certificates_that_cannot_be_used_is_named_at_the_start),
         TEST(an_answer_that_is_not_200_and_json_is_refused), TEST(a_type_of_key_sets_is_none_of_other_json),
         TEST(a_coded_body_is_not_decoded), TEST(a_lifetime_is_what_the_headers_say_within_its_bounds),
         TEST(an_answer_has_at_most_64_kb_and_one_without_end_is_cut_off),
         TEST(five_seconds_are_all_that_a_fetch_may_take))
