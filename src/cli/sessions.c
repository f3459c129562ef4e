/* cli/sessions.c: token-service sessions list | end: /admin/sessions of the same store, beside a running server, which
 * then tells the clients of what has ended. */
#include "base/hex.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include "cli/cli.h"
#include "observe/log.h"
#include <stdio.h>

enum { TEXT_MAX = 4096 };

struct sessions_options {
    const char *subject;
    bool json;
};

struct sessions_call {
    struct app *app;
    const struct sessions_options *options;
    const char *sid;    /* NULL: none was given */
    struct arena arena; /* of one call of the service */
    const struct json *answer;
};

/* --- calls of the service ----------------------------------------------------------------------------------------- */

/* Percent-encodes all but what is unreserved in URLs (RFC 3986 section 2.3). */
static void sessions_add_encoded(struct buf *out, const char *text)
{
    for (; *text; text++)
        if (hex_is_unreserved(*text))
            buf_add_char(out, *text);
        else
            hex_add_percent(out, (unsigned char)*text);
}

/* What the service has said of its refusal. */
static int sessions_refusal(struct arena *arena, int status, const struct json *answer)
{
    const struct json *why = answer ? json_member(answer, STR("error_description")) : NULL;
    log_sentence(why && why->kind == JSON_STRING ? arena_copy(arena, why->text).at : "the service refused the call");
    return status >= 500 ? EXIT_FAILED : status == 400 ? EXIT_USAGE : EXIT_NO;
}

/* call->answer is what came, until the next call. */
static int sessions_ask(struct sessions_call *call, const char *method, const struct buf *path, const struct buf *query)
{
    struct str text = { 0, 0 };
    if (path->overflowed || query->overflowed)
        return report(failed(ERR_INVALID_REQUEST, "the arguments are too long"));
    const int status = operator_ask(call->app, &call->arena, method, buf_str(path), buf_str(query), &text);
    call->answer = NULL;
    if (text.len > 0 && json_parse(&call->arena, text, &call->answer).code)
        call->answer = NULL;
    return status < 300 ? EXIT_OK : sessions_refusal(&call->arena, status, call->answer);
}

static void sessions_begin(struct sessions_call *call, struct buf *path, struct buf *query)
{
    arena_release(&call->arena);
    arena_init(&call->arena, NULL, 0);
    buf_init(path, &call->arena, 64, TEXT_MAX);
    buf_init(query, &call->arena, 64, TEXT_MAX);
    buf_add(path, STR("/admin/sessions"));
    if (call->options->subject) {
        buf_add(query, STR("subject="));
        sessions_add_encoded(query, call->options->subject);
    }
}

/* --- list --------------------------------------------------------------------------------------------------------- */

static struct str sessions_text(const struct json *session, struct str name)
{
    const struct json *member = json_member(session, name);
    return member && member->kind == JSON_STRING ? member->text : STR("");
}

static struct str sessions_time(struct arena *arena, const struct json *session, struct str name)
{
    int64_t at_s;
    return json_int(json_member(session, name), 0, INT64_MAX, &at_s) ? rfc3339_write(arena, at_s) : STR("");
}

/* When it ends if it isn't used. */
static struct str sessions_until(struct arena *arena, const struct json *session)
{
    const struct str idle_end = sessions_time(arena, session, STR("idle_expires_at"));
    return idle_end.len > 0 ? idle_end : sessions_time(arena, session, STR("expires_at"));
}

static void sessions_print_row(struct arena *arena, const struct json *session)
{
    const struct json *clients = json_member(session, STR("clients"));
    const struct str sid = sessions_text(session, STR("sid")), sub = sessions_text(session, STR("sub")),
                     begun = sessions_time(arena, session, STR("begun_at")), end = sessions_until(arena, session);
    printf("%-44.*s %-24.*s %-21.*s %-21.*s", (int)sid.len, sid.at, (int)sub.len, sub.at, (int)begun.len, begun.at,
           (int)end.len, end.at);
    for (const struct json *each = clients ? clients->child : NULL; each; each = each->next)
        printf(" %.*s", (int)each->text.len, each->text.at);
    putchar('\n');
}

static void sessions_print(struct sessions_call *call, const struct json *session, bool is_first)
{
    struct buf text;
    if (!call->options->json) {
        sessions_print_row(&call->arena, session);
        return;
    }
    buf_init(&text, &call->arena, 1024, 64 * 1024);
    json_write(&text, session);
    printf("%s%.*s", is_first ? "[" : ",\n ", (int)text.len, text.at);
}

