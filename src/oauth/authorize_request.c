/* oauth/authorize_request.c: a table of the parameters that are texts, and a function for each of the others; then the
 * same as JSON. */
#include "oauth/authorize_request.h"
#include "oauth/claims_request.h"
#include "oauth/pkce.h"
#include "oauth/redirect_uri.h"
#include "service/message.h"
#include <stddef.h>

enum { CLIENT_ID_MAX = 255, TEXT_MAX = 512, SCOPE_MAX = 2048, HINT_MAX = 8192 };

#define ROW(name, max, is_written)                                                                                     \
    {                                                                                                                  \
        STR_INIT(#name), max, offsetof(struct authorize_request, name), is_written                                     \
    }
static const struct {
    struct str name;
    size_t max, offset;
    bool is_written;
} texts[] = {
    ROW(client_id, CLIENT_ID_MAX, true),   ROW(redirect_uri, REDIRECT_URI_MAX, true),
    ROW(state, AUTHORIZE_STATE_MAX, true), ROW(nonce, AUTHORIZE_NONCE_MAX, true),
    ROW(scope, SCOPE_MAX, true),           ROW(code_challenge, PKCE_CHALLENGE_LEN, true),
    ROW(login_hint, TEXT_MAX, true),       ROW(acr_values, TEXT_MAX, true),
    ROW(ui_locales, TEXT_MAX, true),       ROW(claims_locales, TEXT_MAX, true),
    ROW(id_token_hint, HINT_MAX, false),
};
#undef ROW
enum { TEXTS = sizeof texts / sizeof *texts };

static struct str *authorize_request_text(struct authorize_request *request, size_t row)
{
    return (struct str *)(void *)((char *)request + texts[row].offset);
}

static struct authorize_fault authorize_request_wrong(const char *error, const char *why)
{
    return (struct authorize_fault){ error, why };
}

static struct authorize_fault authorize_request_invalid(const char *why)
{
    return authorize_request_wrong("invalid_request", why);
}

static const struct authorize_fault no_fault = { 0, 0 };

#define TRY_FAULT(call)                                                                                                \
    do {                                                                                                               \
        struct authorize_fault fault_ = (call);                                                                        \
        if (fault_.error)                                                                                              \
            return fault_;                                                                                             \
    } while (0)

/* --- who asks ----------------------------------------------------------------------------------------------------- */

struct err authorize_request_party(const struct form *form, struct authorize_party *out)
{
    const struct authorize_party party = { form_value(form, STR("client_id")), form_value(form, STR("redirect_uri")),
                                           form_value(form, STR("request")) };
    if (form_count(form, STR("client_id")) > 1 || form_count(form, STR("redirect_uri")) > 1 ||
        form_count(form, STR("request")) > 1)
        return failed(ERR_INVALID_REQUEST, "the client_id, the redirect_uri or the request comes more than once");
    if (!party.client_id.at)
        return failed(ERR_INVALID_REQUEST, "the client_id is missing");
    if (!party.redirect_uri.at && !party.request.at)
        return failed(ERR_INVALID_REQUEST, "the redirect_uri is missing");
    if (party.client_id.len > CLIENT_ID_MAX || party.redirect_uri.len > REDIRECT_URI_MAX)
        return failed(ERR_INVALID_REQUEST, "the client_id or the redirect_uri is too long");
    *out = party;
    return OK;
}

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static bool authorize_request_has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return true;
    return false;
}

/* Some would come back changed, and none means anything. */
static bool authorize_request_is_good_text(struct str text, size_t max)
{
    return text.len <= max && !authorize_request_has_control(text);
}

/* What the answer needs, a fault's too. Of a value that comes twice none counts. */
static void authorize_request_read_answer(const struct form *form, struct authorize_request *out)
{
    const struct str state = form_value(form, STR("state"));
    if (form_count(form, STR("state")) == 1 && authorize_request_is_good_text(state, AUTHORIZE_STATE_MAX))
        out->state = state;
    if (form_count(form, STR("response_mode")) == 1 && str_eq(form_value(form, STR("response_mode")), STR("form_post")))
        out->response_mode = RESPONSE_FORM_POST;
}

/* RFC 6749 section 3.1: once each. A resource may be one of several (RFC 8707 section 2). */
static struct authorize_fault authorize_request_check_repeats(const struct form *form)
{
    for (size_t i = 0; i < form->count; i++)
        if (!str_eq(form->name[i], STR("resource")) && form_count(form, form->name[i]) > 1)
            return authorize_request_invalid("the request has the same parameter more than once");
    return no_fault;
}

static struct authorize_fault authorize_request_check_unsupported(const struct form *form)
{
    if (form_value(form, STR("request")).at)
        return authorize_request_wrong("request_not_supported", "this client has no request objects");
    if (form_value(form, STR("request_uri")).at)
        return authorize_request_wrong("request_uri_not_supported", "request_uri is not supported");
    if (form_value(form, STR("registration")).at)
        return authorize_request_wrong("registration_not_supported", "registration is not supported");
    return no_fault;
}

