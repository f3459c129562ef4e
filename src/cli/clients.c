/* cli/clients.c: token-service clients add | list | show | change | secret | disable | enable | delete. */
#include "cli/client_options.h"
#include "service/call.h"
#include "service/client_admin.h"
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { LIST_MAX = 10000, BODY_MAX = 64 * 1024 };

static const struct caller operator= { .client_id = STR_INIT("local-operator"), .is_operator = true };

/* --- printing ---------------------------------------------------------------------------------------------------- */

static void clients_print_plain(const struct json *value, struct buf *out)
{
    if (value->kind == JSON_STRING)
        buf_add(out, value->text);
    else
        json_write(out, value);
}

/* A value for people: a text as it is, a list with spaces, the rest as JSON. */
static void clients_print_value(const struct json *value, struct buf *out)
{
    if (value->kind != JSON_ARRAY) {
        clients_print_plain(value, out);
        return;
    }
    for (const struct json *each = value->child; each; each = each->next) {
        clients_print_plain(each, out);
        buf_add(out, each->next ? STR(" ") : STR(""));
    }
}

/* A line a member. */
static struct err clients_print_lines(struct arena *arena, struct str object)
{
    const struct json *client;
    struct buf out;
    TRY(json_parse(arena, object, &client));
    buf_init(&out, arena, 4096, 8 * BODY_MAX);
    for (const struct json *member = client->child; member; member = member->next) {
        buf_add(&out, arena_printf(arena, "%-36.*s", (int)member->name.len, member->name.at));
        clients_print_value(member, &out);
        buf_add_char(&out, '\n');
    }
    printf("%.*s", (int)out.len, out.at);
    return OK;
}

static struct err clients_print(struct app *app, const struct buf *object, bool json)
{
    if (!json)
        return clients_print_lines(&app->arena, buf_str(object));
    printf("%.*s\n", (int)object->len, object->at);
    return OK;
}

static struct str clients_text(const struct json *client, const char *name)
{
    const struct json *member = json_member(client, str_of(name));
    return member && member->kind == JSON_STRING ? member->text : STR("");
}

/* A client, perhaps with a new secret. */
static struct err clients_print_new(struct arena *arena, const struct buf *object, bool json)
{
    const struct json *client;
    TRY(json_parse(arena, buf_str(object), &client));
    const struct str id = clients_text(client, "client_id"), secret = clients_text(client, "client_secret");
    if (json)
        printf("%.*s\n", (int)object->len, object->at);
    else
        printf("client_id      %.*s\n", (int)id.len, id.at);
    if (!json && secret.len > 0)
        printf("client_secret  %.*s\n\nThe secret is shown this once; only its hash is kept.\n", (int)secret.len,
               secret.at);
    if (output_is_written())
        return OK;
    return failed(ERR_UNAVAILABLE, secret.len > 0
                                       ? "the client has a new secret, but it could not be written and is lost: "
                                         "clients secret ID makes another one"
                                       : "the client was added, but the output could not be written");
}

/* --- the verbs --------------------------------------------------------------------------------------------------- */

/* What holds a secret lies in an arena of its own, which is wiped. */
static struct err clients_add(struct app *app, const struct client_options *options, const char *word)
{
    char room[16 * 1024];
    struct arena arena;
    struct buf object;
    struct str id;
    (void)word;
    arena_init(&arena, room, sizeof room);
    buf_init(&object, &arena, 4096, 4 * BODY_MAX);
    struct err err = client_admin_add(&app->service, &arena, &operator, options->body, (int64_t)time(NULL), &id,
                                      &object);
    if (!err.code)
        err = clients_print_new(&arena, &object, options->json);
    err.why = err.code ? arena_copy(&app->arena, str_of(err.why)).at : NULL;
    arena_wipe(&arena, room, sizeof room);
    arena_release(&arena);
    return err;
}

struct listing {
    struct arena *arena;
    struct err err;
    size_t count;
    bool json;
};

