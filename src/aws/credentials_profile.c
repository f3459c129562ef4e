/* aws/credentials_profile.c: the files that `aws configure` writes. A profile with keys, or with a role and a web
 * identity's token file. What needs another program or a browser (credential_process, SSO), or another profile's keys
 * first (source_profile), is refused in a sentence: a service has better sources. */
#include "aws/credentials_source.h"
#include "aws/ini.h"
#include <stdlib.h>

struct profile {
    struct str text, kind, name; /* a file's text, and the section's form there */
};

/* The file that a variable names, or the one in the home folder; empty when there is none. */
static struct err read_profiles(struct arena *arena, const char *variable, const char *in_home, struct str *out)
{
    const char *path = credentials_variable(variable), *home = getenv("HOME");
    if (!path && !home)
        return OK;
    struct err err = credentials_read_file(arena, path ? path : arena_printf(arena, "%s/%s", home, in_home).at, out);
    return err.code == ERR_NOT_FOUND ? OK : err;
}

static struct str value_of(const struct profile *profile, struct str name)
{
    struct str value = { 0, 0 };
    return ini_find(profile->text, profile->kind, profile->name, name, &value) ? value : (struct str){ 0, 0 };
}

static bool has_keys(const struct profile *profile, struct credentials_found *out)
{
    *out = (struct credentials_found){ .access_key = value_of(profile, STR("aws_access_key_id")),
                                       .secret_key = value_of(profile, STR("aws_secret_access_key")),
                                       .token = value_of(profile, STR("aws_session_token")) };
    return out->access_key.len > 0 && out->secret_key.len > 0;
}

static struct err read_role(const struct credentials_ask *ask, struct arena *arena, const struct profile *profile,
                            struct credentials_found *out)
{
    struct str role = value_of(profile, STR("role_arn")), file = value_of(profile, STR("web_identity_token_file"));
    struct str session = value_of(profile, STR("role_session_name"));
    if (role.len > 0 && file.len > 0)
        return credentials_assume_role(ask, arena, arena_copy(arena, file).at, role,
                                       session.len > 0 ? arena_copy(arena, session).at : NULL, out);
    if (role.len > 0)
        return failed(ERR_INVALID_REQUEST, "the AWS profile assumes a role with another profile's keys, which is not "
                                           "supported: give it a web identity, or the keys themselves");
    if (value_of(profile, STR("credential_process")).len > 0 || value_of(profile, STR("sso_session")).len > 0 ||
        value_of(profile, STR("sso_account_id")).len > 0)
        return failed(ERR_INVALID_REQUEST, "the AWS profile takes its keys from SSO or another program, which is not "
                                           "supported: give it the keys themselves");
    return failed(ERR_NOT_FOUND, "the profile has no keys");
}

static struct err read_profile(const struct credentials_ask *ask, struct arena *arena, struct credentials_found *out)
{
    const char *wanted = credentials_variable("AWS_PROFILE");
    const struct str name = str_of(wanted ? wanted : "default");
    struct profile files[] = { { .name = name }, { .name = name, .kind = STR("profile") }, { .name = name } };
    bool exists = false;
    if (read_profiles(arena, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", &files[0].text).code ||
        read_profiles(arena, "AWS_CONFIG_FILE", ".aws/config", &files[1].text).code)
        return failed(ERR_INVALID_REQUEST, "an AWS profile file can't be read, or is too long");
    if (str_eq(name, STR("default"))) /* which stands without "profile" there */
        files[2].text = files[1].text;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        exists = exists || ini_has_section(files[i].text, files[i].kind, name);
        if (has_keys(&files[i], out))
            return OK;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct err err = read_role(ask, arena, &files[i], out);
        if (err.code != ERR_NOT_FOUND)
            return err;
    }
    if (wanted)
        return failed(ERR_INVALID_REQUEST, exists ? "the profile that AWS_PROFILE names has no keys"
                                                  : "there is no profile of the name in AWS_PROFILE");
    return failed(ERR_NOT_FOUND, "no default profile with keys");
}

const struct credentials_source credentials_profile = { "profile", read_profile };
