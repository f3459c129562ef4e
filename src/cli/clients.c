/* cli/clients.c: token-service clients add | list | secret | disable | enable. */
#include "base/json.h"
#include "cli/cli.h"
#include "service/client_admin.h"
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { LIST_MAX = 10000 };

struct add_options {
    const char *id, *name, *scope;
    int64_t access_ttl_s, refresh_ttl_s, id_ttl_s;
    bool is_public, json;
};

/* Before the store is opened, and by the flags' names. */
static struct err clients_check_options(const struct add_options *options)
{
    if (!client_admin_id_is_fit(str_of(options->id)))
        return failed(ERR_INVALID_REQUEST, "--id takes 1 to 255 visible ASCII characters");
    if (!client_admin_scopes_are_fit(str_of(options->scope)))
        return failed(ERR_INVALID_REQUEST, "--scope takes space-separated scopes without quotes and backslashes");
    if (!utf8_valid(str_of(options->name)))
        return failed(ERR_INVALID_REQUEST, "--name is not valid UTF-8");
    return OK;
}

/* False when it could not be written: then the caller has not seen the secret. */
static bool clients_print_client(const struct client_entry *client, const char *secret, bool json)
{
    char room[8192];
    struct arena arena;
    struct buf out;
    if (!json) {
        printf("client_id      %.*s\n", (int)client->id.len, client->id.at);
        if (!client->is_public)
            printf("client_secret  %s\n\nThe secret is shown this once; only its hash is kept.\n", secret);
        return output_is_written();
    }
    arena_init(&arena, room, sizeof room);
    buf_init(&out, &arena, 1024, 64 * 1024);
    buf_add_char(&out, '{');
    json_write_name(&out, STR("client_id"));
    json_write_str(&out, client->id);
    if (!client->is_public) {
        json_write_name(&out, STR("client_secret"));
        json_write_str(&out, str_of(secret));
    }
    json_write_name(&out, STR("client_type"));
    json_write_str(&out, client->is_public ? STR("public") : STR("confidential"));
    json_write_name(&out, STR("scope"));
    json_write_str(&out, client->scopes);
    printf("%.*s}\n", (int)out.len, out.at);
    mem_wipe(room, sizeof room);
    arena_release(&arena);
    return output_is_written();
}

static int clients_add(struct app *app, const struct add_options *options)
{
    char secret[CLIENT_SECRET_SIZE];
    const struct client_entry client = { .id = str_of(options->id),
                                         .name = str_of(options->name[0] ? options->name : options->id),
                                         .is_public = options->is_public,
                                         .scopes = str_of(options->scope),
                                         .access_ttl_s = options->access_ttl_s,
                                         .refresh_ttl_s = options->refresh_ttl_s,
                                         .id_ttl_s = options->id_ttl_s,
                                         .is_active = true,
                                         .created_at = (int64_t)time(NULL) };
    struct err err = client_admin_add(&app->service, &client, secret);
    if (!err.code && !clients_print_client(&client, secret, options->json))
        err = failed(ERR_UNAVAILABLE, client.is_public ? "the client was added, but the output could not be written"
                                                       : "the client was added, but its secret could not be written "
                                                         "and is lost: clients secret ID makes a new one");
    mem_wipe(secret, sizeof secret);
    return report(err);
}

/* The old secret is good until servers have forgotten it: TOKEN_CLIENT_CACHE_TTL at most. */
static struct err clients_replace_secret(struct app *app, const char *id, bool json)
{
    char secret[CLIENT_SECRET_SIZE];
    struct client_entry client;
    struct err err = client_admin_renew_secret(&app->service, &app->arena, str_of(id), &client, secret);
    if (!err.code && !clients_print_client(&client, secret, json))
        err = failed(ERR_UNAVAILABLE,
                     "the client has a new secret, but it could not be written and is lost: run the command again");
    mem_wipe(secret, sizeof secret);
    return err;
}

static int clients_give_secret(struct app *app, const char *id, bool json)
{
    if (!id)
        return report(failed(ERR_INVALID_REQUEST, "name the client: clients secret ID"));
    struct err err = clients_replace_secret(app, id, json);
    if (!err.code && !json)
        printf("Running servers stop accepting the old secret at once, or with a shared database within %lld "
               "s\n(TOKEN_CLIENT_CACHE_TTL). Tokens that were issued stay valid until they expire.\n",
               (long long)app->settings.client_cache_s);
    return report(err);
}

