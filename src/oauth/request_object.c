/* oauth/request_object.c: a request object's members, one by one. */
#include "oauth/request_object.h"
#include "oauth/claims_request.h"
#include "service/message.h"

static const struct authorize_fault too_many = { "invalid_request_object", "the request object has too many members" };
static const struct authorize_fault wrong_type = { "invalid_request_object",
                                                   "a member of the request object has another type" };
static const struct authorize_fault no_fault = { 0, 0 };

static struct authorize_fault request_object_add(struct form *out, struct str name, struct str value)
{
    if (out->count == FORM_PAIRS_MAX)
        return too_many;
    out->name[out->count] = name;
    out->value[out->count++] = value;
    return no_fault;
}

static struct authorize_fault request_object_add_list(struct form *out, const struct json *list)
{
    struct authorize_fault fault = no_fault;
    for (const struct json *each = list->child; each && !fault.error; each = each->next)
        fault = each->kind == JSON_STRING ? request_object_add(out, list->name, each->text) : wrong_type;
    return fault;
}

/* As the parameter would stand in a query: authorize_request_read() looks at what it says. */
static struct authorize_fault request_object_add_claims(struct arena *arena, struct form *out,
                                                        const struct json *claims)
{
    struct buf text;
    buf_init(&text, arena, 256, CLAIMS_REQUEST_MAX);
    json_write(&text, claims);
    return text.overflowed ? wrong_type : request_object_add(out, claims->name, buf_str(&text));
}

static struct authorize_fault request_object_add_member(struct arena *arena, struct form *out,
                                                        const struct json *member)
{
    if (!authorize_request_knows(member->name)) /* of any type: it is ignored, as in a query */
        return no_fault;
    if (member->kind == JSON_STRING || member->kind == JSON_NUMBER)
        return request_object_add(out, member->name, member->text);
    if (member->kind == JSON_ARRAY && str_eq(member->name, STR("resource")))
        return request_object_add_list(out, member);
    if (member->kind == JSON_OBJECT && str_eq(member->name, STR("claims")))
        return request_object_add_claims(arena, out, member);
    if (member->kind == JSON_OBJECT && str_eq(member->name, STR("registration")))
        return request_object_add(out, member->name, member->text); /* which is told to be not supported */
    return wrong_type;
}

struct authorize_fault request_object_form(struct arena *arena, const struct json *object, struct str client_id,
                                           struct form *out)
{
    struct authorize_fault fault = no_fault;
    const struct json *named = json_member(object, STR("client_id"));
    out->count = 0;
    if (object->kind != JSON_OBJECT)
        return wrong_type;
    for (const struct json *member = object->child; member && !fault.error; member = member->next)
        fault = request_object_add_member(arena, out, member);
    if (fault.error)
        return fault;
    if (form_value(out, STR("request")).at || form_value(out, STR("request_uri")).at)
        return (struct authorize_fault){ "invalid_request_object", "the request object names another one" };
    if (!named)
        return request_object_add(out, STR("client_id"), client_id);
    return named->kind == JSON_STRING && str_eq(named->text, client_id)
               ? no_fault
               : (struct authorize_fault){ "invalid_request_object", "the request object is of another client" };
}