static struct authorize_fault authorize_request_check_type(const struct form *form)
{
    const struct str type = form_value(form, STR("response_type")), mode = form_value(form, STR("response_mode"));
    if (!type.at)
        return authorize_request_invalid("the response_type is missing");
    if (!str_eq(type, STR("code")))
        return authorize_request_wrong("unsupported_response_type", "the response_type must be code");
    if (mode.at && !str_eq(mode, STR("query")) && !str_eq(mode, STR("form_post")))
        return authorize_request_invalid("the response_mode must be query or form_post");
    return no_fault;
}

/* RFC 6749 section 3.3: no quotes, no backslashes, ASCII alone. */
static bool authorize_request_is_scope(struct str scope)
{
    for (size_t i = 0; i < scope.len; i++)
        if (scope.at[i] < ' ' || scope.at[i] > '~' || scope.at[i] == '"' || scope.at[i] == '\\')
            return false;
    return true;
}

static struct authorize_fault authorize_request_read_texts(const struct form *form, struct authorize_request *out)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const struct str value = form_value(form, texts[i].name);
        if (!authorize_request_is_good_text(value, texts[i].max))
            return authorize_request_invalid("a parameter is too long or has a control character");
        *authorize_request_text(out, i) = value;
    }
    return authorize_request_is_scope(out->scope)
               ? no_fault
               : authorize_request_wrong("invalid_scope", "the scope has a character that no scope has");
}

static const struct {
    struct str name;
    enum prompt bit;
} prompts[] = { { STR_INIT("none"), PROMPT_NONE },
                { STR_INIT("login"), PROMPT_LOGIN },
                { STR_INIT("consent"), PROMPT_CONSENT },
                { STR_INIT("select_account"), PROMPT_SELECT_ACCOUNT } };
enum { PROMPTS = sizeof prompts / sizeof *prompts };

static unsigned authorize_request_prompt_named(struct str name)
{
    for (size_t i = 0; i < PROMPTS; i++)
        if (str_eq(name, prompts[i].name))
            return prompts[i].bit;
    return 0;
}

static bool authorize_request_is_prompt(unsigned prompt)
{
    return !(prompt & PROMPT_NONE) || prompt == PROMPT_NONE;
}

static struct authorize_fault authorize_request_read_prompt(struct str list, unsigned *out)
{
    struct str word;
    while (str_next_word(&list, &word)) {
        const unsigned bit = authorize_request_prompt_named(word);
        if (bit == 0)
            return authorize_request_invalid("prompt has a value other than none, login, consent and select_account");
        *out |= bit;
    }
    if (!authorize_request_is_prompt(*out))
        return authorize_request_invalid("the prompt none stands beside another one");
    return no_fault;
}

static const struct str displays[] = { STR_INIT("page"), STR_INIT("popup"), STR_INIT("touch"), STR_INIT("wap") };

/* No more than a wish: a name that is not known is a page. */
static enum display authorize_request_display_named(struct str name)
{
    for (size_t i = 0; i < sizeof displays / sizeof *displays; i++)
        if (str_eq(name, displays[i]))
            return (enum display)i;
    return DISPLAY_PAGE;
}

static struct authorize_fault authorize_request_read_max_age(struct str text, int64_t *out)
{
    return !text.at || str_number(text, INT32_MAX, out)
               ? no_fault
               : authorize_request_invalid("max_age is not a number of seconds");
}

static struct authorize_fault authorize_request_read_claims(struct arena *arena, struct str text,
                                                            const struct json **out)
{
    const struct err err = text.at ? claims_request_read(arena, text, out) : OK;
    return err.code ? authorize_request_invalid(err.why) : no_fault;
}

static struct authorize_fault authorize_request_read_resources(const struct form *form, struct resources *out)
{
    for (size_t i = 0; i < form->count; i++) {
        if (!str_eq(form->name[i], STR("resource")) || form->value[i].len == 0)
            continue;
        const struct err err = resources_add(out, form->value[i]);
        if (err.code)
            return authorize_request_wrong("invalid_target", err.why);
    }
    return no_fault;
}

static struct authorize_fault authorize_request_check_pkce(const struct form *form, bool is_required)
{
    const char *why = pkce_challenge_fault(form_value(form, STR("code_challenge")),
                                           form_value(form, STR("code_challenge_method")), is_required);
    return why ? authorize_request_invalid(why) : no_fault;
}

/* What must hold before anything is read. */
static struct authorize_fault authorize_request_check(const struct form *form, bool requires_pkce)
{
    TRY_FAULT(authorize_request_check_repeats(form));
    TRY_FAULT(authorize_request_check_unsupported(form));
    TRY_FAULT(authorize_request_check_type(form));
    return authorize_request_check_pkce(form, requires_pkce);
}

