/* cli/keys.c: token-service keys: on the store, beside a running server (which notices within a second) or without one.
 */
#include "base/json.h"
#include "base/rfc3339.h"
#include "cli/cli.h"
#include "observe/log.h"
#include "service/key_admin.h"
#include <stdio.h>
#include <time.h>

enum { PAST_SHOWN = 1000, OUTPUT_MAX = 4 * 1024 * 1024 };

struct keys_options {
    bool json, immediate;
    const char *reason;
};

struct keys_call {
    struct service *service;
    struct arena *arena;
    const struct keys_options *options;
    const char *kid; /* NULL: none was given */
    int64_t now_s;
};

/* --- output ------------------------------------------------------------------------------------------------------ */

static void keys_write_time(struct buf *out, struct arena *arena, const char *name, int64_t at_s)
{
    if (at_s == 0)
        return;
    json_write_text(out, str_of(name), rfc3339_write(arena, at_s));
}

static void keys_write_key(struct buf *out, struct arena *arena, const struct key_entry *key, bool with_jwk)
{
    buf_add_char(out, '{');
    json_write_text(out, STR("kid"), key->kid);
    json_write_text(out, STR("alg"), key->alg);
    json_write_text(out, STR("state"), str_of(key->state));
    keys_write_time(out, arena, "created_at", key->created_at);
    keys_write_time(out, arena, "published_at", key->published_at);
    keys_write_time(out, arena, "activated_at", key->activated_at);
    keys_write_time(out, arena, "rotate_requested_at", key->rotate_requested_at);
    keys_write_time(out, arena, "retiring_at", key->retiring_at);
    keys_write_time(out, arena, "retire_after", key->retire_after);
    keys_write_time(out, arena, "retired_at", key->retired_at);
    keys_write_time(out, arena, "revoked_at", key->revoked_at);
    json_write_optional(out, STR("revocation_reason"), key->revocation_reason);
    json_write_optional(out, STR("rotated_from_kid"), key->rotated_from_kid);
    keys_write_time(out, arena, "disposed_at", key->disposed_at);
    if (with_jwk) {
        json_write_name(out, STR("jwk"));
        buf_add(out, key->public_jwk);
    }
    buf_add_char(out, '}');
}

static void keys_print(const struct buf *out)
{
    printf("%.*s\n", (int)out->len, out->at);
}

static void keys_print_time(struct arena *arena, const char *name, int64_t at_s)
{
    if (at_s > 0)
        printf("%-14s %s\n", name, rfc3339_write(arena, at_s).at);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static void keys_print_row(struct arena *arena, const struct key_entry *key)
{
    printf("%-44.*s %-6.*s %-9s %s\n", (int)key->kid.len, key->kid.at, (int)key->alg.len, key->alg.at, key->state,
           rfc3339_write(arena, key->created_at).at);
}

static struct err keys_list(const struct keys_call *call)
{
    struct key_entry *keys = NULL;
    struct buf out;
    size_t count = 0;
    TRY(key_admin_list(call->service, call->arena, PAST_SHOWN, &keys, &count));
    if (!call->options->json)
        printf("%-44s %-6s %-9s %s\n", "KID", "ALG", "STATE", "CREATED");
    buf_init(&out, call->arena, 4096, OUTPUT_MAX);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < count; i++) {
        if (!call->options->json)
            keys_print_row(call->arena, &keys[i]);
        buf_add(&out, i > 0 ? STR(",\n ") : STR(""));
        keys_write_key(&out, call->arena, &keys[i], false);
    }
    buf_add_char(&out, ']');
    if (call->options->json)
        keys_print(&out);
    return OK;
}

static struct err keys_show(const struct keys_call *call)
{
    struct key_entry key;
    struct buf out;
    TRY(key_admin_find(call->service, call->arena, str_of(call->kid), &key));
    if (call->options->json) {
        buf_init(&out, call->arena, 4096, OUTPUT_MAX);
        keys_write_key(&out, call->arena, &key, true);
        keys_print(&out);
        return OK;
    }
    printf("%-14s %.*s\n%-14s %.*s\n%-14s %s\n", "kid", (int)key.kid.len, key.kid.at, "alg", (int)key.alg.len,
           key.alg.at, "state", key.state);
    keys_print_time(call->arena, "created", key.created_at);
    keys_print_time(call->arena, "published", key.published_at);
    keys_print_time(call->arena, "activated", key.activated_at);
    keys_print_time(call->arena, "retiring", key.retiring_at);
    keys_print_time(call->arena, "retires after", key.retire_after);
    keys_print_time(call->arena, "retired", key.retired_at);
    keys_print_time(call->arena, "revoked", key.revoked_at);
    if (key.revocation_reason.len > 0)
        printf("%-14s %.*s\n", "reason", (int)key.revocation_reason.len, key.revocation_reason.at);
    if (key.rotated_from_kid.len > 0)
        printf("%-14s %.*s\n", "follows", (int)key.rotated_from_kid.len, key.rotated_from_kid.at);
    printf("%-14s %.*s\n", "jwk", (int)key.public_jwk.len, key.public_jwk.at);
    return OK;
}

