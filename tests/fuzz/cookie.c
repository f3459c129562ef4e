/* fuzz/cookie.c: Cookie headers as strangers send them: what is found stands behind its name, once, and goes on to the
 * next semicolon. An input is the header's value. */
#include "fuzz.h"
#include "oauth/cookie.h"
#include "service/message.h"

/* How many pairs have the name "a", reckoned from the beginning of each one. */
static size_t pairs_of_a(struct str header)
{
    size_t count = 0, at = 0;
    while (at <= header.len) {
        size_t end = at;
        while (end < header.len && header.at[end] != ';')
            end++;
        while (at < end && (header.at[at] == ' ' || header.at[at] == '\t'))
            at++;
        bool named = at < end && header.at[at] == 'a';
        for (at++; at < end && (header.at[at] == ' ' || header.at[at] == '\t');)
            at++;
        count += named && at < end && header.at[at] == '=';
        at = end + 1;
    }
    return count;
}

static void check_find(struct str header)
{
    struct str value = { 0, 0 };
    const bool found = cookie_find(header, STR("a"), &value);
    PROMISE(found == (pairs_of_a(header) == 1));
    PROMISE(!found || (value.at > header.at && value.at + value.len <= header.at + header.len));
    PROMISE(!found || (!str_has(value, ';') && str_eq(str_trim(value), value)));
}

static void check_value(struct arena *arena, struct str header)
{
    const struct header line = { STR("Cookie"), header };
    const struct request request = { .arena = arena, .headers = { &line, 1 } };
    for (int is_secure = 0; is_secure <= 1; is_secure++) {
        const struct str value = cookie_value(&request, COOKIE_SESSION, is_secure);
        struct response response;
        PROMISE(!value.at || (value.len > 0 && value.len <= COOKIE_VALUE_MAX));
        response_init(&response, arena);
        cookie_set(&response, arena, COOKIE_SESSION, is_secure, header, 0); /* as a value: all of it, or nothing */
        PROMISE(response.is_unfit == (response.header_count == 0));
        PROMISE(response.is_unfit || (!str_has(header, ';') && !str_has(header, '\n') && !str_has(header, '\0')));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    check_find(input_of(data, size));
    check_value(&arena, input_of(data, size));
    arena_release(&arena);
    return 0;
}
