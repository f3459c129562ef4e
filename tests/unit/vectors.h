/* tests/unit/vectors.h: the standards' own examples, tests/vectors/<section>.json. Members: source, expect ("valid" or
 * "refused: why"), jwk, private (what its private half adds), thumbprint, token, payload (base64url). */
#ifndef VECTORS_H
#define VECTORS_H

#include "base/json.h"
#include "jose/b64.h"
#include "unit.h"

/* The whole file; the build says where the vectors lie. Fails the test when it can't be read. */
static inline const struct json *vector(const char *name)
{
    const char *folder = getenv("TOKEN_VECTORS");
    const struct json *json = NULL;
    if (!folder)
        fail_msg("TOKEN_VECTORS does not name the folder of the vectors (meson test sets it)");
    FILE *file = fopen(arena_printf(&arena, "%s/%s.json", folder, name).at, "re");
    if (!file)
        fail_msg("the vector %s can't be read", name);
    char *text = arena_alloc(&arena, 16384);
    size_t len = fread(text, 1, 16384, file);
    fclose(file);
    assert_ok(json_parse(&arena, (struct str){ text, len }, &json));
    return json;
}

/* A string member; an absent one is {NULL, 0}. */
static inline struct str text_of(const struct json *json, const char *name)
{
    const struct json *member = json_member(json, str_of(name));
    return member && member->kind == JSON_STRING ? member->text : (struct str){ NULL, 0 };
}

static inline struct str decoded(struct str text)
{
    char *to = arena_alloc(&arena, text.len / 4 * 3 + 2);
    size_t len = 0;
    assert_true(b64url_decode(text, to, &len));
    return (struct str){ to, len };
}

static inline struct str encoded(struct str bytes)
{
    char *to = arena_alloc(&arena, b64url_encoded_len(bytes.len) + 1);
    b64url_encode(bytes, to);
    return (struct str){ to, b64url_encoded_len(bytes.len) };
}

#endif
