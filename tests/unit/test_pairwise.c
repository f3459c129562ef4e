/* test_pairwise.c: what clients know users by: the same for one sector, another for each other one, and nothing without
 * the salt. The identifiers were computed by Python's hmac: base64url(HMAC-SHA-256(SALT, kind LF host LF text)). */
#include "service/pairwise.h"
#include "base/settings.h"
#include "unit.h"

#define SALT "0123456789abcdef0123456789abcdef"
#define USER "7c3b2a10-5a0e-4a52-9a1c-1f6f3f6c1d11"
#define AT_A "A_QIAT5Q9-5Lt_uRvNlK4Ur6RyFRpkQkUlRJ0N-Mm5Y" /* USER, at a.example */
#define AT_B "hfmwWXjCekDR8c6BG8P9V-4CFhNOgoqiDjKVDVDQshA"

static const struct settings salted = { .pairwise_salt = SALT }, unsalted = { .pairwise_salt = "" };

/* With up to two redirect URIs. */
static struct client_metadata client_with(const char *sector_uri, const char *one, const char *two)
{
    static struct str uris[2];
    uris[0] = str_of(one ? one : "");
    uris[1] = str_of(two ? two : "");
    return (struct client_metadata){ .subject = SUBJECT_PAIRWISE,
                                     .sector_identifier_uri = str_of(sector_uri),
                                     .redirect_uris = { uris, one ? two ? 2 : 1 : 0 } };
}

