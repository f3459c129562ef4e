/* base/secret_reference.c: reads the ARNs of secrets and parameters. */
#include "base/secret_reference.h"
#include "base/settings.h"

enum { ACCOUNT_DIGITS = 12, REGION_MAX = 32 };

bool secret_reference_is(struct str value)
{
    return str_has_prefix(value, STR("arn:"));
}

/* A region, or a partition, whose names are made of the same. */
static bool secret_reference_is_name(struct str text)
{
    return text.len > 0 && text.len <= REGION_MAX && !settings_fault_of_region(text);
}

static bool secret_reference_is_account(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!char_is_digit(text.at[i]))
            return false;
    return text.len == ACCOUNT_DIGITS;
}

/* The characters that names of secrets and parameters may have (CreateSecret, PutParameter). */
static bool secret_reference_is_resource(struct str text)
{
    return text.len > 0 && str_has_only(text, STR("/_+=.@-"));
}

/* "NAME", or "NAME:MEMBER::", in which a version could follow the member; ours is always the current one. */
static const char *secret_reference_read_secret(struct str rest, struct secret_reference *found)
{
    struct str name, member;
    if (!str_cut(&rest, ':', &name))
        return secret_reference_is_resource(rest) ? NULL : "the secret's name has other characters, or none";
    if (!secret_reference_is_resource(name))
        return "the secret's name has other characters, or none";
    if (!str_cut(&rest, ':', &member) || member.len == 0 || !str_eq(rest, STR(":")))
        return "after the secret's name it has something other than :member::";
    found->member = member;
    found->id.len -= member.len + sizeof ":::" - 1;
    return NULL;
}

static const char *secret_reference_read_resource(struct str service, struct str rest, struct secret_reference *found)
{
    struct str kind;
    if (str_eq(service, STR("secretsmanager"))) {
        found->place = SECRET_OF_MANAGER;
        return str_cut(&rest, ':', &kind) && str_eq(kind, STR("secret"))
                   ? secret_reference_read_secret(rest, found)
                   : "it is an ARN of Secrets Manager, but not of a secret";
    }
    if (!str_eq(service, STR("ssm")))
        return "it is an ARN, but neither of a secret of Secrets Manager nor of a parameter of SSM";
    found->place = SECRET_OF_PARAMETER;
    return str_cut(&rest, '/', &kind) && str_eq(kind, STR("parameter")) && secret_reference_is_resource(rest)
               ? NULL
               : "it is an ARN of SSM, but not of a parameter";
}

const char *secret_reference_read(struct str value, struct secret_reference *out)
{
    struct str rest = value, arn, partition, service, account;
    struct secret_reference found = { .id = value };
    if (value.len > SECRET_REFERENCE_MAX)
        return "the ARN is too long";
    if (!str_cut(&rest, ':', &arn) || !str_eq(arn, STR("arn")) || !str_cut(&rest, ':', &partition) ||
        !str_has_prefix(partition, STR("aws")) || !secret_reference_is_name(partition) ||
        !str_cut(&rest, ':', &service) || !str_cut(&rest, ':', &found.region) || !str_cut(&rest, ':', &account))
        return "it begins as an ARN, but is none";
    const char *fault = secret_reference_read_resource(service, rest, &found);
    if (fault)
        return fault;
    if (!secret_reference_is_name(found.region))
        return "the ARN has no region";
    if (!secret_reference_is_account(account))
        return "the ARN has no account of 12 digits";
    *out = found;
    return NULL;
}
