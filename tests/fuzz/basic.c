/* fuzz/basic.c: Basic credentials that are taken have a name, are text without NUL, and read the same again when
 * encoded anew. The input is tried as what stands in the header, and as what that would decode to. */
#include "fuzz.h"
#include "jose/b64.h"
#include "service/authn.h"

static struct str base64_of(struct arena *arena, struct str bytes)
{
    size_t url_len = b64url_encoded_len(bytes.len), len = (bytes.len + 2) / 3 * 4;
    char *to = arena_alloc(arena, len + 1);
    b64url_encode(bytes, to);
    for (size_t i = 0; i < url_len; i++)
        to[i] = to[i] == '-' ? '+' : to[i] == '_' ? '/' : to[i];
    memset(to + url_len, '=', len - url_len);
    return (struct str){ to, len };
}

static void check(struct arena *arena, struct str encoded)
{
    struct str id, secret, id_again, secret_again;
    struct buf pair;
    struct err err = basic_read(arena, encoded, &id, &secret);
    PROMISE(!err.code || err.code == ERR_INVALID_CLIENT);
    if (err.code)
        return;
    PROMISE(id.len > 0 && utf8_valid(id) && utf8_valid(secret) && !str_has(id, '\0') && !str_has(secret, '\0'));
    buf_init(&pair, arena, 1024, 3 * (id.len + secret.len) + 1);
    buf_add(&pair, percent_encoded(arena, id));
    buf_add_char(&pair, ':');
    buf_add(&pair, percent_encoded(arena, secret));
    struct str again = base64_of(arena, buf_str(&pair));
    if (again.len > 4096) /* the bound of authn.c */
        return;
    PROMISE(!basic_read(arena, again, &id_again, &secret_again).code);
    PROMISE(str_eq(id_again, id) && str_eq(secret_again, secret));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    check(&arena, input_of(data, size));
    check(&arena, base64_of(&arena, input_of(data, size)));
    arena_release(&arena);
    return 0;
}
