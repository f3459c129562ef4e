/* fetch_url: fetches each URL that it is given as a key set, by the settings in its environment, and prints a line for
 * each: "ok", its lifetime and its body, or the error's label and its sentence. For integration/test_fetch.py. */
#include "base/settings.h"
#include "net/fetch.h"
#include "observe/log.h"
#include <stdio.h>

static void fetch_one(struct fetch *fetch, const char *url)
{
    struct arena arena;
    struct fetched fetched;
    arena_init(&arena, NULL, 0);
    const struct err err = fetch_jwks(fetch, &arena, str_of(url), &fetched);
    if (err.code)
        printf("%s %s\n", err_label(err.code), err.why);
    else
        printf("ok %lld %.*s\n", (long long)fetched.lifetime_s, (int)fetched.body.len, fetched.body.at);
    arena_release(&arena);
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct fetch *fetch = NULL;
    int next = 1;
    struct err err = settings_read(argc, argv, &next, &settings);
    if (err.code) {
        fprintf(stderr, "%s\n", err.why);
        return 2;
    }
    log_configure(LOG_WARN, LOG_JSON);
    err = fetch_open(&settings, &fetch);
    if (err.code)
        fprintf(stderr, "%s\n", err.why);
    for (int i = next; !err.code && i < argc; i++)
        fetch_one(fetch, argv[i]);
    fetch_close(fetch);
    settings_release(&settings);
    return err.code ? 1 : 0;
}
