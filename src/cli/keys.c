/* cli/keys.c: token-service keys list. */
#include "cli/cli.h"
#include <stdio.h>
#include <time.h>

static void print_key(const struct key *key, bool json, bool first)
{
    struct tm tm;
    char created[32];
    time_t at = (time_t)key->created_at;
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    if (json)
        printf("%s{\"kid\":\"%.*s\",\"alg\":\"%.*s\",\"state\":\"%s\",\"created_at\":\"%s\"}", first ? "" : ",\n ",
               (int)key->kid.len, key->kid.at, (int)key->alg.len, key->alg.at, key_state_name(key->state), created);
    else
        printf("%-44.*s %-6.*s %-9s %s\n", (int)key->kid.len, key->kid.at, (int)key->alg.len, key->alg.at,
               key_state_name(key->state), created);
}

static struct err list(struct app *app, bool json)
{
    struct arena arena;
    struct key *keys = NULL;
    size_t count = 0;
    TRY(app_open_store(app));
    arena_init(&arena, NULL, 0);
    struct err err = app->service.store->ops->list_keys(app->service.store, &arena, &keys, &count);
    if (!err.code && json)
        printf("[");
    else if (!err.code)
        printf("%-44s %-6s %-9s %s\n", "KID", "ALG", "STATE", "CREATED");
    for (size_t i = 0; !err.code && i < count; i++)
        print_key(&keys[i], json, i == 0);
    if (!err.code && json)
        printf("]\n");
    arena_release(&arena);
    return err;
}

int command_keys(int argc, char **argv)
{
    bool json = false;
    const struct option_row rows[] = { { "--json", OPTION_SWITCH, &json } };
    const char *words[1] = { NULL };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, 1, words, 1, &app.settings))
        return EXIT_USAGE;
    struct err err = words[0] && strcmp(words[0], "list") == 0 ? list(&app, json)
                                                               : failed(ERR_INVALID_REQUEST, "keys takes list");
    app_close(&app);
    settings_release(&app.settings);
    return report(err);
}