struct authorize_fault authorize_request_read(struct arena *arena, const struct form *form, bool requires_pkce,
                                              struct authorize_request *out)
{
    *out = (struct authorize_request){ .response_mode = RESPONSE_QUERY, .max_age_s = -1 };
    authorize_request_read_answer(form, out);
    TRY_FAULT(authorize_request_check(form, requires_pkce));
    TRY_FAULT(authorize_request_read_texts(form, out));
    TRY_FAULT(authorize_request_read_prompt(form_value(form, STR("prompt")), &out->prompt));
    TRY_FAULT(authorize_request_read_max_age(form_value(form, STR("max_age")), &out->max_age_s));
    TRY_FAULT(authorize_request_read_claims(arena, form_value(form, STR("claims")), &out->claims));
    TRY_FAULT(authorize_request_read_resources(form, &out->resource));
    out->display = authorize_request_display_named(form_value(form, STR("display")));
    return no_fault;
}

bool authorize_request_knows(struct str name)
{
    static const struct str others[] = { STR_INIT("response_type"),
                                         STR_INIT("response_mode"),
                                         STR_INIT("prompt"),
                                         STR_INIT("max_age"),
                                         STR_INIT("display"),
                                         STR_INIT("claims"),
                                         STR_INIT("resource"),
                                         STR_INIT("request"),
                                         STR_INIT("request_uri"),
                                         STR_INIT("registration"),
                                         STR_INIT("code_challenge_method") };
    for (size_t i = 0; i < TEXTS; i++)
        if (str_eq(texts[i].name, name))
            return true;
    return STR_IS_AMONG(name, others);
}

struct str authorize_request_asks(struct arena *arena, const struct authorize_request *request)
{
    return claims_request_scopes(arena, request->claims, request->scope.at ? request->scope : STR(""));
}

/* --- as JSON ------------------------------------------------------------------------------------------------------ */

static void authorize_request_write_texts(const struct authorize_request *request, struct buf *out)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const struct str *text = (const struct str *)(const void *)((const char *)request + texts[i].offset);
        if (texts[i].is_written)
            json_write_optional(out, texts[i].name, *text);
    }
}

struct err authorize_request_write(const struct authorize_request *request, struct buf *out)
{
    const size_t begin = out->len;
    buf_add_char(out, '{');
    authorize_request_write_texts(request, out);
    json_write_int(out, STR("response_mode"), request->response_mode);
    json_write_int(out, STR("prompt"), request->prompt);
    json_write_int(out, STR("display"), request->display);
    if (request->max_age_s >= 0)
        json_write_int(out, STR("max_age"), request->max_age_s);
    if (request->resource.count > 0)
        json_write_texts(out, STR("resource"), request->resource.of, request->resource.count);
    if (request->claims) {
        json_write_name(out, STR("claims"));
        json_write(out, request->claims);
    }
    buf_add_char(out, '}');
    return out->overflowed || out->len - begin > AUTHORIZE_WRITTEN_MAX
               ? failed(ERR_TOO_LARGE, "the authorization request is too large to be kept")
               : OK;
}

static bool authorize_request_restore_texts(const struct json *written, struct authorize_request *out)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const struct json *value = texts[i].is_written ? json_member(written, texts[i].name) : NULL;
        if (!value)
            continue;
        if (value->kind != JSON_STRING || !authorize_request_is_good_text(value->text, texts[i].max))
            return false;
        *authorize_request_text(out, i) = value->text;
    }
    return out->client_id.len > 0 && out->redirect_uri.len > 0 && authorize_request_is_scope(out->scope);
}

static bool authorize_request_restore_numbers(const struct json *written, struct authorize_request *out)
{
    const struct json *max_age = json_member(written, STR("max_age"));
    int64_t mode = 0, prompt = 0, display = 0;
    if (!json_int(json_member(written, STR("response_mode")), RESPONSE_QUERY, RESPONSE_FORM_POST, &mode) ||
        !json_int(json_member(written, STR("prompt")), 0, (1 << PROMPTS) - 1, &prompt) ||
        !json_int(json_member(written, STR("display")), DISPLAY_PAGE, DISPLAY_WAP, &display) ||
        (max_age && !json_int(max_age, 0, INT32_MAX, &out->max_age_s)))
        return false;
    out->response_mode = (enum response_mode)mode;
    out->prompt = (unsigned)prompt;
    out->display = (enum display)display;
    return authorize_request_is_prompt(out->prompt);
}

static bool authorize_request_restore_lists(const struct json *written, struct authorize_request *out)
{
    const struct json *list = json_member(written, STR("resource"));
    out->claims = json_member(written, STR("claims"));
    if (list && list->kind != JSON_ARRAY)
        return false;
    for (const struct json *each = list ? list->child : NULL; each; each = each->next)
        if (each->kind != JSON_STRING || resources_add(&out->resource, each->text).code)
            return false;
    return !out->claims || !claims_request_check(out->claims).code;
}

struct err authorize_request_restore(const struct json *written, struct authorize_request *out)
{
    *out = (struct authorize_request){ .response_mode = RESPONSE_QUERY, .max_age_s = -1 };
    if (written->kind == JSON_OBJECT && authorize_request_restore_texts(written, out) &&
        authorize_request_restore_numbers(written, out) && authorize_request_restore_lists(written, out))
        return OK;
    return failed(ERR_INTERNAL, "an authorization request that was kept can't be read");
}
