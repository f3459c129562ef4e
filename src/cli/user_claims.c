/* cli/user_claims.c: the table of claims is gone through, and each is taken from the options or from before; so the
 * object comes out in the order of the table. */
#include "cli/user_claims.h"
#include "oauth/standard_claims.h"
#include "oauth/users_file.h"

static const struct str address_prefix = STR_INIT("address.");

/* The last value that the options give to `prefix` and `name`; false: they don't name it. */
static bool user_claims_value_of(const struct option_texts *options, struct str prefix, struct str name,
                                 struct str *value)
{
    bool found = false;
    for (size_t i = 0; i < options->count; i++) {
        struct str rest = str_of(options->at[i]), left;
        if (!str_cut(&rest, '=', &left) || !str_has_prefix(left, prefix))
            continue;
        if (str_eq((struct str){ left.at + prefix.len, left.len - prefix.len }, name)) {
            *value = rest;
            found = true;
        }
    }
    return found;
}

static struct err user_claims_check_option(struct arena *arena, struct str option)
{
    struct str value = option, name;
    if (!utf8_valid(option) || !str_cut(&value, '=', &name))
        return failed(ERR_INVALID_REQUEST, "--claim takes NAME=VALUE, in UTF-8");
    const struct standard_claim *row = standard_claim_named(name);
    const bool is_member = str_has_prefix(name, address_prefix) &&
                           standard_claim_is_address_member(
                               (struct str){ name.at + address_prefix.len, name.len - address_prefix.len });
    if (is_member || (row && row->form != CLAIM_ADDRESS) || (row && value.len == 0))
        return OK;
    return failed(ERR_INVALID_REQUEST,
                  row ? "--claim takes an address in parts, such as address.locality=VALUE"
                      : arena_printf(arena, "--claim: there is no standard claim of this name; there are name, email, "
                                            "address.locality and others (OpenID Connect Core section 5.1)")
                            .at);
}

/* A value that doesn't look as its claim wants is written as a text, for standard_claims_check() to refuse. */
static void user_claims_write_value(struct buf *out, enum claim_form form, struct str value)
{
    int64_t number;
    const bool is_truth = form == CLAIM_TRUTH && (str_eq(value, STR("true")) || str_eq(value, STR("false")));
    const bool is_time = form == CLAIM_TIME && value.len < 16 && str_number(value, INT64_MAX, &number);
    if (is_time)
        buf_add_int(out, number);
    else if (is_truth)
        buf_add(out, value);
    else
        json_write_str(out, value);
}

/* A member of an object, from the options or from before. */
static void user_claims_add(struct buf *out, const struct json *before, const struct option_texts *options,
                            struct str prefix, struct str name, enum claim_form form)
{
    struct str value;
    const struct json *old = json_member(before, name);
    const bool is_named = user_claims_value_of(options, prefix, name, &value);
    if (is_named ? value.len == 0 : !old)
        return;
    json_write_name(out, name);
    if (is_named)
        user_claims_write_value(out, form, value);
    else
        json_write(out, old);
}

static void user_claims_add_address(struct arena *arena, struct buf *out, const struct json *before,
                                    const struct option_texts *options)
{
    static const struct str members[] = { STR_INIT("formatted"), STR_INIT("street_address"), STR_INIT("locality"),
                                          STR_INIT("region"),    STR_INIT("postal_code"),    STR_INIT("country") };
    struct buf object;
    struct str value;
    if (user_claims_value_of(options, STR(""), STR("address"), &value)) /* address= takes all of it away */
        before = NULL;
    buf_init(&object, arena, 256, USER_CLAIMS_MAX);
    buf_add_char(&object, '{');
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        user_claims_add(&object, before, options, address_prefix, members[i], CLAIM_TEXT);
    buf_add_char(&object, '}');
    if (object.len == 2)
        return;
    json_write_name(out, STR("address"));
    buf_add(out, buf_str(&object));
}

static void user_claims_write(struct arena *arena, struct buf *out, const struct json *before,
                              const struct option_texts *options, int64_t now_s)
{
    struct str value;
    buf_add_char(out, '{');
    for (size_t i = 0; i < standard_claims_count; i++) {
        const struct standard_claim *row = &standard_claims[i];
        const bool is_now = row->form == CLAIM_TIME && !user_claims_value_of(options, STR(""), row->name, &value);
        if (row->form == CLAIM_ADDRESS) {
            user_claims_add_address(arena, out, json_member(before, row->name), options);
        } else if (is_now) {
            json_write_int(out, row->name, now_s);
        } else {
            user_claims_add(out, before, options, STR(""), row->name, row->form);
        }
    }
    buf_add_char(out, '}');
}

struct err user_claims_build(struct arena *arena, struct str before, const struct option_texts *options, int64_t now_s,
                             struct str *out)
{
    const struct json *old, *made;
    struct buf text;
    for (size_t i = 0; i < options->count; i++)
        TRY(user_claims_check_option(arena, str_of(options->at[i])));
    TRY(json_parse(arena, before, &old));
    buf_init(&text, arena, 512, USER_CLAIMS_MAX);
    user_claims_write(arena, &text, old, options, now_s);
    if (text.overflowed)
        return failed(ERR_INVALID_REQUEST, "the claims of a user are too long");
    TRY(json_parse(arena, buf_str(&text), &made));
    TRY(standard_claims_check(arena, made));
    *out = buf_str(&text);
    return OK;
}
