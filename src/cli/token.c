/* cli/token.c: token-service token issue | verify | inspect | revoke. Tokens come from standard input, since arguments
 * can be seen by every process. revoke by a rule takes no token. */
#include "cli/cli.h"
#include "jose/jws.h"
#include "observe/log.h"
#include <stdio.h>

enum { KEY_FILE_MAX = 64 * 1024 };

struct token_options {
    const char *subject, *client, *session, *scope, *type, *audience, *nonce, *claims, *reason, *key, *issuer, *before;
    int64_t expires_in_s;
    bool everything, json;
};

static void token_write_member(struct buf *body, struct str name, const char *value)
{
    if (value)
        json_write_text(body, name, str_of(value));
}

/* A member of an answer that is a string; NULL: there is none. */
static const char *token_member(struct arena *arena, struct str answer, struct str name)
{
    const struct json *json;
    const struct json *member = json_parse(arena, answer, &json).code ? NULL : json_member(json, name);
    return member && member->kind == JSON_STRING ? arena_copy(arena, member->text).at : NULL;
}

/* For people a refusal is a sentence on standard error, so that nobody takes it for a token. */
static void token_print_answer(const struct token_options *options, struct arena *arena, int status, struct str answer,
                               struct str plain_member)
{
    const char *why = status != 200 ? token_member(arena, answer, STR("error_description")) : NULL;
    const char *plain = plain_member.at ? token_member(arena, answer, plain_member) : NULL;
    if (options->json || (!why && !plain))
        printf("%.*s\n", (int)answer.len, answer.at);
    else if (why)
        log_sentence(why);
    else
        puts(plain);
}

/* Runs one call and prints its answer: whole with --json, else by `plain`. */
static int token_call_and_print(struct token_options *options, struct settings *settings, struct arena *arena,
                                const char *path, struct buf *body, struct str plain_member)
{
    struct app app = { .settings = *settings, .looks = strcmp(path, "/token") != 0 };
    struct str answer = { 0, 0 };
    if (body->overflowed)
        return report(failed(ERR_INVALID_REQUEST, "the arguments are too long"));
    struct err err = app_open(&app);
    if (err.code) {
        int code = report(err);
        app_close(&app);
        return code;
    }
    int status = operator_call(&app, arena, path, buf_str(body), &answer);
    app_close(&app);
    token_print_answer(options, arena, status, answer, plain_member);
    return status == 200 ? EXIT_OK : status >= 500 ? EXIT_FAILED : EXIT_NO;
}

static int token_issue(struct token_options *options, struct settings *settings, struct arena *arena)
{
    struct buf body;
    if (!options->client)
        return report(failed(ERR_INVALID_REQUEST, "token issue needs --client ID"));
    buf_init(&body, arena, 1024, KEY_FILE_MAX);
    buf_add_char(&body, '{');
    token_write_member(&body, STR("clientId"), options->client);
    token_write_member(&body, STR("subject"), options->subject ? options->subject : options->client);
    token_write_member(&body, STR("scope"), options->scope ? options->scope : "");
    token_write_member(&body, STR("tokenType"), options->type ? options->type : "access");
    token_write_member(&body, STR("audience"), options->audience);
    token_write_member(&body, STR("nonce"), options->nonce);
    if (options->expires_in_s) {
        json_write_int(&body, STR("expiresIn"), options->expires_in_s);
    }
    if (options->claims) {
        json_write_name(&body, STR("claims"));
        buf_add(&body, str_of(options->claims));
    }
    buf_add_char(&body, '}');
    return token_call_and_print(options, settings, arena, "/token", &body, STR("token"));
}

/* token verify --key: only the signature, with one public JWK; no server, no claims. */
static int token_verify_with_key(const char *path, struct arena *arena, struct str token)
{
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct str text;
    struct jws_parts parts;
    struct jws_header header;
    if (!read_file(arena, path, &text))
        return report(failed(ERR_INVALID_REQUEST, "the key file can't be read"));
    struct err err = jwk_parse_public(arena, text, &key);
    if (err.code)
        return report(failed(ERR_TOKEN_KEY, err.why)); /* nothing is valid under a key that may not be used */
    err = jws_split_any(token, &parts);
    if (!err.code)
        err = jws_read_header(arena, parts.header, &header);
    if (!err.code)
        err = jws_verify(key, &parts, &header);
    if (!err.code)
        puts("valid");
    return report(err);
}

static int token_verify(struct token_options *options, struct settings *settings, struct arena *arena, struct str token)
{
    struct buf body;
    if (options->key &&
        (options->type || options->audience || options->subject || options->nonce || options->issuer || options->json))
        return report(failed(ERR_INVALID_REQUEST, "--key checks the signature alone, and goes with no other option"));
    if (options->key)
        return token_verify_with_key(options->key, arena, token);
    buf_init(&body, arena, 2048, 2 * KEY_FILE_MAX);
    buf_add(&body, STR("{\"token\":"));
    json_write_str(&body, token);
    buf_add(&body, STR(",\"options\":{"));
    token_write_member(&body, STR("audience"), options->audience);
    token_write_member(&body, STR("issuer"), options->issuer);
    token_write_member(&body, STR("subject"), options->subject);
    token_write_member(&body, STR("nonce"), options->nonce);
    token_write_member(&body, STR("tokenType"), options->type);
    buf_add(&body, STR("}}"));
    return token_call_and_print(options, settings, arena, "/token/verify", &body, (struct str){ 0, 0 });
}

