/* wire/forwarded.c: from left to right, keeping the last hop that is not trusted. */
#include "wire/forwarded.h"
#include "wire/fields.h"

/* What one proxy says of the hop before it. */
struct hop {
    bool is_address;
    struct address address;
    bool is_https;
};

/* One after the other goes through this; at its end `caller` is who called. */
struct walk {
    const struct networks *trusted;
    bool has_any;
    struct hop caller;
};

static void forwarded_walk_on(struct walk *walk, const struct hop *hop)
{
    bool is_trusted = hop->is_address && networks_have(walk->trusted, &hop->address);
    if (!is_trusted || !walk->has_any)
        walk->caller = *hop;
    walk->has_any = true;
}

bool forwarded_read_node(struct str node, struct address *out)
{
    struct str rest = node, before;
    if (address_read(node, out))
        return true;
    if (node.len > 0 && node.at[0] == '[') {
        rest = (struct str){ node.at + 1, node.len - 1 };
        return str_cut(&rest, ']', &before) && (rest.len == 0 || rest.at[0] == ':') && str_has(before, ':') &&
               address_read(before, out);
    }
    return str_cut(&rest, ':', &before) && !str_has(rest, ':') && address_read(before, out);
}

static void forwarded_walk_addresses(struct str list, struct walk *walk)
{
    struct str element;
    while (field_next(&list, &element)) {
        struct hop hop = { 0 };
        hop.is_address = forwarded_read_node(element, &hop.address);
        forwarded_walk_on(walk, &hop);
    }
}

/* What stands in quotes; addresses and schemes need no escapes, so a value that has some is none of them. */
static struct str forwarded_unquoted(struct str value, bool is_quoted)
{
    return is_quoted ? (struct str){ value.at + 1, value.len - 2 } : value;
}

/* [ forwarded-pair ] *( ";" [ forwarded-pair ] ), a parameter at most once (section 4). False: it has another form, and
 * nothing that it says is to be believed. */
static bool forwarded_read_element(struct str element, struct hop *hop)
{
    bool has_for = false, has_proto = false;
    while (element.len > 0) {
        struct str name, value;
        bool is_quoted;
        if (element.at[0] == ';') {
            element = (struct str){ element.at + 1, element.len - 1 };
            continue;
        }
        if (!field_parameter(&element, &name, &value, &is_quoted) || (element.len > 0 && element.at[0] != ';'))
            return false;
        value = forwarded_unquoted(value, is_quoted);
        bool *has = str_eq_nocase(name, STR("for")) ? &has_for : str_eq_nocase(name, STR("proto")) ? &has_proto : NULL;
        if (has && *has)
            return false;
        if (has)
            *has = true;
        if (has == &has_for)
            hop->is_address = forwarded_read_node(value, &hop->address);
        else if (has == &has_proto)
            hop->is_https = str_eq_nocase(value, STR("https"));
    }
    return true;
}

static void forwarded_walk_forwarded(struct str list, struct walk *walk)
{
    struct str element;
    while (field_next(&list, &element)) {
        struct hop hop = { 0 };
        if (!forwarded_read_element(element, &hop))
            hop = (struct hop){ 0 };
        forwarded_walk_on(walk, &hop);
    }
}

/* The nearest proxy's word. */
static bool forwarded_last_is_https(struct str list)
{
    struct str element = { 0, 0 };
    while (field_next(&list, &element))
        ;
    return str_eq_nocase(element, STR("https"));
}

struct forwarded forwarded_read(const struct forwarded_fields *fields, const struct networks *trusted)
{
    struct walk standard = { .trusted = trusted }, usual = { .trusted = trusted };
    forwarded_walk_forwarded(fields->forwarded, &standard);
    forwarded_walk_addresses(fields->x_forwarded_for, &usual);
    const struct hop *caller = standard.has_any ? &standard.caller : &usual.caller;
    struct forwarded out = { .is_known = caller->is_address,
                             .client = caller->address,
                             .is_https = standard.has_any ? caller->is_https
                                                          : forwarded_last_is_https(fields->x_forwarded_proto) };
    if (standard.has_any && usual.has_any)
        out.is_known = out.is_known && usual.caller.is_address &&
                       memcmp(&usual.caller.address, &out.client, sizeof out.client) == 0;
    return out;
}
