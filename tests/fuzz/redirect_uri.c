/* fuzz/redirect_uri.c: a redirect URI that is found is one that is registered, but for the port of a loopback address;
 * and an answer that is added to it gives back the URI and the answer, whoever reads it.
 *
 * An input is the URI of a request, and after a line's end what else is registered. */
#include "fuzz.h"
#include "oauth/redirect_uri.h"
#include "wire/uri.h"
#include "service/message.h"

static const struct redirect_parameter answer[] = { { STR_INIT("code"), STR_INIT("a+b&c=d %\n") },
                                                    { STR_INIT("iss"), { 0, 0 } },
                                                    { STR_INIT("state"), STR_INIT("\xc3\xa4\"'#") } };

/* With its port cut out; the rest of the text as it is. */
static struct str without_port(struct arena *arena, struct str text)
{
    static const struct str origins[] = { STR_INIT("http://127.0.0.1:"), STR_INIT("http://[::1]:") };
    for (size_t i = 0; i < 2; i++) {
        size_t at = origins[i].len;
        if (!str_has_prefix(text, origins[i]))
            continue;
        while (at < text.len && text.at[at] >= '0' && text.at[at] <= '9')
            at++;
        return arena_printf(arena, "%.*s%.*s", (int)origins[i].len - 1, text.at, (int)(text.len - at), text.at + at);
    }
    return text;
}

static void check_answer(struct arena *arena, const struct redirect_uri *to)
{
    struct str out, query, before, pair, name, value;
    struct uri uri;
    size_t found = 0;
    PROMISE(!redirect_uri_with(arena, to, answer, 3, &out).code);
    PROMISE(str_has_prefix(out, to->text) && uri_split(out, &uri)); /* and so has no fragment, and no line's end */
    query = out;
    PROMISE(str_cut(&query, '?', &before));
    while (str_next_item(&query, '&', &pair)) {
        value = pair;
        if (!str_cut(&value, '=', &name))
            continue;
        for (size_t i = 0; i < 3; i += 2) { /* nobody else could have written these names */
            if (!str_eq(name, answer[i].name))
                continue;
            PROMISE(!form_decode(arena, value, &value).code && str_eq(value, answer[i].value));
            found++;
        }
    }
    PROMISE(found == 2);
}

static void check_find(struct arena *arena, struct str asked, const struct str registered[2])
{
    struct redirect_uri strict, native;
    const bool is_found = redirect_uri_find(registered, 2, false, asked, &strict);
    const bool is_found_native = redirect_uri_find(registered, 2, true, asked, &native);
    PROMISE(!is_found || is_found_native);
    if (is_found)
        PROMISE(str_eq(asked, registered[0]) || str_eq(asked, registered[1]));
    if (!is_found_native)
        return;
    PROMISE(str_eq(native.text, asked) && asked.len <= REDIRECT_URI_MAX && !str_has(asked, '#'));
    PROMISE(str_eq(without_port(arena, asked), without_port(arena, registered[0])) ||
            str_eq(without_port(arena, asked), without_port(arena, registered[1])));
    check_answer(arena, &native);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct str rest = input_of(data, size), asked;
    arena_init(&arena, NULL, 0);
    if (!str_cut(&rest, '\n', &asked)) {
        asked = rest;
        rest = STR("http://127.0.0.1/cb");
    }
    const struct str registered[2] = { rest, STR("https://app.example/callback?a=b") };
    const struct str itself[2] = { asked, STR("http://[::1]:8080/cb") };
    check_find(&arena, asked, registered);
    check_find(&arena, asked, itself);
    arena_release(&arena);
    return 0;
}