static int token_revoke(struct token_options *options, struct settings *settings, struct arena *arena, struct str token)
{
    struct buf body;
    buf_init(&body, arena, 2048, 2 * KEY_FILE_MAX);
    buf_add(&body, STR("{\"token\":"));
    json_write_str(&body, token);
    token_write_member(&body, STR("reason"), options->reason);
    buf_add_char(&body, '}');
    return token_call_and_print(options, settings, arena, "/token/revoke", &body, (struct str){ 0, 0 });
}

/* A number goes into the body as it is written; the service refuses what is not a number. */
static bool token_is_number(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

static bool token_is_rule(const struct token_options *options)
{
    return options->subject || options->client || options->session || options->everything || options->before;
}

static int token_revoke_many(struct token_options *options, struct settings *settings, struct arena *arena)
{
    struct buf body;
    if (!options->subject + !options->client + !options->session + !options->everything != 3)
        return report(
            failed(ERR_INVALID_REQUEST, "revoke takes one of --subject, --client, --session and --everything"));
    if (options->before && !token_is_number(options->before))
        return report(failed(ERR_INVALID_REQUEST, "--before takes seconds since 1970"));
    buf_init(&body, arena, 2048, 2 * KEY_FILE_MAX);
    buf_add(&body, options->everything ? STR("{\"everything\":true") : STR("{\"everything\":false"));
    token_write_member(&body, STR("subject"), options->subject);
    token_write_member(&body, STR("clientId"), options->client);
    token_write_member(&body, STR("sessionId"), options->session);
    token_write_member(&body, STR("reason"), options->reason);
    if (options->before) {
        json_write_name(&body, STR("before"));
        buf_add(&body, str_of(options->before));
    }
    buf_add_char(&body, '}');
    return token_call_and_print(options, settings, arena, "/admin/revocations", &body, (struct str){ 0, 0 });
}

/* What a token says, unchecked. */
static int token_inspect(struct arena *arena, struct str token)
{
    struct jws_parts parts;
    struct jws_header header;
    struct str text, payload;
    struct err err = jws_split(token, &parts);
    if (!err.code)
        err = jws_read_header(arena, parts.header, &header);
    if (!err.code)
        err = jws_read_payload(arena, parts.header, &text);
    if (!err.code)
        err = jws_read_payload(arena, parts.payload, &payload);
    if (err.code)
        return report(err);
    const struct json *json;
    struct buf out;
    buf_init(&out, arena, payload.len + text.len + 64, 4 * KEY_FILE_MAX);
    buf_add(&out, STR("{\"header\":"));
    buf_add(&out, text);
    if (!json_parse(arena, payload, &json).code) {
        buf_add(&out, STR(",\n \"claims\":"));
        json_write(&out, json);
    }
    printf("%.*s,\n \"verified\":false}\n", (int)out.len, out.at);
    return EXIT_OK;
}

static int token_run(const char *verb, struct token_options *options, struct settings *settings, struct arena *arena)
{
    struct str token;
    bool issues = strcmp(verb, "issue") == 0, verifies = strcmp(verb, "verify") == 0;
    bool inspects = strcmp(verb, "inspect") == 0, revokes = strcmp(verb, "revoke") == 0;
    if (issues)
        return token_issue(options, settings, arena);
    if (!verifies && !inspects && !revokes)
        return report(failed(ERR_INVALID_REQUEST, "token takes issue, verify, inspect or revoke"));
    if (revokes && token_is_rule(options))
        return token_revoke_many(options, settings, arena);
    if (!read_stdin(arena, &token))
        return report(failed(ERR_TOKEN_MALFORMED, "standard input holds no token, or more than 64 KiB"));
    if (!utf8_valid(token))
        return report(failed(ERR_TOKEN_MALFORMED, "standard input is not a token"));
    return inspects   ? token_inspect(arena, token)
           : verifies ? token_verify(options, settings, arena, token)
                      : token_revoke(options, settings, arena, token);
}

int command_token(int argc, char **argv)
{
    struct token_options options = { 0 };
    const struct option_row rows[] = {
        { "--subject", OPTION_TEXT, &options.subject, "issue verify revoke" },
        { "--client", OPTION_TEXT, &options.client, "issue revoke" },
        { "--scope", OPTION_TEXT, &options.scope, "issue" },
        { "--type", OPTION_TEXT, &options.type, "issue verify" },
        { "--audience", OPTION_TEXT, &options.audience, "issue verify" },
        { "--nonce", OPTION_TEXT, &options.nonce, "issue verify" },
        { "--claims", OPTION_TEXT, &options.claims, "issue" },
        { "--reason", OPTION_TEXT, &options.reason, "revoke" },
        { "--key", OPTION_TEXT, &options.key, "verify" },
        { "--require-issuer", OPTION_TEXT, &options.issuer, "verify" },
        { "--session", OPTION_TEXT, &options.session, "revoke" },
        { "--everything", OPTION_SWITCH, &options.everything, "revoke" },
        { "--before", OPTION_TEXT, &options.before, "revoke" },
        { "--expires-in", OPTION_SECONDS, &options.expires_in_s, "issue" },
        { "--json", OPTION_SWITCH, &options.json, NULL },
    };
    const char *words[1] = { NULL };
    struct settings settings;
    struct arena arena;
    if (!options_read(argc, argv, rows, sizeof rows / sizeof *rows, words, 1, &settings))
        return EXIT_USAGE;
    log_configure(LOG_WARN, (enum log_format)settings.log_format);
    arena_init(&arena, NULL, 0);
    int code = token_run(words[0] ? words[0] : "", &options, &settings, &arena);
    arena_release(&arena);
    settings_release(&settings);
    return code;
}
