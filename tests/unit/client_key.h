/* tests/unit/client_key.h: a client's key pair, and key sets as a client publishes them. */
#ifndef CLIENT_KEY_H
#define CLIENT_KEY_H

#include "jose/jws.h"
#include "vectors.h"

static inline struct jwk *key_new(enum jwa alg)
{
    struct jwk *key = NULL;
    assert_ok(jwk_generate(alg, &key));
    return key;
}

/* Its public half as a JWK: `head` ("\"kid\":\"a\",") and the members that its type has, without kid, use and alg. */
static inline const char *jwk_of(const char *head, const struct jwk *key)
{
    struct buf text;
    buf_init(&text, &arena, 512, 8192);
    jwk_write_public(key, &text);
    buf_add_char(&text, '\0');
    assert_false(text.overflowed);
    const char *members = strstr(strstr(text.at, "\"alg\":"), ",");
    return arena_printf(&arena, "{%s%s", head, members + 1).at;
}

/* Of JWKs, up to a NULL. */
static inline struct str set_of(const char *first, ...)
{
    struct buf text;
    va_list more;
    buf_init(&text, &arena, 1024, 1 << 20);
    buf_add(&text, STR("{\"keys\":["));
    const size_t empty = text.len;
    va_start(more, first);
    for (const char *each = first; each; each = va_arg(more, const char *)) {
        buf_add(&text, text.len == empty ? STR("") : STR(","));
        buf_add(&text, str_of(each));
    }
    va_end(more);
    buf_add(&text, STR("]}"));
    return buf_str(&text);
}

/* Signs any header and payload, so that a test's token is wrong in the one thing that is tested. */
static inline struct str signed_by(const struct jwk *key, const char *header, const char *payload)
{
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    struct str h = encoded(str_of(header)), p = encoded(str_of(payload));
    struct str input = arena_printf(&arena, "%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at);
    assert_ok(jws_sign(key, input, signature, &len));
    struct str s = encoded((struct str){ signature, len });
    return arena_printf(&arena, "%.*s.%.*s", (int)input.len, input.at, (int)s.len, s.at);
}

#endif
