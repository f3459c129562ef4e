/* oauth/csrf.c */
#include "oauth/csrf.h"
#include "base/random.h"
#include "jose/b64.h"
#include "jose/jws.h"
#include "oauth/cookie.h"
#include "service/message.h"

enum { KEY_BYTES = 32, TEXT_LEN = 43 };

static const struct err foreign = { ERR_INVALID_REQUEST, "the form was sent by another site" };
static const struct err unknown = { ERR_INVALID_REQUEST,
                                    "the form is not from a page that was shown in this browser lately; are cookies "
                                    "allowed?" };

static struct str csrf_text(struct arena *arena, const void *bytes)
{
    char *text = arena_alloc(arena, TEXT_LEN);
    b64url_encode((struct str){ bytes, KEY_BYTES }, text);
    return (struct str){ text, TEXT_LEN };
}

struct str csrf_key(const struct request *request, struct response *response, bool is_secure)
{
    struct str key = cookie_value(request, COOKIE_BROWSER, is_secure);
    if (key.len == TEXT_LEN)
        return key;
    char fresh[KEY_BYTES];
    random_bytes(fresh, sizeof fresh);
    key = csrf_text(request->arena, fresh);
    cookie_set(response, request->arena, COOKIE_BROWSER, is_secure, key, 0);
    return key;
}

/* Label, key and the purpose's hash have fixed lengths, so what one of them holds can't be taken for another. */
struct str csrf_token(struct arena *arena, struct str key, struct str purpose)
{
    unsigned char of_purpose[32], hash[32];
    sha256(purpose, of_purpose);
    const struct str parts[] = { STR("token-service csrf 1\n"), key, { (const char *)of_purpose, sizeof of_purpose } };
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return csrf_text(arena, hash);
}

/* "none": the user's own doing, such as loading the page again; an old browser says nothing. */
static bool csrf_is_foreign(const struct request *request)
{
    const struct str site = request_header(request, STR("Sec-Fetch-Site"));
    return site.at && !str_eq(site, STR("same-origin")) && !str_eq(site, STR("none"));
}

struct err csrf_check(const struct request *request, bool is_secure, struct str purpose, struct str token)
{
    const struct str key = cookie_value(request, COOKIE_BROWSER, is_secure);
    if (csrf_is_foreign(request))
        return foreign;
    if (key.len != TEXT_LEN)
        return unknown;
    return str_eq_secret(csrf_token(request->arena, key, purpose), token) ? OK : unknown;
}
