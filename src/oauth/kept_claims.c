/* oauth/kept_claims.c: from columns to claims. */
#include "oauth/kept_claims.h"
#include "oauth/standard_claims.h"

enum { CLAIMS_MAX = 64 * 1024 };

static const struct str address_columns = STR_INIT("address_");

/* Where the platform's name is another one. */
static struct str kept_claims_column_of(struct str name)
{
    static const struct {
        struct str name, column;
    } others[] = { { STR_INIT("profile"), STR_INIT("profile_url") },
                   { STR_INIT("picture"), STR_INIT("picture_url") },
                   { STR_INIT("street_address"), STR_INIT("street") } };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (str_eq(others[i].name, name))
            return others[i].column;
    return name;
}

/* What is said together, or not at all. */
static bool kept_claims_is_said(const struct json *said, struct str name)
{
    static const struct str pairs[][2] = { { STR_INIT("email"), STR_INIT("email_verified") },
                                           { STR_INIT("phone_number"), STR_INIT("phone_number_verified") } };
    if (!said)
        return false;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (str_eq(name, pairs[i][0]) || str_eq(name, pairs[i][1]))
            return json_member(said, pairs[i][0]) || json_member(said, pairs[i][1]);
    return json_member(said, name);
}

static void kept_claims_write(struct buf *out, struct str name, const struct json *value)
{
    if (out->at[out->len - 1] != '{')
        buf_add_char(out, ',');
    json_write_str(out, name);
    buf_add_char(out, ':');
    json_write(out, value);
}

static const struct json *kept_claims_address_column(struct arena *arena, const struct json *columns, struct str name)
{
    const struct str column = kept_claims_column_of(name);
    return json_member(columns, arena_printf(arena, "%.*s%.*s", (int)address_columns.len, address_columns.at,
                                             (int)column.len, column.at));
}

/* Section 5.1.1: an object of those parts that there are; NULL: none. */
static const struct json *kept_claims_address(struct arena *arena, const struct json *columns)
{
    const struct standard_claim *text = standard_claim_named(STR("name"));
    const struct json *address = NULL;
    struct buf out;
    buf_init(&out, arena, 256, CLAIMS_MAX);
    buf_add_char(&out, '{');
    for (size_t i = 0; i < standard_address_members_count; i++) {
        const struct str name = standard_address_members[i];
        const struct json *value = kept_claims_address_column(arena, columns, name);
        if (value && standard_claim_takes(text, value))
            kept_claims_write(&out, name, value);
    }
    buf_add_char(&out, '}');
    return json_parse(arena, buf_str(&out), &address).code || address->count == 0 ? NULL : address;
}

struct err kept_claims_join(struct arena *arena, const struct json *columns, const struct json *said,
                            const struct json **out)
{
    struct buf claims;
    buf_init(&claims, arena, 1024, CLAIMS_MAX);
    buf_add_char(&claims, '{');
    for (const struct json *claim = said ? said->child : NULL; claim; claim = claim->next)
        kept_claims_write(&claims, claim->name, claim);
    for (size_t i = 0; i < standard_claims_count; i++) {
        const struct standard_claim *claim = &standard_claims[i];
        const struct json *value = claim->form == CLAIM_ADDRESS
                                       ? kept_claims_address(arena, columns)
                                       : json_member(columns, kept_claims_column_of(claim->name));
        if (value && standard_claim_takes(claim, value) && !kept_claims_is_said(said, claim->name))
            kept_claims_write(&claims, claim->name, value);
    }
    buf_add_char(&claims, '}');
    if (claims.overflowed)
        return failed(ERR_INTERNAL, "what is known of the user is too large for an answer");
    return json_parse(arena, buf_str(&claims), out);
}