static struct err keys_plan(const struct keys_call *call)
{
    struct key_event *events = NULL;
    struct buf out;
    size_t count = 0;
    TRY(key_admin_plan(call->service, call->arena, call->now_s, &events, &count));
    buf_init(&out, call->arena, 4096, OUTPUT_MAX);
    buf_add_char(&out, '[');
    if (!call->options->json)
        printf("%-20s %-14s %-44s %s\n", "TIME", "IN", "KID", "EVENT");
    for (size_t i = 0; i < count; i++) {
        const struct key_event *event = &events[i];
        struct str kid = event->kid.len > 0 ? event->kid : STR("(a new key)");
        if (!call->options->json)
            printf("%-20s %-14s %-44.*s %.*s\n", rfc3339_write(call->arena, event->at_s).at, event->in.at, (int)kid.len,
                   kid.at, (int)event->what.len, event->what.at);
        buf_add(&out, i > 0 ? STR(",\n {") : STR("{"));
        keys_write_time(&out, call->arena, "at", event->at_s);
        json_write_optional(&out, STR("kid"), event->kid);
        json_write_text(&out, STR("event"), event->what);
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, ']');
    if (call->options->json)
        keys_print(&out);
    else if (count == 0)
        puts("Nothing happens by itself.");
    return OK;
}

static struct err keys_explain(const struct keys_call *call)
{
    struct key_entry key;
    struct str text;
    struct buf out;
    TRY(key_admin_explain(call->service, call->arena, str_of(call->kid), call->now_s, &key, &text));
    if (!call->options->json) {
        printf("%s is %s. %.*s\n", call->kid, key.state, (int)text.len, text.at);
        return OK;
    }
    buf_init(&out, call->arena, 4096, OUTPUT_MAX);
    buf_add_char(&out, '{');
    json_write_text(&out, STR("kid"), key.kid);
    json_write_text(&out, STR("state"), str_of(key.state));
    json_write_text(&out, STR("explanation"), text);
    buf_add_char(&out, '}');
    keys_print(&out);
    return OK;
}

/* --- moving ------------------------------------------------------------------------------------------------------ */

static void keys_print_moved(const struct keys_call *call, const struct key_moved *done)
{
    struct buf out;
    if (!call->options->json) {
        printf("%s\n", done->message);
        if (done->new_kid.len > 0)
            printf("new key  %.*s\nold key  %.*s\n", (int)done->new_kid.len, done->new_kid.at, (int)done->old_kid.len,
                   done->old_kid.at);
        return;
    }
    buf_init(&out, call->arena, 1024, OUTPUT_MAX);
    buf_add_char(&out, '{');
    json_write_text(&out, STR("message"), str_of(done->message));
    if (done->new_kid.len > 0) {
        json_write_text(&out, STR("new_kid"), done->new_kid);
        json_write_text(&out, STR("old_kid"), done->old_kid);
    }
    keys_write_time(&out, call->arena, "rotates_at", done->at_s);
    buf_add_char(&out, '}');
    keys_print(&out);
}

static struct err keys_move(const struct keys_call *call, struct str revoke)
{
    const struct key_move wanted = { revoke, str_of(call->options->reason), call->options->immediate };
    struct key_moved done;
    TRY(key_admin_move(call->service, call->arena, &wanted, call->now_s, &done));
    keys_print_moved(call, &done);
    return OK;
}

static struct err keys_rotate(const struct keys_call *call)
{
    return keys_move(call, (struct str){ 0, 0 });
}

static struct err keys_revoke(const struct keys_call *call)
{
    return keys_move(call, str_of(call->kid));
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct err (*run)(const struct keys_call *);
    bool takes_kid, moves;
} verbs[] = { { "list", keys_list, false, false },    { "show", keys_show, true, false },
              { "plan", keys_plan, false, false },    { "explain", keys_explain, true, false },
              { "rotate", keys_rotate, false, true }, { "revoke", keys_revoke, true, true } };
enum { VERBS = sizeof verbs / sizeof *verbs };

static struct err keys_run(struct app *app, const char *const words[2], const struct keys_options *options)
{
    size_t at = 0;
    while (at < VERBS && (!words[0] || strcmp(verbs[at].name, words[0]) != 0))
        at++;
    if (at == VERBS)
        return failed(ERR_INVALID_REQUEST, "keys takes list, show, plan, explain, rotate or revoke");
    if (verbs[at].takes_kid != (words[1] != NULL))
        return failed(ERR_INVALID_REQUEST, verbs[at].takes_kid ? "name the key by its kid, as keys list shows it"
                                                               : "only show, explain and revoke take a kid");
    if (!utf8_valid(str_of(options->reason)) || strlen(options->reason) > 256)
        return failed(ERR_INVALID_REQUEST, "--reason takes at most 256 bytes of UTF-8");
    TRY(verbs[at].moves ? app_open_signer(app) : app_look(app));
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct keys_call call = { &app->service, &arena, options, words[1], (int64_t)time(NULL) };
    struct err err = verbs[at].run(&call);
    if (err.code) /* its sentence may lie in the arena of this scope */
        err.why = arena_copy(&app->arena, str_of(err.why)).at;
    return err;
}

int command_keys(int argc, char **argv)
{
    struct keys_options options = { .reason = "" };
    const struct option_row rows[] = { { "--json", OPTION_SWITCH, &options.json, NULL },
                                       { "--immediate", OPTION_SWITCH, &options.immediate, "rotate" },
                                       { "--reason", OPTION_TEXT, &options.reason, "revoke" } };
    const char *words[2] = { NULL, NULL };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, sizeof rows / sizeof *rows, words, 2, &app.settings))
        return EXIT_USAGE;
    log_configure(LOG_ERROR, (enum log_format)app.settings.log_format);
    int code = report(keys_run(&app, words, &options));
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
