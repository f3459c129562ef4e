/* test_issuer.c: URLs that begin with the issuer, however TOKEN_ISSUER ends, and the issuer's own path. */
#include "oauth/issuer.h"
#include "base/settings.h"
#include "unit.h"

static void urls_and_the_path_follow_from_the_issuer(void **state)
{
    static const struct {
        const char *issuer, *url, *path;
    } rows[] = {
        { "https://auth.test", "https://auth.test/token", "" },
        { "https://auth.test/", "https://auth.test/token", "" },
        { "https://auth.test//", "https://auth.test/token", "" },
        { "https://auth.test:8443", "https://auth.test:8443/token", "" },
        { "https://auth.test/tenant", "https://auth.test/tenant/token", "tenant" },
        { "https://auth.test/tenant/", "https://auth.test/tenant/token", "tenant" },
        { "https://auth.test/a/b", "https://auth.test/a/b/token", "a/b" },
        { "http://[::1]:80/x", "http://[::1]:80/x/token", "x" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct settings settings = { .issuer = rows[i].issuer };
        assert_str(issuer_url(&arena, &settings, STR("/token")), rows[i].url);
        assert_str(issuer_path(&settings), rows[i].path);
    }
}

RUN(TEST(urls_and_the_path_follow_from_the_issuer))