/* One page, after `after`, which becomes the next one's; false: it was the last one. */
static bool sessions_print_page(struct sessions_call *call, char after[65], size_t *count, int *code)
{
    struct buf path, query;
    sessions_begin(call, &path, &query);
    buf_add(&query, query.len > 0 && after[0] ? STR("&") : STR(""));
    buf_add(&query, after[0] ? STR("after=") : STR(""));
    buf_add(&query, str_of(after));
    *code = sessions_ask(call, "GET", &path, &query);
    const struct json *list = call->answer ? json_member(call->answer, STR("sessions")) : NULL;
    if (*code != EXIT_OK || !list)
        return false;
    for (const struct json *each = list->child; each; each = each->next)
        sessions_print(call, each, (*count)++ == 0);
    const struct str next = sessions_text(call->answer, STR("next"));
    snprintf(after, 65, "%.*s", (int)next.len, next.at);
    return next.len > 0;
}

static int sessions_list(struct sessions_call *call)
{
    char after[65] = "";
    size_t count = 0;
    int code;
    if (!call->options->json)
        printf("%-44s %-24s %-21s %-21s %s\n", "SESSION", "SUBJECT", "BEGUN", "ENDS", "CLIENTS");
    while (sessions_print_page(call, after, &count, &code))
        ;
    if (call->options->json && code == EXIT_OK)
        puts(count > 0 ? "]" : "[]");
    return code;
}

/* --- end ---------------------------------------------------------------------------------------------------------- */

static int sessions_end_one(struct sessions_call *call)
{
    struct buf path, query;
    sessions_begin(call, &path, &query);
    buf_add_char(&path, '/');
    sessions_add_encoded(&path, call->sid);
    const int code = sessions_ask(call, "DELETE", &path, &query);
    if (code == EXIT_OK)
        printf("the session has ended, and its tokens are revoked\n");
    return code;
}

static int sessions_end_all(struct sessions_call *call)
{
    struct buf path, query;
    int64_t ended = 0, some = 0;
    bool has_more = true;
    while (has_more) {
        sessions_begin(call, &path, &query);
        const int code = sessions_ask(call, "DELETE", &path, &query);
        if (code != EXIT_OK)
            return code;
        const struct json *more = json_member(call->answer, STR("more"));
        has_more = more && more->kind == JSON_TRUE && json_int(json_member(call->answer, STR("ended")), 1, 1000, &some);
        ended += json_int(json_member(call->answer, STR("ended")), 0, 1000, &some) ? some : 0;
    }
    printf("sessions ended: %lld; their tokens are revoked\n", (long long)ended);
    return EXIT_OK;
}

static int sessions_end(struct sessions_call *call)
{
    return call->sid ? sessions_end_one(call) : sessions_end_all(call);
}

/* --- the command -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(struct sessions_call *);
} verbs[] = { { "list", sessions_list }, { "end", sessions_end } };

static const char *sessions_fault_of(const struct sessions_call *call, const char *verb)
{
    if (strcmp(verb, "list") == 0)
        return call->sid ? "sessions list takes no id of a session" : NULL;
    return !call->sid == !call->options->subject ? "sessions end takes the id of a session, or --subject SUB" : NULL;
}

static int sessions_run(struct sessions_call *call, const char *name)
{
    for (size_t i = 0; name && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(name, verbs[i].name) != 0)
            continue;
        const char *fault = sessions_fault_of(call, name);
        const struct err err = fault ? failed(ERR_INVALID_REQUEST, fault) : app_open(call->app);
        return err.code ? report(err) : verbs[i].run(call);
    }
    return report(failed(ERR_INVALID_REQUEST, "sessions takes list or end"));
}

int command_sessions(int argc, char **argv)
{
    struct sessions_options options = { .subject = NULL };
    const struct option_row rows[] = { { "--subject", OPTION_TEXT, &options.subject, NULL },
                                       { "--json", OPTION_SWITCH, &options.json, "list" } };
    const char *words[2] = { NULL };
    struct app app = { .looks = true };
    if (!options_read(argc, argv, rows, sizeof rows / sizeof *rows, words, 2, &app.settings))
        return EXIT_USAGE;
    log_configure(LOG_WARN, (enum log_format)app.settings.log_format);
    struct sessions_call call = { .app = &app, .options = &options, .sid = words[1] };
    arena_init(&call.arena, NULL, 0);
    const int code = sessions_run(&call, words[0]);
    arena_release(&call.arena);
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
