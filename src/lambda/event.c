/* lambda/event.c: kinds are told apart by members that only one of them has. */
#include "lambda/event.h"

const struct json *event_part(const struct event *event, struct str first, struct str second)
{
    const struct json *part = json_member(event->json, first);
    if (second.len > 0)
        part = json_member(part, second);
    return part && (part->kind == JSON_OBJECT || part->kind == JSON_ARRAY) ? part : NULL;
}

struct str event_text(const struct event *event, struct str first, struct str second, struct str third)
{
    const struct json *part = json_member(event->json, first);
    if (second.len > 0)
        part = json_member(part, second);
    if (third.len > 0)
        part = json_member(part, third);
    return part && part->kind == JSON_STRING ? part->text : (struct str){ 0, 0 };
}

/* Function URLs have names of their own: <id>.lambda-url.<region>.on.aws. */
static bool event_is_of_function_url(const struct event *event)
{
    const struct str mark = STR(".lambda-url.");
    const struct str domain = event_text(event, STR("requestContext"), STR("domainName"), STR(""));
    return domain.len > 0 && memmem(domain.at, domain.len, mark.at, mark.len) != NULL;
}

static bool event_is_of_clock(const struct event *event)
{
    const struct str source = event_text(event, STR("source"), STR(""), STR(""));
    return str_eq(event_text(event, STR("detail-type"), STR(""), STR("")), STR("Scheduled Event")) &&
           (str_eq(source, STR("aws.events")) || str_eq(source, STR("aws.scheduler")));
}

static enum event_kind event_kind_of(const struct event *event)
{
    const struct str version = event_text(event, STR("version"), STR(""), STR(""));
    const bool has_context = event_part(event, STR("requestContext"), STR("")) != NULL;
    if (has_context && event_part(event, STR("requestContext"), STR("elb")))
        return EVENT_ALB;
    if (has_context && str_eq(version, STR("2.0")))
        return event_is_of_function_url(event) ? EVENT_FUNCTION_URL : EVENT_HTTP;
    if (has_context && event_text(event, STR("httpMethod"), STR(""), STR("")).at)
        return EVENT_REST;
    if (event_text(event, STR("detail-type"), STR(""), STR("")).at &&
        event_text(event, STR("source"), STR(""), STR("")).at)
        return event_is_of_clock(event) ? EVENT_SCHEDULE : EVENT_BUS;
    return EVENT_OTHER;
}

struct err event_read(struct arena *arena, struct str text, struct event *out)
{
    *out = (struct event){ .kind = EVENT_OTHER };
    TRY(json_parse(arena, text, &out->json));
    out->kind = event_kind_of(out);
    out->has_lists = (out->kind == EVENT_REST || out->kind == EVENT_ALB) &&
                     event_part(out, STR("multiValueHeaders"), STR("")) != NULL;
    return OK;
}