static void clients_print_json(const struct client_entry *clients, size_t count, struct arena *arena)
{
    struct buf out;
    buf_init(&out, arena, 4096, 64 * 1024 * 1024);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add(&out, i > 0 ? STR(",\n {") : STR("{"));
        json_write_name(&out, STR("client_id"));
        json_write_str(&out, clients[i].id);
        json_write_name(&out, STR("client_name"));
        json_write_str(&out, clients[i].name);
        json_write_name(&out, STR("client_type"));
        json_write_str(&out, clients[i].is_public ? STR("public") : STR("confidential"));
        json_write_name(&out, STR("scope"));
        json_write_str(&out, clients[i].scopes);
        json_write_name(&out, STR("is_active"));
        buf_add(&out, clients[i].is_active ? STR("true") : STR("false"));
        json_write_name(&out, STR("created_at"));
        buf_add_int(&out, clients[i].created_at);
        buf_add_char(&out, '}');
    }
    printf("%.*s]\n", (int)out.len, out.at);
}

static int clients_list(struct app *app, bool json)
{
    struct arena arena;
    struct client_entry *clients = NULL;
    size_t count = 0;
    arena_init(&arena, NULL, 0);
    struct err err = client_admin_list(&app->service, &arena, LIST_MAX, &clients, &count);
    if (!err.code && json) {
        clients_print_json(clients, count, &arena);
    } else if (!err.code) {
        printf("%-32s %-12s %-8s %s\n", "CLIENT", "TYPE", "STATE", "SCOPE");
        for (size_t i = 0; i < count; i++)
            printf("%-32.*s %-12s %-8s %.*s\n", (int)clients[i].id.len, clients[i].id.at,
                   clients[i].is_public ? "public" : "confidential", clients[i].is_active ? "active" : "disabled",
                   (int)clients[i].scopes.len, clients[i].scopes.at);
    }
    arena_release(&arena);
    return report(err);
}

static int clients_set_active(struct app *app, const char *id, bool active)
{
    if (!id)
        return report(failed(ERR_INVALID_REQUEST, "name the client: clients disable ID"));
    struct err err = client_admin_set_active(&app->service, str_of(id), active);
    if (!err.code)
        printf("%s is %s; running servers apply this within seconds\n", id, active ? "active" : "disabled");
    return report(err);
}

int command_clients(int argc, char **argv)
{
    struct add_options options = { .id = "", .name = "", .scope = "" };
    const struct option_row rows[] = {
        { "--id", OPTION_TEXT, &options.id },
        { "--name", OPTION_TEXT, &options.name },
        { "--scope", OPTION_TEXT, &options.scope },
        { "--access-ttl", OPTION_SECONDS, &options.access_ttl_s },
        { "--refresh-ttl", OPTION_SECONDS, &options.refresh_ttl_s },
        { "--id-ttl", OPTION_SECONDS, &options.id_ttl_s },
        { "--public", OPTION_SWITCH, &options.is_public },
        { "--json", OPTION_SWITCH, &options.json },
    };
    const char *words[2] = { NULL, NULL };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, sizeof rows / sizeof *rows, words, 2, &app.settings))
        return EXIT_USAGE;
    const char *verb = words[0] ? words[0] : "";
    bool adds = strcmp(verb, "add") == 0, lists = strcmp(verb, "list") == 0, gives = strcmp(verb, "secret") == 0;
    bool enables = strcmp(verb, "enable") == 0, disables = strcmp(verb, "disable") == 0;
    struct err err = adds || lists || gives || enables || disables
                         ? OK
                         : failed(ERR_INVALID_REQUEST, "clients takes add, list, secret, disable or enable");
    if (!err.code && adds)
        err = clients_check_options(&options);
    if (adds || gives)
        (void)signal(SIGPIPE, SIG_IGN); /* a reader that has gone must not end this before it has said what is lost */
    if (!err.code)
        err = lists ? app_look(&app) : app_open_store(&app);
    int code = err.code ? report(err)
               : adds   ? clients_add(&app, &options)
               : lists  ? clients_list(&app, options.json)
               : gives  ? clients_give_secret(&app, words[1], options.json)
                        : clients_set_active(&app, words[1], enables);
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
