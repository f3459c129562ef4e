/* aws/credentials_profile.c: the files that `aws configure` writes. A profile with keys, or with a role and a web
 * identity's token file. What needs another program or a browser (credential_process, SSO), or another profile's keys
 * first (source_profile), is refused in a sentence: a service has better sources. The order is that of AWS's own
 * tools: the role, SSO, the keys of the one file, the program, the keys of the other. */
#include "aws/credentials_source.h"
#include "aws/ini.h"
#include <stdlib.h>

/* The named profile. In the file of credentials it is a section [name], in that of the configuration [profile name], or
 * [default]. */
struct profile {
    struct str name, keys, config; /* the texts of both files */
    struct str kind;               /* "profile" or, of the default one, perhaps "" */
};

/* The file that a variable names, or the one in the home folder; empty when there is none. */
static struct err credentials_profile_read_profiles(struct arena *arena, const char *variable, const char *in_home,
                                                    struct str *out)
{
    const char *path = credentials_variable(variable), *home = getenv("HOME");
    if (!path && !home)
        return OK;
    struct err err = credentials_read_file(arena, path ? path : arena_printf(arena, "%s/%s", home, in_home).at, out);
    return err.code == ERR_NOT_FOUND ? OK : err;
}

static const char *credentials_profile_chosen_name(void)
{
    const char *name = credentials_variable("AWS_PROFILE");
    return name ? name : credentials_variable("AWS_DEFAULT_PROFILE");
}

static struct err credentials_profile_open_profile(struct arena *arena, struct profile *out)
{
    const char *name = credentials_profile_chosen_name();
    *out = (struct profile){ .name = str_of(name ? name : "default"), .kind = STR("profile") };
    if (credentials_profile_read_profiles(arena, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", &out->keys).code ||
        credentials_profile_read_profiles(arena, "AWS_CONFIG_FILE", ".aws/config", &out->config).code)
        return failed(ERR_INVALID_REQUEST, "an AWS profile file can't be read, or is too long");
    if (str_eq(out->name, STR("default")) && !ini_has_section(out->config, out->kind, out->name))
        out->kind = (struct str){ 0, 0 };
    return OK;
}

static struct str credentials_profile_in_keys(const struct profile *profile, struct str name)
{
    struct str value = { 0, 0 };
    return ini_find(profile->keys, (struct str){ 0, 0 }, profile->name, name, &value) ? value : (struct str){ 0, 0 };
}

static struct str credentials_profile_in_config(const struct profile *profile, struct str name)
{
    struct str value = { 0, 0 };
    return ini_find(profile->config, profile->kind, profile->name, name, &value) ? value : (struct str){ 0, 0 };
}

/* Of both files together, the credentials' first: as AWS's tools read what is no key. */
static struct str credentials_profile_value_of(const struct profile *profile, struct str name)
{
    const struct str value = credentials_profile_in_keys(profile, name);
    return value.len > 0 ? value : credentials_profile_in_config(profile, name);
}

struct str credentials_profile_value(struct arena *arena, struct str name)
{
    struct profile profile;
    return credentials_profile_open_profile(arena, &profile).code ? (struct str){ 0, 0 }
                                                                  : credentials_profile_value_of(&profile, name);
}

struct err credentials_check_profile(struct arena *arena)
{
    struct profile profile;
    if (!credentials_profile_chosen_name())
        return OK;
    TRY(credentials_profile_open_profile(arena, &profile));
    if (ini_has_section(profile.keys, (struct str){ 0, 0 }, profile.name) ||
        ini_has_section(profile.config, profile.kind, profile.name))
        return OK;
    return failed(ERR_INVALID_REQUEST, "there is no profile with the name in AWS_PROFILE");
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

typedef struct str (*file_part)(const struct profile *, struct str name);

/* ERR_NOT_FOUND when that file has none. */
static struct err credentials_profile_read_keys(const struct profile *profile, file_part of,
                                                struct credentials_found *out)
{
    *out = (struct credentials_found){ .access_key = of(profile, STR("aws_access_key_id")),
                                       .secret_key = of(profile, STR("aws_secret_access_key")),
                                       .token = of(profile, STR("aws_session_token")) };
    if (out->access_key.len == 0)
        return failed(ERR_NOT_FOUND, "the profile has no keys");
    return out->secret_key.len > 0
               ? OK
               : failed(ERR_INVALID_REQUEST, "the AWS profile has an aws_access_key_id, but no aws_secret_access_key");
}

static struct err credentials_profile_read_role(const struct credentials_ask *ask, struct arena *arena,
                                                const struct profile *profile, struct credentials_found *out)
{
    const struct str role = credentials_profile_value_of(profile, STR("role_arn")),
                     file = credentials_profile_value_of(profile, STR("web_identity_token_file"));
    const struct str session = credentials_profile_value_of(profile, STR("role_session_name"));
    if (role.len == 0)
        return file.len == 0
                   ? failed(ERR_NOT_FOUND, "the profile has no role")
                   : failed(ERR_INVALID_REQUEST, "the AWS profile has a web_identity_token_file, but no role_arn");
    if (file.len == 0)
        return failed(ERR_INVALID_REQUEST, "the AWS profile assumes a role with another profile's keys, which is not "
                                           "supported: give it a web identity, or the keys themselves");
    return credentials_assume_role(ask, arena, arena_copy(arena, file).at, role,
                                   session.len > 0 ? arena_copy(arena, session).at : NULL, out);
}

/* What this service does not do is refused where AWS's tools would do it. */
static struct err credentials_profile_refuse_one_of(const struct profile *profile, const struct str *names,
                                                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (credentials_profile_value_of(profile, names[i]).len > 0)
            return failed(ERR_INVALID_REQUEST, "the AWS profile takes its keys from SSO, a login or another program, "
                                               "which is not supported: give it the keys themselves");
    return OK;
}

static struct err credentials_profile_read_profile(const struct credentials_ask *ask, struct arena *arena,
                                                   struct credentials_found *out)
{
    const struct str sso[] = { STR("sso_session"), STR("sso_account_id") };
    const struct str programs[] = { STR("login_session"), STR("credential_process") };
    struct profile profile;
    TRY(credentials_profile_open_profile(arena, &profile));
    struct err err = credentials_profile_read_role(ask, arena, &profile, out);
    if (err.code != ERR_NOT_FOUND)
        return err;
    TRY(credentials_profile_refuse_one_of(&profile, sso, sizeof sso / sizeof *sso));
    err = credentials_profile_read_keys(&profile, credentials_profile_in_keys, out);
    if (err.code != ERR_NOT_FOUND)
        return err;
    TRY(credentials_profile_refuse_one_of(&profile, programs, sizeof programs / sizeof *programs));
    return credentials_profile_read_keys(&profile, credentials_profile_in_config, out);
}

const struct credentials_source credentials_profile = { "profile", credentials_profile_read_profile };
