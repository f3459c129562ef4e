/* fuzz/authorize_request.c: an authorization request that is taken is within its bounds, and comes back from its JSON
 * the same; one that is not has an error code of the standards, and still says where and how to answer.
 *
 * An input is a query; one that begins with a brace is a request object. */
#include "fuzz.h"
#include "oauth/authorize_request.h"
#include "oauth/claims_request.h"
#include "oauth/request_object.h"
#include "service/message.h"

static const char *const codes[] = { "invalid_request",
                                     "invalid_scope",
                                     "invalid_target",
                                     "unsupported_response_type",
                                     "request_not_supported",
                                     "request_uri_not_supported",
                                     "registration_not_supported",
                                     "invalid_request_object" };

static void check_fault(const struct authorize_fault *fault)
{
    bool is_known = false;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        is_known = is_known || str_eq(str_of(fault->error), str_of(codes[i]));
    PROMISE(is_known && fault->why);
    for (const char *at = fault->why; *at; at++)
        PROMISE(*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\');
}

static void check_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        PROMISE((unsigned char)text.at[i] >= ' ' && text.at[i] != 0x7f);
}

static void check_request(struct arena *arena, const struct authorize_request *request)
{
    const struct json *json;
    struct authorize_request back;
    struct buf first, second;
    buf_init(&first, arena, 1024, 1 << 20);
    buf_init(&second, arena, 1024, 1 << 20);
    PROMISE(request->max_age_s >= -1 && request->resource.count <= RESOURCES_MAX);
    PROMISE(!(request->prompt & PROMPT_NONE) || request->prompt == PROMPT_NONE);
    check_text(request->nonce);
    check_text(request->scope);
    if (authorize_request_write(request, &first).code)
        return; /* too large, once its quotes are escaped */
    PROMISE(!json_parse(arena, buf_str(&first), &json).code);
    if (!request->client_id.at || !request->redirect_uri.at) {
        PROMISE(authorize_request_restore(json, &back).code == ERR_INTERNAL);
        return;
    }
    PROMISE(!authorize_request_restore(json, &back).code);
    PROMISE(!authorize_request_write(&back, &second).code && str_eq(buf_str(&first), buf_str(&second)));
}

static void check_claims(const struct json *claims)
{
    struct claim_request asked;
    const struct json *part = json_member(claims, STR("userinfo"));
    for (const struct json *each = part ? part->child : NULL; each; each = each->next)
        PROMISE(claims_request_find(claims, STR("userinfo"), each->name, &asked));
}

static void check_form(struct arena *arena, const struct form *form, bool requires_pkce)
{
    struct authorize_party party;
    struct authorize_request request;
    const bool is_for_a_page = authorize_request_party(form, &party).code != ERR_OK;
    PROMISE(is_for_a_page || (party.client_id.len > 0 && (party.redirect_uri.at || party.request.at)));
    const struct authorize_fault fault = authorize_request_read(arena, form, requires_pkce, &request);
    PROMISE(request.state.len <= AUTHORIZE_STATE_MAX);
    check_text(request.state);
    if (fault.error) {
        check_fault(&fault);
        return;
    }
    check_request(arena, &request);
    check_claims(request.claims);
}

static void check_object(struct arena *arena, struct str text)
{
    const struct json *object;
    struct form form;
    if (json_parse(arena, text, &object).code)
        return;
    const struct authorize_fault fault = request_object_form(arena, object, STR("c"), &form);
    PROMISE(form.count <= FORM_PAIRS_MAX);
    if (fault.error) {
        check_fault(&fault);
        return;
    }
    PROMISE(str_eq(form_value(&form, STR("client_id")), STR("c")) && !form_value(&form, STR("request")).at);
    check_form(arena, &form, text.len % 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct form form;
    const struct str in = input_of(data, size);
    arena_init(&arena, NULL, 0);
    if (str_has_prefix(in, STR("{")))
        check_object(&arena, in);
    else if (!form_read_all(&arena, in, &form).code)
        check_form(&arena, &form, size % 2);
    arena_release(&arena);
    return 0;
}