static void a_sector_is_the_host_that_all_redirect_uris_have_or_that_of_its_uri(void **state)
{
    static const struct {
        const char *sector_uri, *one, *two, *host; /* host NULL: there is none */
    } rows[] = {
        { "", "https://a.example/cb", NULL, "a.example" },
        { "", "https://a.example:8443/cb?x=1", NULL, "a.example" },
        { "", "https://a.example/1", "https://a.example:8443/2", "a.example" },
        { "", "https://a.example/1", "https://A.Example/2", "a.example" },
        { "", "https://[2001:db8::1]:8443/", NULL, "[2001:db8::1]" },
        { "", "http://127.0.0.1/cb", "http://127.0.0.1:8080/cb", "127.0.0.1" },
        { "https://s.example/list", "https://a.example/", "https://b.example/", "s.example" },
        { "https://s.example:8443/list", "com.example:/cb", NULL, "s.example" },
        { "https://s.example/list", NULL, NULL, "s.example" },
        { "", NULL, NULL, NULL },
        { "", "https://a.example/", "https://b.example/", NULL },
        { "", "https://a.example/", "https://x.a.example/", NULL },
        { "", "https://a.example/", "https://a.example.b/", NULL },
        { "", "https://a.example/", "com.example:/cb", NULL },
        { "", "com.example:/cb", NULL, NULL },
        { "", "com.example:/cb", "com.example:/cb2", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct client_metadata client = client_with(rows[i].sector_uri, rows[i].one, rows[i].two);
        const char *const row = arena_printf(&arena, "row %zu", i).at;
        struct str host = STR("untouched");
        const char *fault = pairwise_find_sector(&client, &host);
        assert_row(!fault == (rows[i].host != NULL), row);
        assert_str(host, rows[i].host ? rows[i].host : "untouched");
        assert_code(pairwise_check(&salted, &client), fault ? ERR_UNAUTHORIZED_CLIENT : ERR_OK, row);
        struct str name = STR("untouched");
        assert_code(pairwise_sector(&salted, &arena, &client, &name), fault ? ERR_UNAUTHORIZED_CLIENT : ERR_OK, row);
        assert_str(name, rows[i].host ? rows[i].host : "untouched");
    }
}

static void a_sector_is_named_in_lower_case(void **state)
{
    struct client_metadata client = client_with("", "https://A.Example:8443/cb", NULL);
    struct str name;
    (void)state;
    assert_ok(pairwise_sector(&salted, &arena, &client, &name));
    assert_str(name, "a.example");
    client.subject = SUBJECT_PUBLIC;
    assert_ok(pairwise_sector(&unsalted, &arena, &client, &name));
    assert_str(name, "");
}

static struct str known(const struct client_metadata *client, const char *subject)
{
    struct str sub = { 0, 0 };
    assert_ok(pairwise_subject(&salted, &arena, client, str_of(subject), &sub));
    return sub;
}

static void a_user_has_one_identifier_in_each_sector(void **state)
{
    (void)state;
    static const struct {
        const char *sector_uri, *one, *subject, *sub;
    } rows[] = {
        { "", "https://a.example/cb", USER, AT_A },
        { "", "https://A.EXAMPLE:8443/other", USER, AT_A },
        { "https://a.example/list", "https://b.example/cb", USER, AT_A },
        { "", "https://b.example/cb", USER, AT_B },
        { "", "https://a.example/cb", "ada", "elfwwjP19CAlEeNxrbygQblGAmIMfAZQNz51GebWp88" },
        { "", "https://a.example/cb", "zo\xc3\xab\n1", "sOHAILF-qQIJqggrGG8jvMPwhWKMzscZTm1V5m_kSIc" },
        { "", "https://[2001:DB8::1]/cb", USER, "Brm3QAQwywxGVpilkBA8HsgeUltiwB0TTx2bkLRf6WQ" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct client_metadata client = client_with(rows[i].sector_uri, rows[i].one, NULL);
        assert_str(known(&client, rows[i].subject), rows[i].sub);
    }
    const struct client_metadata client = client_with("", "https://a.example/cb", NULL);
    struct str sid;
    assert_ok(pairwise_session(&salted, &arena, &client, STR(USER), &sid)); /* a session of that name is no user */
    assert_str(sid, "6uACY8jpA6HixIafocZZXohhZ00EgsGjlqDpEAbrGmo");
}

static void another_salt_gives_other_identifiers(void **state)
{
    const struct settings other = { .pairwise_salt = "1123456789abcdef0123456789abcdef" };
    const struct client_metadata client = client_with("", "https://a.example/cb", NULL);
    struct str sub;
    (void)state;
    assert_ok(pairwise_subject(&other, &arena, &client, STR(USER), &sub));
    assert_int_equal(sub.len, PAIRWISE_LEN);
    assert_false(str_eq(sub, STR(AT_A)));
}

static void a_public_client_knows_users_as_they_are_salt_or_not(void **state)
{
    struct client_metadata client = client_with("", "https://a.example/cb", "https://b.example/cb");
    const struct settings *const both[] = { &salted, &unsalted };
    (void)state;
    client.subject = SUBJECT_PUBLIC;
    for (size_t i = 0; i < COUNT(both); i++) {
        struct str sub, sid;
        assert_ok(pairwise_check(both[i], &client));
        assert_ok(pairwise_subject(both[i], &arena, &client, STR(USER), &sub));
        assert_ok(pairwise_session(both[i], &arena, &client, STR("s"), &sid));
        assert_str(sub, USER);
        assert_str(sid, "s");
        assert_true(pairwise_is_subject(both[i], &arena, &client, STR(USER), STR(USER)));
        assert_false(pairwise_is_subject(both[i], &arena, &client, STR("x"), STR(USER)));
    }
}

/* Deny by default: never the subject itself. */
static void without_a_salt_or_a_sector_or_a_known_type_a_client_is_told_of_nobody(void **state)
{
    struct client_metadata good = client_with("", "https://a.example/cb", NULL), unknown = good, nowhere = good;
    unknown.subject = SUBJECT_UNSUPPORTED;
    nowhere.redirect_uris.count = 0;
    const struct {
        const struct settings *settings;
        const struct client_metadata *client;
        const char *name;
    } rows[] = { { &unsalted, &good, "no salt" },
                 { &salted, &unknown, "no type" },
                 { &salted, &nowhere, "no sector" } };
    (void)state;
    assert_ok(pairwise_check(&salted, &good));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str out = STR("untouched");
        assert_code(pairwise_check(rows[i].settings, rows[i].client), ERR_UNAUTHORIZED_CLIENT, rows[i].name);
        assert_code(pairwise_subject(rows[i].settings, &arena, rows[i].client, STR(USER), &out),
                    ERR_UNAUTHORIZED_CLIENT, rows[i].name);
        assert_code(pairwise_session(rows[i].settings, &arena, rows[i].client, STR("s"), &out), ERR_UNAUTHORIZED_CLIENT,
                    rows[i].name);
        assert_str(out, "untouched");
        assert_row(!pairwise_is_subject(rows[i].settings, &arena, rows[i].client, STR(USER), STR(USER)), rows[i].name);
    }
}

static void what_a_client_knows_is_recognised_and_what_it_can_not_know_is_not(void **state)
{
    const struct client_metadata client = client_with("", "https://a.example/cb", NULL);
    (void)state;
    assert_true(pairwise_is_subject(&salted, &arena, &client, STR(AT_A), STR(USER)));
    assert_false(pairwise_is_subject(&salted, &arena, &client, STR(AT_A), STR("ada")));
    assert_false(pairwise_is_subject(&salted, &arena, &client, STR(AT_B), STR(USER)));
    assert_false(pairwise_is_subject(&salted, &arena, &client, STR(USER), STR(USER)));
    assert_false(pairwise_is_subject(&salted, &arena, &client, STR(""), STR(USER)));
    assert_false(pairwise_is_session(&salted, &arena, &client, STR(AT_A), STR(USER)));
    assert_true(pairwise_is_session(&salted, &arena, &client, STR("4DMHmTKhuvgMFSIgK-9vNcO7A8YTQW-Ce_bazK0_I3c"),
                                    STR("session-1")));
}

RUN(TEST(a_sector_is_the_host_that_all_redirect_uris_have_or_that_of_its_uri), TEST(a_sector_is_named_in_lower_case),
    TEST(a_user_has_one_identifier_in_each_sector), TEST(another_salt_gives_other_identifiers),
    TEST(a_public_client_knows_users_as_they_are_salt_or_not),
    TEST(without_a_salt_or_a_sector_or_a_known_type_a_client_is_told_of_nobody),
    TEST(what_a_client_knows_is_recognised_and_what_it_can_not_know_is_not))