static struct err clients_print_row(struct arena *arena, struct str object)
{
    const struct json *client;
    TRY(json_parse(arena, object, &client));
    const struct json *active = json_member(client, STR("is_active"));
    const struct str id = clients_text(client, "client_id"), type = clients_text(client, "client_type"),
                     scope = clients_text(client, "scope");
    printf("%-32.*s %-12.*s %-8s %.*s\n", (int)id.len, id.at, (int)type.len, type.at,
           active && active->kind == JSON_TRUE ? "active" : "disabled", (int)scope.len, scope.at);
    return OK;
}

static bool clients_print_one(void *context, struct str id, struct str object)
{
    struct listing *listing = context;
    const bool is_first = listing->count++ == 0;
    (void)id;
    if (listing->json)
        printf("%s%.*s", is_first ? "[" : ",\n ", (int)object.len, object.at);
    else
        listing->err = clients_print_row(listing->arena, object);
    return !listing->err.code;
}

static struct err clients_list(struct app *app, const struct client_options *options, const char *word)
{
    struct listing listing = { &app->arena, OK, 0, options->json };
    (void)word;
    if (!options->json)
        printf("%-32s %-12s %-8s %s\n", "CLIENT", "TYPE", "STATE", "SCOPE");
    TRY(client_admin_list(&app->service, &app->arena, STR(""), LIST_MAX, clients_print_one, &listing));
    if (options->json)
        puts(listing.count > 0 ? "]" : "[]");
    return listing.err;
}

static struct err clients_show(struct app *app, const struct client_options *options, const char *id)
{
    struct buf object;
    buf_init(&object, &app->arena, 4096, 4 * BODY_MAX);
    TRY(client_admin_show(&app->service, &app->arena, str_of(id), &object));
    return clients_print(app, &object, options->json);
}

static struct err clients_change(struct app *app, const struct client_options *options, const char *id)
{
    struct buf object;
    buf_init(&object, &app->arena, 4096, 4 * BODY_MAX);
    if (options->body->count == 0)
        return failed(ERR_INVALID_REQUEST,
                      "say what is to be changed, such as --scope (see token-service clients --help)");
    TRY(client_admin_change(&app->service, &app->arena, &operator, str_of(id), options->body, &object));
    return clients_print(app, &object, options->json);
}

/* How long the old secret is good still: servers forget it within TOKEN_CLIENT_CACHE_TTL at most. */
static void clients_print_end_of_secret(const struct app *app, const struct client_options *options)
{
    if (options->overlap_s > 0)
        printf("The secret before it stays good for %lld s.", (long long)options->overlap_s);
    else
        printf("Running servers stop accepting the old secret at once, or with a shared database within %lld "
               "s\n(TOKEN_CLIENT_CACHE_TTL).",
               (long long)app->settings.client_cache_s);
    puts(" Tokens that were issued stay valid until they expire.");
}

static struct err clients_give_secret(struct app *app, const struct client_options *options, const char *id)
{
    char room[16 * 1024];
    struct arena arena;
    struct buf object;
    if (options->overlap_s > CLIENT_OVERLAP_MAX_S)
        return failed(ERR_INVALID_REQUEST, "--overlap takes at most 7776000 seconds, which are 90 days");
    arena_init(&arena, room, sizeof room);
    buf_init(&object, &arena, 4096, 4 * BODY_MAX);
    struct err err = client_admin_renew_secret(&app->service, &arena, &operator, str_of(id), options->overlap_s,
                                               (int64_t)time(NULL), &object);
    if (!err.code)
        err = clients_print_new(&arena, &object, options->json);
    err.why = err.code ? arena_copy(&app->arena, str_of(err.why)).at : NULL;
    arena_wipe(&arena, room, sizeof room);
    arena_release(&arena);
    if (!err.code && !options->json)
        clients_print_end_of_secret(app, options);
    return err;
}

static struct err clients_set_active(struct app *app, const char *id, bool is_active)
{
    const struct json *patch;
    struct buf object;
    buf_init(&object, &app->arena, 4096, 4 * BODY_MAX);
    TRY(json_parse(&app->arena, is_active ? STR("{\"is_active\":true}") : STR("{\"is_active\":false}"), &patch));
    TRY(client_admin_change(&app->service, &app->arena, &operator, str_of(id), patch, &object));
    printf("%s is %s; running servers apply this within seconds\n", id, is_active ? "active" : "disabled");
    return OK;
}

