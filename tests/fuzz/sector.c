/* fuzz/sector.c: a list of redirect URIs that is taken has those that are registered, each in quotes of its own; and
 * what is taken for some of them is taken for fewer. */
#include "fuzz.h"
#include "oauth/sector.h"

/* Decoded by the parser, which has a target of its own. */
static bool is_among(const struct json *list, struct str uri)
{
    size_t found = 0;
    for (const struct json *each = list->child; each; each = each->next) {
        PROMISE(each->kind == JSON_STRING);
        found += each->text.len == uri.len && memcmp(each->text.at, uri.at, uri.len) == 0;
    }
    return found > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str uris[] = { STR_INIT("https://a.example/1"), STR_INIT("https://b.example/2") };
    const struct str text = input_of(data, size);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    const char *before = NULL;
    for (size_t count = 0; count <= 2; count++) {
        const struct client_texts registered = { uris, count };
        const struct json *list = NULL;
        const char *fault = sector_fault_of(&arena, text, &registered);
        PROMISE(!before || fault);
        before = fault;
        if (fault)
            continue;
        PROMISE(!json_parse(&arena, text, &list).code && list->kind == JSON_ARRAY);
        for (size_t i = 0; i < count; i++)
            PROMISE(is_among(list, uris[i]));
    }
    arena_release(&arena);
    return 0;
}
