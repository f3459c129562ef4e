/* fuzz/b64.c: whatever decodes is the one spelling of its value; whatever is encoded decodes to itself. */
#include "fuzz.h"
#include "jose/b64.h"

static struct str url_encoded(struct arena *arena, struct str bytes)
{
    char *to = arena_alloc(arena, b64url_encoded_len(bytes.len) + 1);
    b64url_encode(bytes, to);
    return (struct str){ to, b64url_encoded_len(bytes.len) };
}

/* The same in base64's own alphabet and with its padding. */
static struct str plain_encoded(struct arena *arena, struct str bytes)
{
    struct str url = url_encoded(arena, bytes);
    size_t len = (bytes.len + 2) / 3 * 4;
    char *to = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        char c = i < url.len ? url.at[i] : '=';
        to[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    return (struct str){ to, len };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = input_of(data, size);
    struct arena arena;
    size_t len = 0;
    arena_init(&arena, NULL, 0);
    char *room = malloc(size / 4 * 3 +
                        2); /* what b64.h asks for, and no more: a sanitizer sees the first byte behind it */
    if (!room)
        abort();
    if (b64url_decode(in, room, &len)) {
        PROMISE(len <= size / 4 * 3 + 2);
        PROMISE(str_eq(url_encoded(&arena, (struct str){ room, len }), in));
    }
    if (b64_decode(in, room, &len))
        PROMISE(str_eq(plain_encoded(&arena, (struct str){ room, len }), in));
    struct str text = url_encoded(&arena, in), padded = plain_encoded(&arena, in);
    char *back = arena_alloc(&arena, text.len / 4 * 3 + 2);
    PROMISE(b64url_decode(text, back, &len) && str_eq((struct str){ back, len }, in));
    PROMISE(b64_decode(padded, back, &len) && str_eq((struct str){ back, len }, in));
    free(room);
    arena_release(&arena);
    return 0;
}