static struct err clients_enable(struct app *app, const struct client_options *options, const char *id)
{
    (void)options;
    return clients_set_active(app, id, true);
}

static struct err clients_disable(struct app *app, const struct client_options *options, const char *id)
{
    (void)options;
    return clients_set_active(app, id, false);
}

static struct err clients_delete(struct app *app, const struct client_options *options, const char *id)
{
    (void)options;
    TRY(client_admin_delete(&app->service, &app->arena, &operator, str_of(id)));
    printf("%s is deleted; running servers apply this within seconds. Tokens that were issued stay valid until they\n"
           "expire: token revoke --client revokes them.\n",
           id);
    return OK;
}

static const struct verb {
    const char *name;
    struct err (*run)(struct app *, const struct client_options *, const char *id);
    bool names_a_client, looks, makes_secret;
} verbs[] = {
    { "add", clients_add, false, false, true },           { "list", clients_list, false, true, false },
    { "show", clients_show, true, true, false },          { "change", clients_change, true, false, false },
    { "secret", clients_give_secret, true, false, true }, { "disable", clients_disable, true, false, false },
    { "enable", clients_enable, true, false, false },     { "delete", clients_delete, true, false, false },
};

static const struct verb *clients_verb_named(const char *name)
{
    for (size_t i = 0; name && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

static struct err clients_run(struct app *app, struct client_options *options, const char *const words[2])
{
    const struct verb *verb = clients_verb_named(words[0]);
    if (!verb)
        return failed(ERR_INVALID_REQUEST, "clients takes add, list, show, change, secret, disable, enable or delete");
    if (verb->names_a_client && !words[1])
        return failed(ERR_INVALID_REQUEST, arena_printf(&app->arena, "name the client: clients %s ID", verb->name).at);
    TRY(client_options_read(options, &app->arena, &options->body));
    if (verb->run == clients_add && !json_member(options->body, STR("client_id")))
        return failed(ERR_INVALID_REQUEST, "clients add needs --id ID");
    if (verb->makes_secret) /* a reader that has gone must not end this before it has said what is lost */
        (void)signal(SIGPIPE, SIG_IGN);
    TRY(verb->looks ? app_look(app) : app_open_store(app));
    return verb->run(app, options, words[1]);
}

int command_clients(int argc, char **argv)
{
    struct client_options options = { .id = NULL };
    const struct option_row rows[] = {
        { "--id", OPTION_TEXT, &options.id, "add" },
        { "--name", OPTION_TEXT, &options.name, "add change" },
        { "--scope", OPTION_TEXT, &options.scope, "add change" },
        { "--auth-method", OPTION_TEXT, &options.auth_method, "add change" },
        { "--grant", OPTION_TEXTS, &options.grants, "add change" },
        { "--redirect-uri", OPTION_TEXTS, &options.redirect_uris, "add change" },
        { "--post-logout-redirect-uri", OPTION_TEXTS, &options.post_logout_redirect_uris, "add change" },
        { "--jwks-uri", OPTION_TEXT, &options.jwks_uri, "add change" },
        { "--metadata", OPTION_TEXT, &options.metadata, "add change" },
        { "--access-ttl", OPTION_SECONDS, &options.access_ttl_s, "add change" },
        { "--refresh-ttl", OPTION_SECONDS, &options.refresh_ttl_s, "add change" },
        { "--id-ttl", OPTION_SECONDS, &options.id_ttl_s, "add change" },
        { "--overlap", OPTION_SECONDS, &options.overlap_s, "secret" },
        { "--public", OPTION_SWITCH, &options.is_public, "add" },
        { "--drop-old-secret", OPTION_SWITCH, &options.drops_old_secret, "change" },
        { "--json", OPTION_SWITCH, &options.json, "add list show change secret" },
    };
    const char *words[2] = { NULL, NULL };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, sizeof rows / sizeof *rows, words, 2, &app.settings))
        return EXIT_USAGE;
    const int code = report(clients_run(&app, &options, words));
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
