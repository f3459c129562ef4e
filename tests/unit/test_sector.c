/* test_sector.c: the list that a client publishes must be an array with all its redirect URIs. (How it is fetched:
 * tests/integration/test_pairwise.py.) */
#include "oauth/sector.h"
#include "base/settings.h"
#include "net/fetch.h"
#include "oauth/oauth.h"
#include "service/service.h"
#include "unit.h"

static const struct str uris[] = { ROW("https://a.example/1"), ROW("https://b.example/2") };

static void a_list_has_every_redirect_uri(void **state)
{
    static const struct {
        struct str text;
        bool is_fit;
    } rows[] = {
        { ROW("[\"https://a.example/1\",\"https://b.example/2\"]"), true },
        { ROW(" [\"https://c.example/\", \"https://b.example/2\", \"https://a.example/1\"] \n"), true },
        { ROW("[\"https:\\/\\/a.example\\/1\",\"https://b.example/2\"]"), true },
        { ROW("[\"https://a.example/1\"]"), false },
        { ROW("[\"https://a.example/1\",\"https://b.example/2/\"]"), false },
        { ROW("[\"https://a.example/1\",\"https://b.example/\"]"), false },
        { ROW("[\"https://a.example/1\",\"https://B.example/2\"]"), false },
        { ROW("[\"https://a.example/1\",\"https://b.example:443/2\"]"), false },
        { ROW("[\"https://a.example/1 https://b.example/2\"]"), false },
        { ROW("[\"https://a.example/1\",\"https://b.example/2\",1]"), false },
        { ROW("[[\"https://a.example/1\",\"https://b.example/2\"]]"), false },
        { ROW("{\"redirect_uris\":[\"https://a.example/1\",\"https://b.example/2\"]}"), false },
        { ROW("{\"0\":\"https://a.example/1\",\"1\":\"https://b.example/2\"}"), false },
        { ROW("\"https://a.example/1\""), false },
        { ROW("[]"), false },
        { ROW("null"), false },
        { ROW("[\"https://a.example/1\",\"https://b.example/2\""), false },
        { ROW(""), false },
    };
    const struct client_texts both = { uris, 2 };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = exactly(rows[i].text);
        const char *fault = sector_fault_of(&arena, (struct str){ text, rows[i].text.len }, &both);
        assert_row(!fault == rows[i].is_fit, rows[i].text.at);
        free(text);
    }
}

static void who_has_fewer_needs_fewer(void **state)
{
    const struct client_texts one = { uris, 1 }, none = { uris, 0 };
    (void)state;
    assert_null(sector_fault_of(&arena, STR("[\"https://a.example/1\"]"), &one));
    assert_non_null(sector_fault_of(&arena, STR("[\"https://b.example/2\"]"), &one));
    assert_null(sector_fault_of(&arena, STR("[]"), &none));
    assert_non_null(sector_fault_of(&arena, STR("{}"), &none));
}

static const struct client_metadata at_home = { .sector_identifier_uri = ROW("https://127.0.0.1/sector") };

/* The guard refuses the address before anything is called. */
static void a_command_fetches_by_itself(void **state)
{
    const struct settings settings = { .fetch_allow = "", .fetch_ca_file = "" };
    const struct service service = { .settings = &settings };
    (void)state;
    const struct err err = sector_check(&service, &arena, &at_home);
    assert_code(err, ERR_CLIENT_METADATA, "an address for special use");
    assert_non_null(strstr(err.why, "\"sector_identifier_uri\""));
}

static void so_many_are_fetched_at_once_and_no_more(void **state)
{
    const struct settings settings = { .fetch_allow = "", .fetch_ca_file = "" };
    struct oauth oauth = { .sectors = SECTORS_MAX - 1 };
    const struct service service = { .settings = &settings, .oauth = &oauth };
    (void)state;
    assert_ok(fetch_open(&settings, &oauth.fetch));
    for (int i = 0; i < 2; i++) {
        assert_code(sector_check(&service, &arena, &at_home), ERR_CLIENT_METADATA, "there is room for one");
        assert_int_equal(oauth.sectors, SECTORS_MAX - 1);
    }
    oauth.sectors = SECTORS_MAX;
    assert_code(sector_check(&service, &arena, &at_home), ERR_UNAVAILABLE, "there is none");
    assert_int_equal(oauth.sectors, SECTORS_MAX);
    fetch_close(oauth.fetch);
}

RUN(TEST(a_list_has_every_redirect_uri), TEST(who_has_fewer_needs_fewer), TEST(a_command_fetches_by_itself),
    TEST(so_many_are_fetched_at_once_and_no_more))
