/* oauth/standard_claims.c: the table, and a check for each form. */
#include "oauth/standard_claims.h"
#include "wire/lines.h"

enum { TEXT_MOST = 2048, YEAR_LEAST = 1850 };
static const int64_t time_least = 631152000, time_most = 253402300799; /* 1990, 9999 */

#define PROFILE STR_INIT("profile")
#define EMAIL STR_INIT("email")
#define PHONE STR_INIT("phone")

const struct standard_claim standard_claims[] = {
    { STR_INIT("name"), PROFILE, CLAIM_TEXT },
    { STR_INIT("given_name"), PROFILE, CLAIM_TEXT },
    { STR_INIT("family_name"), PROFILE, CLAIM_TEXT },
    { STR_INIT("middle_name"), PROFILE, CLAIM_TEXT },
    { STR_INIT("nickname"), PROFILE, CLAIM_TEXT },
    { STR_INIT("preferred_username"), PROFILE, CLAIM_TEXT },
    { STR_INIT("profile"), PROFILE, CLAIM_URL },
    { STR_INIT("picture"), PROFILE, CLAIM_URL },
    { STR_INIT("website"), PROFILE, CLAIM_URL },
    { STR_INIT("gender"), PROFILE, CLAIM_TEXT },
    { STR_INIT("birthdate"), PROFILE, CLAIM_DATE },
    { STR_INIT("zoneinfo"), PROFILE, CLAIM_TEXT },
    { STR_INIT("locale"), PROFILE, CLAIM_TEXT },
    { STR_INIT("updated_at"), PROFILE, CLAIM_TIME },
    { STR_INIT("email"), EMAIL, CLAIM_EMAIL },
    { STR_INIT("email_verified"), EMAIL, CLAIM_TRUTH },
    { STR_INIT("phone_number"), PHONE, CLAIM_TEXT },
    { STR_INIT("phone_number_verified"), PHONE, CLAIM_TRUTH },
    { STR_INIT("address"), STR_INIT("address"), CLAIM_ADDRESS },
};
const size_t standard_claims_count = sizeof standard_claims / sizeof *standard_claims;

const struct str standard_address_members[] = {
    STR_INIT("formatted"), STR_INIT("street_address"), STR_INIT("locality"),
    STR_INIT("region"),    STR_INIT("postal_code"),    STR_INIT("country")
};
const size_t standard_address_members_count = sizeof standard_address_members / sizeof *standard_address_members;

const struct standard_claim *standard_claim_named(struct str name)
{
    for (size_t i = 0; i < standard_claims_count; i++)
        if (str_eq(standard_claims[i].name, name))
            return &standard_claims[i];
    return NULL;
}

bool standard_claim_is_address_member(struct str name)
{
    return STR_IS_AMONG(name, standard_address_members);
}

static bool standard_claims_is_text(const struct json *value)
{
    bool is_blank = true;
    if (value->kind != JSON_STRING || value->text.len > TEXT_MOST || str_eq(value->text, STR("null")))
        return false;
    for (size_t i = 0; i < value->text.len; i++)
        is_blank = is_blank && value->text.at[i] == ' ';
    return !is_blank;
}

static bool standard_claims_is_url(struct str text)
{
    return wire_is_visible(text) && ((str_has_prefix(text, STR("https://")) && text.len > 8) ||
                                     (str_has_prefix(text, STR("http://")) && text.len > 7));
}

static bool standard_claims_is_email(struct str text)
{
    struct str local, host = text;
    return !str_has(text, ' ') && str_cut(&host, '@', &local) && local.len > 0 && host.len > 0 && !str_has(host, '@');
}

static bool standard_claims_is_date(struct str text)
{
    static const int64_t days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t year, month, day;
    const bool is_whole = text.len == 10;
    if ((text.len != 4 && !is_whole) || !str_number((struct str){ text.at, 4 }, 9999, &year))
        return false;
    if (year < YEAR_LEAST && !(year == 0 && is_whole))
        return false;
    if (!is_whole)
        return true;
    return text.at[4] == '-' && text.at[7] == '-' && str_number((struct str){ text.at + 5, 2 }, 12, &month) &&
           month > 0 && str_number((struct str){ text.at + 8, 2 }, days[month - 1], &day) && day > 0;
}

static bool standard_claims_is_address(const struct json *value)
{
    if (value->kind != JSON_OBJECT || value->count == 0)
        return false;
    for (const struct json *member = value->child; member; member = member->next)
        if (!standard_claim_is_address_member(member->name) || !standard_claims_is_text(member))
            return false;
    return true;
}

/* What a value should have been; NULL: it is that. */
static const char *standard_claims_fault_of(enum claim_form form, const struct json *value)
{
    int64_t at_s;
    switch (form) {
    case CLAIM_TEXT:
        return standard_claims_is_text(value) ? NULL : "must be a text of 1 to 2048 bytes that is not blank or null";
    case CLAIM_URL:
        return standard_claims_is_text(value) && standard_claims_is_url(value->text)
                   ? NULL
                   : "must be a URL that begins with https:// or http://";
    case CLAIM_EMAIL:
        return standard_claims_is_text(value) && standard_claims_is_email(value->text) ? NULL
                                                                                       : "must be an e-mail address";
    case CLAIM_DATE:
        return value->kind == JSON_STRING && standard_claims_is_date(value->text) ? NULL : "must be YYYY-MM-DD or YYYY";
    case CLAIM_TRUTH:
        return value->kind == JSON_TRUE || value->kind == JSON_FALSE ? NULL : "must be true or false";
    case CLAIM_TIME:
        return json_int(value, time_least, time_most, &at_s) ? NULL : "must be a time in seconds since 1970";
    case CLAIM_ADDRESS:
        return standard_claims_is_address(value) ? NULL
                                                 : "must have texts named formatted, street_address, locality, region, "
                                                   "postal_code or country, and nothing else";
    }
    return "is of no known form";
}

bool standard_claim_takes(const struct standard_claim *claim, const struct json *value)
{
    return !standard_claims_fault_of(claim->form, value);
}

struct err standard_claims_check(struct arena *arena, const struct json *claims)
{
    for (const struct json *claim = claims->child; claim; claim = claim->next) {
        const struct standard_claim *row = standard_claim_named(claim->name);
        if (!row)
            return failed(ERR_INVALID_REQUEST, "a claim is none of the standard ones (OpenID Connect Core, 5.1)");
        const char *fault = standard_claims_fault_of(row->form, claim);
        if (fault)
            return failed(ERR_INVALID_REQUEST, arena_printf(arena, "the claim %s %s", row->name.at, fault).at);
    }
    return OK;
}
